// npm run soak [-- --only fuzz|pairs|sim|headless|browser|matrix] [--minutes N]: the long runs, each to its goal, resumable: bench/soak.json remembers for these sources what was
// done, and the next run goes on there. Ends with code 1 when anything was found. Findings of the fuzzers lie in build/fuzz/findings.
//
//   fuzz      every libFuzzer target a million inputs, all together ten million, under ASan and UBSan
//   pairs     apply(diff(a, b), a) = b for a million generated pairs, nlohmann as second applier
//   sim       ten thousand histories of the simulator
//   headless  two hundred seeds of the headless client, every fault (headless/soak.mjs keeps its own record in the same file)
//   browser   five hundred workers stopped and a hundred browsers killed in the middle of a drain, in Chromium (tests/faults/soak.js)
//   matrix    the kill matrix in Chromium: at every await of every phase the worker (or the page that saves) ended, then the browser killed (tests/browser/harness/matrix.js)
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { build, cmakeBuild } from './build.mjs';
import { buildFuzzers, fuzzTargets, runFuzzer, sideBySide } from './fuzz.mjs';
import { at, fail, isMain, root, runAndRead, say } from './lib.mjs';
import { ensureSystemPackages, toolsFor } from './setup.mjs';
import { buildSim, simulate } from './sim.mjs';

const kFile = at('bench/soak.json');
const kInputsPerTarget = 1e6, kInputsInTotal = 1e7, kSliceSeconds = 60;
const kPairs = 1e6, kPairsPerRun = 50000;
const kHistories = 10000, kHistoriesPerRun = 200;
const kHeadlessSeeds = 200;
const kStops = 500, kKills = 100;

const git = (/** @type {string[]} */ ...args) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();

/** @returns {any} */
const readFile = () => (existsSync(kFile) ? JSON.parse(readFileSync(kFile, 'utf8')) : {});

/** What a soak runs. Their trees name the code whatever becomes of the commit: `git rev-parse HEAD:wasm HEAD:sw …` prints them. */
const kSources = ['wasm', 'sw', 'web', 'server', 'headless', 'tests'];

/** The record of this code under `name`, or a new one. @param {string} name @param {any} empty */
function record(name, empty) {
  const sources = Object.fromEntries(kSources.map((folder) => [folder, git('rev-parse', '--short=12', `HEAD:${folder}`)]));
  const code = { commit: git('rev-parse', 'HEAD'), sources, dirty: git('status', '--porcelain', '--untracked-files=no', '--', ...kSources) !== '' };
  const isThis = (/** @type {any} */ other) => isDeepStrictEqual(other.sources, sources) && other.dirty === code.dirty;
  const found = (readFile()[name] ?? []).find(isThis) ?? { ...code, date: '', ...empty };
  const store = () => {   // whole or not at all, without touching what other soaks wrote meanwhile
    const all = readFile();
    found.date = new Date().toISOString();
    all[name] = [...(all[name] ?? []).filter((/** @type {any} */ other) => !isThis(other)), found];
    writeFileSync(`${kFile}.tmp`, `${JSON.stringify(all, null, 2)}\n`);
    renameSync(`${kFile}.tmp`, kFile);
  };
  return { found, store };
}

/** @param {() => boolean} timeLeft */
async function fuzz(timeLeft) {
  const targets = fuzzTargets(), { found, store } = record('fuzz', { targets: {}, executions: 0, findings: [] });
  const goal = Math.max(kInputsPerTarget, Math.ceil(kInputsInTotal / targets.length));
  const done = (/** @type {string} */ target) => found.targets[target]?.executions ?? 0;
  buildFuzzers();
  await sideBySide(targets, async (target) => {
    for (let slice = found.targets[target]?.slices ?? 0; done(target) < goal && timeLeft(); slice++) {
      const result = await runFuzzer(target, { seconds: kSliceSeconds, seed: slice + 1 });
      found.targets[target] = { executions: done(target) + result.executions, slices: slice + 1 };
      found.executions += result.executions;
      if (result.finding) found.findings.push(`${target}: ${result.finding}`);
      store();
      say(`fuzz ${target}: ${done(target)} of ${goal} inputs${result.finding ? `, FOUND ${result.finding}` : ''}`);
      if (result.finding || result.executions === 0) return;
    }
  });
  return found.findings.length;
}

/** @param {() => boolean} timeLeft */
async function pairs(timeLeft) {
  const { found, store } = record('pairs', { pairs: 0, wrong: [] });
  cmakeBuild('release', ['test_core']);
  while (found.pairs < kPairs && found.wrong.length === 0 && timeLeft()) {
    const { code, output } = await runAndRead(at('build/release/test_core'), ['-tc=apply(diff*', '--no-colors=true'],
      { env: { TIDEGATE_PAIRS: `${kPairsPerRun}`, TIDEGATE_PAIRS_FROM: `${found.pairs}` }, quiet: true });
    if (code === 0) found.pairs += kPairsPerRun;
    else found.wrong.push(output.match(/seed := (\d+)/)?.[1] ?? output.slice(-400));
    store();
    say(`pairs: ${found.pairs} of ${kPairs}, seeds from 0, wrong ${found.wrong.length}`);
  }
  return found.wrong.length;
}

/** @param {() => boolean} timeLeft */
async function sim(timeLeft) {
  const { found, store } = record('sim', { seeds: 0, accepted: 0, attempts: 0, violations: 0 });
  const program = buildSim();
  while (found.seeds < kHistories && timeLeft()) {
    const result = await simulate({ program, seeds: kHistoriesPerRun, from: found.seeds + 1, processes: 2 });
    found.seeds += kHistoriesPerRun;
    for (const key of ['accepted', 'attempts', 'violations']) found[key] += result[key];
    store();
    say(`sim: ${found.seeds} of ${kHistories} histories, ${found.violations} violations`);
  }
  return found.violations;
}

/** @param {() => boolean} timeLeft @param {number} deadline */
function headless(timeLeft, deadline) {
  if (!timeLeft()) return Promise.resolve(0);
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [at('headless/soak.mjs'), '--seeds', `${kHeadlessSeeds}`, '--file', kFile], { stdio: 'inherit' });
    // Stopped anywhere, it goes on where its record ends.
    const timer = Number.isFinite(deadline) ? setTimeout(() => child.kill(), deadline - performance.now()) : undefined;
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve(code === null || code === 0 ? 0 : 1);
    });
  });
}

/** @param {() => boolean} timeLeft */
async function browser(timeLeft) {
  ensureSystemPackages(toolsFor.test);
  await build();
  const { run } = await import('../tests/faults/soak.js');
  const { found, store } = record('browser', { seeds: 0, stops: 0, kills: 0, lost: 0, duplicated: 0, thrownAway: 0, failures: [] });
  while ((found.stops < kStops || found.kills < kKills) && timeLeft()) {
    const seed = found.seeds + 1;
    const result = await run(seed);
    found.seeds = seed;
    for (const key of /** @type {const} */ (['stops', 'kills', 'lost', 'duplicated', 'thrownAway'])) found[key] += result[key];
    if (!result.ok) found.failures.push({ seed, findings: result.findings.slice(0, 5) });
    store();
    say(`browser: ${found.stops} of ${kStops} stops, ${found.kills} of ${kKills} kills, lost ${found.lost}, doubled ${found.duplicated}; ${found.thrownAway} seeds with a database thrown away by the browser`);
  }
  return found.failures.length;
}

/** One trial after the other, in scenes of so many; a phase is over when its last points are not reached any more, because their number differs a little. */
const kTrialsPerScene = 25, kNotReached = 3;

/** @param {() => boolean} timeLeft */
async function matrix(timeLeft) {
  ensureSystemPackages(toolsFor.test);
  await build();
  const { Matrix, kPhases } = await import('../tests/browser/harness/matrix.js');
  const { aScene } = await import('../tests/browser/harness/scene.js');
  const { found, store } = record('matrix', { points: {}, stops: 0, kills: 0, thrownAway: 0, failures: [] });
  for (const phase of Object.keys(kPhases))
    for (const blow of /** @type {const} */ (['stop', 'kill'])) {
      const at = (found.points[`${phase} ${blow}`] ??= { next: 1, notReached: 0 });
      while (at.notReached < kNotReached && timeLeft()) {
        const { thrownAway, error } = await aScene(async (/** @type {any} */ scene) => {
          const matrix = new Matrix(scene);
          await matrix.start();
          for (let i = 0; i < kTrialsPerScene && at.notReached < kNotReached && timeLeft(); i++) {
            const died = await matrix.dies(phase, at.next, blow);
            at.next += 1;
            at.notReached = died ? 0 : at.notReached + 1;
            if (died) found[blow === 'stop' ? 'stops' : 'kills'] += 1;
            store();
          }
        });
        if (thrownAway) found.thrownAway += 1;   // by the browser: that trial shows nothing, and is made again
        else if (error) {
          found.failures.push(error.message);
          at.next += 1;
        }
        store();
        say(`matrix: ${phase}, ${blow}: ${at.next - 1} points; in all ${found.stops} stops, ${found.kills} kills, ${found.failures.length} failures; ${found.thrownAway} databases thrown away by the browser`);
      }
    }
  return found.failures.length;
}

const kParts = { fuzz, pairs, sim, headless, browser, matrix };

if (isMain(import.meta.url)) {
  const args = process.argv.slice(2);
  let chosen = Object.keys(kParts), minutes = Infinity;
  while (args.length > 0) {
    const name = args.shift(), value = args.shift() ?? '';
    if (name === '--only' && value in kParts) chosen = [value];
    else if (name === '--minutes' && /^[1-9]\d{0,4}$/.test(value)) minutes = Number(value);
    else fail(`npm run soak [-- --only ${Object.keys(kParts).join('|')}] [--minutes N], this was ${name} ${value}`);
  }
  let found = 0;
  const end = performance.now() + minutes * 60_000;
  for (let i = 0; i < chosen.length; i++) {
    // What is left of the time is shared by the parts that are left.
    const deadline = performance.now() + (end - performance.now()) / (chosen.length - i);
    found += await kParts[/** @type {keyof typeof kParts} */ (chosen[i])](() => performance.now() < deadline, deadline);
  }
  say(found === 0 ? 'nothing found' : `${found} findings`);
  process.exitCode = found === 0 ? 0 : 1;
}
