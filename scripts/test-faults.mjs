// npm run test:faults -- [--seeds 10] [--seed N] [--blow stop|kill] [--libraries tidegate,workbox] [--json FILE]
//
// For each seed and library: 200 ops, 10 % answers 500, 10 % commit then reset, the worker ended 10 times while a request of it is at the server. What became
// of every op is said by the independent checker. Waits are shortened by flag and setting, for all alike: a failed sync event comes again after a second
// (Chromium's field trial), an attempt of ours after 20 to 200 ms (baseDelay, maxDelay). Exit code 1 when Tidegate loses, doubles, leaves or re-sends too much.
import { writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { fail } from './lib.mjs';
import { build } from './build.mjs';
import { ensureSystemPackages, toolsFor } from './setup.mjs';

/** An op goes out once, and again for every answer it lost: 1 / (1 - 10 %) and some luck. */
const kMostDeliveriesPerOp = 1.15;

const options = { seeds: 10, seed: 0, blow: 'stop', libraries: ['tidegate', 'workbox'], json: '' };
const args = process.argv.slice(2);
for (let at = 0; at < args.length; at += 2) {
  const [name, value] = [args[at], args[at + 1] ?? ''];
  if ((name === '--seeds' || name === '--seed') && /^[1-9]\d{0,5}$/.test(value)) options[name.slice(2)] = Number(value);
  else if (name === '--blow' && ['stop', 'kill'].includes(value)) options.blow = value;
  else if (name === '--libraries' && value) options.libraries = value.split(',');
  else if (name === '--json' && value) options.json = value;
  else fail(`${name} ${value}: expected --seeds N, --seed N, --blow stop|kill, --libraries A,B or --json FILE`);
}

ensureSystemPackages(toolsFor.test);
await build();
const { kFaults, kPatienceMs, runSeed } = await import('../tests/faults/run.js');
const { kLibraries } = await import('../tests/faults/libraries.js');
for (const name of options.libraries) if (!kLibraries.includes(name)) fail(`unknown library "${name}", known: ${kLibraries.join(', ')}`);

const { ops, kills } = kFaults;
console.log(`${ops} ops, ${100 * kFaults.rate500} % answers 500, ${100 * kFaults.rateReset} % commit then reset, ${kills} × ${options.blow}; left: after ${kPatienceMs / 1000} s`);
console.log('seed  library         lost  doubled  left  deliveries/op  from resets  500s  resets  blows seen  seconds');
const seeds = options.seed > 0 ? [options.seed] : Array.from({ length: options.seeds }, (_, n) => n + 1);
const results = Object.fromEntries(options.libraries.map((name) => [name, []]));
for (const seed of seeds) {
  for (const library of options.libraries) {
    const result = await runSeed({ library, seed, blow: options.blow });
    results[library].push(result);
    console.log(line(String(seed), library, result));
    if (library.startsWith('tidegate')) for (const finding of result.findings.slice(0, 10)) console.log(`      ${finding}`);
  }
}

/** @param {string} seed @param {string} library @param {any} result */
function line(seed, library, { lost, duplicated, left, delivered, deliveriesPerOp, answered500, resets, starts, seconds }) {
  const cells = [lost, duplicated, left, (delivered / ops).toFixed(3), deliveriesPerOp.toFixed(3), answered500, resets, starts - 1, seconds.toFixed(1)];
  const widths = [6, 9, 6, 15, 13, 6, 8, 12, 9];
  return seed.padEnd(6) + library.padEnd(14) + cells.map((cell, i) => String(cell).padStart(widths[i])).join('');
}

const sum = (list, key) => list.reduce((total, one) => total + one[key], 0);
const report = {};
for (const [library, list] of Object.entries(results)) {
  const all = { lost: sum(list, 'lost'), duplicated: sum(list, 'duplicated'), left: sum(list, 'left'), deliveries_per_op: Number((sum(list, 'deliveriesPerOp') / list.length).toFixed(4)) };
  report[library] = { ...all, deliveries_per_op_worst: Math.max(...list.map(({ deliveriesPerOp }) => deliveriesPerOp)), blows_seen: sum(list, 'starts') - list.length, runs: list.length };
  console.log(`${library}: lost ${all.lost}, doubled ${all.duplicated}, left ${all.left} of ${ops * list.length}; ${all.deliveries_per_op} deliveries per op from resets`);
}
const text = JSON.stringify({ ...report, seeds, faults: kFaults, blow: options.blow, loadAverage: loadavg() });
console.log(text);
if (options.json) writeFileSync(options.json, `${text}\n`);

const missed = Object.entries(report).filter(([name]) => name.startsWith('tidegate')).flatMap(([name, { lost, duplicated, left, deliveries_per_op, blows_seen, runs }]) => [
  ...(lost + duplicated + left > 0 ? [`${name}: lost ${lost}, doubled ${duplicated}, left ${left}`] : []),
  ...(name === 'tidegate' && deliveries_per_op > kMostDeliveriesPerOp ? [`${name}: ${deliveries_per_op} deliveries per op`] : []),
  ...(blows_seen < kills * runs ? [`${name}: the server saw ${blows_seen} of ${kills * runs} blows`] : []),
]);
if (missed.length > 0) fail(missed.join('; '));
