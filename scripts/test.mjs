// npm test: sets up, builds, and runs every suite: what mostly waits for browsers and servers, and beside it, with less priority, what only computes.
// `node scripts/test.mjs core js` runs only the named parts, one after the other.
// The last lines count what passed, failed and was skipped; a suite that ran nothing is a failure.
import { fork } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { at, fail, filesBelow, root, runAndRead, say, section, started } from './lib.mjs';
import { build, cmakeBuild, cmakeConfigure } from './build.mjs';
import { buildFuzzers, fuzzTargets, runFuzzer, sideBySide } from './fuzz.mjs';
import { ensureNode, ensureNpmPackages, ensureSystemPackages, toolsFor } from './setup.mjs';
import { buildSim, runSim, simulate } from './sim.mjs';
import { kEngines, runEngine } from './test-browsers.mjs';

const kJsTimeoutMs = 5 * 60_000;
const kFuzzSeconds = 60;

/** How much less what runs beside matters. */
const kNice = { core: 5, sim: 10, fuzz: 15 };
/** How this program is told that it runs beside, and that everything is set up. */
const kIsBeside = '--beside';

const suites = [];   // {name, passed, failed, skipped}
const record = (name, counts) => suites.push({ name, passed: 0, failed: 0, skipped: 0, ...counts });

/** One ctest run: a doctest program counts its cases, any other program counts as one. */
async function ctest(preset, label) {
  section(label);
  const { code, output } = await runAndRead('ctest', ['--preset', preset, '--verbose'], { quiet: true });
  const cases = new Map();   // test number → counts from doctest's own summary line
  for (const [, number, passed, failed, skipped] of output.matchAll(
    /^(\d+): \[doctest\] test cases:\s*\d+ \|\s*(\d+) passed \|\s*(\d+) failed \|\s*(\d+) skipped/gm))
    cases.set(number, { passed: Number(passed), failed: Number(failed), skipped: Number(skipped) });
  let programs = 0;
  for (const [, number, name, state] of output.matchAll(/Test\s+#(\d+): (\S+) \.*\s*(\S+)/g)) {
    programs += 1;
    const good = state === 'Passed';
    const counts = cases.get(number) ?? { passed: good ? 1 : 0, failed: 0 };
    if (!good && counts.failed === 0) counts.failed = 1;   // a crash ends the program before it can count
    record(`${label}: ${name}`, counts);
    console.log(`${name}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped ?? 0} skipped`);
  }
  if (programs === 0) record(label, {});
  if (code !== 0) { console.log(output); if (programs === 0) record(label, { failed: 1 }); }
}

/** One `node --test` run over files; counts come from the runner's own summary. */
async function nodeTest(files, label, { concurrency, timeoutMs }) {
  section(label);
  if (files.length === 0) { record(label, {}); return; }
  const { code, output } = await runAndRead(process.execPath, ['--test', '--test-reporter=spec',
    `--test-concurrency=${concurrency}`, `--test-timeout=${timeoutMs}`, ...files]);
  const count = (word) => Number(output.match(new RegExp(`^ℹ ${word} (\\d+)$`, 'm'))?.[1] ?? 0);
  const failed = count('fail') + count('cancelled');
  record(label, { passed: count('pass'), failed: failed || (code === 0 ? 0 : 1), skipped: count('skipped') + count('todo') });
}

/** The strict type check counts as one test per project. */
async function types() {
  section('types (tsc, strict)');
  const projects = readdirSync(root).filter((name) => /^tsconfig\.[a-z]+\.json$/.test(name) && name !== 'tsconfig.base.json');
  for (const project of projects) {
    const { code } = await runAndRead(process.execPath, [at('node_modules/typescript/bin/tsc'), '-p', project]);
    record(`types: ${project}`, code === 0 ? { passed: 1 } : { failed: 1 });
    if (code === 0) console.log(`${project}: no errors`);
  }
  if (projects.length === 0) record('types', {});
}

const parts = {
  async core() {
    section('build: native with ASan and UBSan');
    cmakeBuild('native');
    cmakeConfigure('wasm');
    const wasm = runAndRead('cmake', ['--build', '--preset', 'wasm'], { quiet: true });   // the native test keeps one processor busy, and linking another
    await ctest('native', 'core, native with ASan and UBSan');
    section('build: Wasm');
    const { code, output } = await wasm;
    console.log(output);
    if (code !== 0) fail(`the Wasm build failed (${code})`);
    await ctest('wasm', 'core, as Wasm under Node');
  },
  types,
  async sim() {
    section('simulator: fresh histories, and undisturbed ones killed at awaits');
    const program = buildSim();
    const from = 1 + Math.floor(Math.random() * 1e9);
    say(`300 histories from seed ${from}`);
    const { seeds, violations } = await simulate({ program, seeds: 300, from, processes: 2 });
    record('simulator: fresh seeds', { passed: seeds - Math.min(seeds, violations), failed: violations });
    const crashes = await runSim(program, ['--crash-equivalence', '--from', '1', '--count', '5']);
    if (crashes.code !== 0) console.log(crashes.output);
    record('simulator: crash equivalence', crashes.code === 0 ? { passed: crashes.result.cuts } : { failed: 1 });
  },
  async js() {
    const files = [...filesBelow('tests/js'), ...filesBelow('tests/conformance'), ...filesBelow('server')]
      .filter((path) => path.endsWith('.test.js'));
    await nodeTest(files, 'shell and server (node:test)', { concurrency: 2, timeoutMs: kJsTimeoutMs });
  },
  async browser() {
    for (const engine of kEngines) {
      const results = await runEngine(engine);
      if (results.length === 0) record(`browser (${engine})`, {});
      for (const { suite, passed, failed, skipped, faults } of results) {
        for (const fault of faults) console.log(`${suite}: ${fault}`);
        record(`browser (${engine}): ${suite}`, { passed, failed, skipped: skipped.length });
      }
    }
  },
  /** Every libFuzzer target for a minute, two side by side; a target that executed nothing has failed. */
  async fuzz() {
    section('fuzzing (libFuzzer, ASan and UBSan)');
    buildFuzzers();
    const results = await sideBySide(fuzzTargets(), (target) => runFuzzer(target, { seconds: kFuzzSeconds }));
    for (const { target, executions, finding } of results) {
      console.log(`${target}: ${executions} inputs${finding ? `, FOUND ${finding}` : ''}`);
      record(`fuzz: ${target}`, finding || executions === 0 ? { failed: 1 } : { passed: 1 });
    }
  },
};

/** Runs a part in a process of its own. @param {string} part @param {number} nice @returns {Promise<() => void>} prints what it printed, and counts it */
async function beside(part, nice) {
  const child = started(fork(fileURLToPath(import.meta.url), [kIsBeside, part], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] }), nice);
  let output = '', found = null;
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => { output += text; });
  child.on('message', (message) => { found = message; });
  await new Promise((resolve) => { child.on('close', resolve); });
  return () => {
    console.log(output);
    for (const { name, ...counts } of found ?? [{ name: part, failed: 1 }]) record(name, counts);
  };
}

/** One of two builds side by side. @param {string} label @param {string} program @param {string[]} args */
async function built(label, program, args) {
  const { code, output } = await runAndRead(program, args, { quiet: true });
  section(`build: ${label}`);
  console.log(output);
  if (code !== 0) fail(`the build failed (${label}, ${code})`);
}

/** Every part. The tests of the shell come last: one of them builds in the native folder, too. */
async function everything() {
  say('core, simulator and fuzzing run beside the rest; what they print comes at the end');
  cmakeConfigure('native');
  const native = built('native with ASan and UBSan, and the fuzzers', 'cmake', ['--build', '--preset', 'native', '--target', 'all', 'fuzzers']);
  await built('dist', process.execPath, [at('scripts/build.mjs')]);
  const others = native.then(() => Promise.all(Object.entries(kNice).map(([name, nice]) => beside(name, nice))));
  await parts.types();
  await parts.browser();
  await native;
  await parts.js();
  for (const done of await others) done();
}

const isBeside = process.argv[2] === kIsBeside;
const wanted = process.argv.slice(isBeside ? 3 : 2);
for (const name of wanted) if (!parts[name]) fail(`unknown suite "${name}", known: ${Object.keys(parts).join(', ')}`);

if (isBeside) {
  for (const name of wanted) await parts[name]();
  process.send?.(suites, () => process.disconnect());
} else {
  await main(wanted);
}

/** @param {string[]} chosen  none: all */
async function main(chosen) {
  const startedMs = performance.now();
  ensureNode();
  ensureNpmPackages();
  ensureSystemPackages(chosen.length === 0 || chosen.includes('browser') || chosen.includes('js') ? toolsFor.test : toolsFor.core);
  if (chosen.length === 0) {
    await everything();
  } else {
    if (chosen.some((name) => name !== 'core' && name !== 'fuzz')) { section('build: dist'); await build(); }
    for (const name of chosen) await parts[name]();
  }

  section('summary');
  for (const { name, passed, failed, skipped } of suites)
    console.log(`${passed + failed === 0 || failed > 0 ? 'FAILED ' : 'ok     '}${name}: ${passed} passed, ${failed} failed, ${skipped} skipped`);
  const empty = suites.filter((suite) => suite.passed + suite.failed === 0);
  for (const { name } of empty) console.log(`${name} ran no test`);
  const sum = (key) => suites.reduce((total, suite) => total + suite[key], 0);
  say(`took ${Math.round((performance.now() - startedMs) / 1000)} s`);
  console.log(`${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped`);
  process.exitCode = sum('failed') > 0 || empty.length > 0 ? 1 : 0;
}
