// npm run sim -- --seeds 10000 [--from 1] [--json FILE] [--processes 2]: runs histories of the simulator (docs/simulator.md) in as many processes as the machine has
// processors for, prints what happened in them, and fails when an invariant was violated or an event that has to be met often was met too seldom.
// The last line is the result as JSON.
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { at, fail, isMain, say } from './lib.mjs';
import { cmakeBuild } from './build.mjs';

/** Seeds one run of the program takes: small enough that all processes end together. */
const kChunk = 100;
/** Events that have to be met: each once in ten histories at least, 1 000 times in 10 000. */
const kWanted = ['crashes', 'lostAnswers', 'browserResends', 'quotaAborts', 'conflicts', 'rebases', 'folds', 'cancels', 'tooLarge', 'auth', 'pulls', 'leaseTakeovers',
  'taskRuns', 'refreshes', 'updates', 'migrations', 'uploads', 'chunks', 'idsGiven', 'idsAgain', 'refsBound', 'orphans'];

/** The simulator of this checkout, built if need be. */
export function buildSim() {
  cmakeBuild('release', ['tg_sim'], { quiet: true });
  return at('build', 'release', 'tg_sim');
}

/** One run of the program, ended after `timeoutMs`. @param {string} program @param {string[]} args @param {number} [timeoutMs] @returns {Promise<{code: number | string, output: string, result: any}>} */
export function runSim(program, args, timeoutMs) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...(timeoutMs && { timeout: timeoutMs, killSignal: 'SIGKILL' }) });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => { output += text; });
    child.on('error', reject).on('close', (code, signal) => {
      const last = output.trimEnd().split('\n').at(-1) ?? '';
      let result = null;
      try { result = JSON.parse(last); } catch { /* it ended abnormally: there is no result */ }
      resolve({ code: code ?? signal ?? 'killed', output, result });
    });
  });
}

/**
 * Runs `seeds` histories from `from` on. Every violation is printed with its seed and the faults it needs.
 * @param {{program: string, seeds: number, from: number, processes: number, quiet?: boolean}} options
 */
export async function simulate({ program, seeds, from, processes, quiet = false }) {
  const started = performance.now();
  const sum = { seeds: 0, accepted: 0, attempts: 0, violations: 0, seconds: 0, byInvariant: {}, events: {} };
  let next = from, busySeconds = 0;
  const work = async () => {
    while (next < from + seeds) {
      const first = next, count = Math.min(kChunk, from + seeds - next);
      next += count;
      const { code, output, result } = await runSim(program, ['--from', `${first}`, '--count', `${count}`]);
      for (const line of output.split('\n')) if (!quiet && /^seed |^ {2}/.test(line)) console.log(line.slice(0, 1000));
      if (!result?.events) {
        console.log(output.slice(-2000));
        say(`the simulator ended abnormally (${code}) between seeds ${first} and ${first + count - 1}`);
        sum.violations += 1;
        continue;
      }
      for (const key of ['seeds', 'accepted', 'attempts', 'violations']) sum[key] += result[key];
      busySeconds += result.seconds;
      for (const part of ['byInvariant', 'events'])
        for (const [key, value] of Object.entries(result[part])) sum[part][key] = (sum[part][key] ?? 0) + value;
    }
  };
  await Promise.all(Array.from({ length: processes }, work));
  sum.seconds = (performance.now() - started) / 1000;
  return { ...sum, attemptsPerMinutePerProcess: Math.round((sum.attempts / busySeconds) * 60), seldom: seldomEvents(sum) };
}

/** Wanted events that were met too seldom. @param {{seeds: number, events: Record<string, number>}} sum */
const seldomEvents = ({ seeds, events }) => kWanted.filter((name) => (events[name] ?? 0) < seeds / 10);

function readArguments() {
  const options = { seeds: 1000, from: 1, json: '', processes: Math.max(1, Math.min(2, availableParallelism())) };
  const args = process.argv.slice(2);
  while (args.length > 0) {
    const name = args.shift()?.replace(/^--/, '') ?? '';
    if (!(name in options)) fail(`unknown argument --${name}, known: ${Object.keys(options).map((known) => `--${known}`).join(', ')}`);
    const value = args.shift() ?? '';
    if (name === 'json') options.json = value;
    else if (/^[1-9]\d{0,8}$/.test(value)) options[name] = Number(value);
    else fail(`--${name}: expected a whole number from 1, got "${value}"`);
  }
  return options;
}

if (isMain(import.meta.url)) {
  const { seeds, from, json, processes } = readArguments();
  const program = buildSim();
  say(`${seeds} histories from seed ${from}, ${processes} at once`);
  const result = await simulate({ program, seeds, from, processes });
  console.log(`\n${'event'.padEnd(18)}${'times'.padStart(12)}${'  wanted at least'}`);
  for (const [name, times] of Object.entries(result.events))
    console.log(`${name.padEnd(18)}${String(times).padStart(12)}${kWanted.includes(name) ? String(Math.ceil(seeds / 10)).padStart(17) : ''}`);
  console.log(`\n${result.accepted} operations accepted, ${result.attempts} attempts, ${result.violations} violations; ${result.attemptsPerMinutePerProcess} attempts a minute and process`);
  for (const name of result.seldom) say(`${name} was met too seldom`);
  if (json) writeFileSync(json, `${JSON.stringify(result, null, 2)}\n`);
  console.log(JSON.stringify(result));
  process.exitCode = result.violations > 0 || result.seldom.length > 0 ? 1 : 0;
}
