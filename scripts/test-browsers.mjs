// npm run test:browsers [-- --json FILE] [--engine chromium|firefox|webkit]: every browser suite in its engine, one after the other, and a table engine × suite.
//
// A file is of the engine its name ends with (common.firefox.test.js), else of Chromium. A skipped test fails the run unless tests/browser/skips.json names it:
// [{"engine", "test", "capability", "probe"}], where `probe` says how anyone can see that the engine lacks the capability.
import { readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { at, fail, filesBelow, isMain, runAndRead, section } from './lib.mjs';
import { build } from './build.mjs';
import { ensureNode, ensureNpmPackages, ensureSystemPackages, toolsFor } from './setup.mjs';

const kTimeoutMs = 10 * 60_000;
export const kEngines = /** @type {const} */ (['chromium', 'firefox', 'webkit']);

const filesOf = (engine) => filesBelow('tests/browser', (path) => path.endsWith('.test.js'))
  .filter((path) => (basename(path).match(/\.(\w+)\.test\.js$/)?.[1] ?? 'chromium') === engine);

/**
 * Runs every suite of an engine, one process at a time. A suite that ran nothing has failed, and so has a skip that no list allows.
 * @param {typeof kEngines[number]} engine
 * @returns {Promise<{suite: string, passed: number, failed: number, skipped: {test: string, reason: string}[], faults: string[]}[]>}
 */
export async function runEngine(engine) {
  const allowed = JSON.parse(readFileSync(at('tests/browser/skips.json'), 'utf8')).filter((skip) => skip.engine === engine).map(({ test }) => test);
  const results = [];
  for (const file of filesOf(engine)) {
    section(`browser (${engine}): ${file}`);
    results.push(resultOf(basename(file, '.test.js'), await runAndRead(process.execPath, ['--test', '--test-reporter=tap', '--test-concurrency=1', `--test-timeout=${kTimeoutMs}`, file]), allowed));
  }
  return results;
}

/**
 * What a suite's TAP says, and what is wrong with it though no test failed.
 * @param {string} suite @param {{code: number, output: string}} run @param {string[]} allowed  the tests that may be skipped
 */
export function resultOf(suite, { code, output }, allowed) {
  const count = (word) => Number(output.match(new RegExp(`^# ${word} (\\d+)$`, 'm'))?.[1] ?? 0);
  const skipped = [...output.matchAll(/^\s*ok \d+ - (.*?) # (?:SKIP|[T]ODO) ?(.*)$/gm)].map(([, test, reason]) => ({ test, reason }));
  const passed = count('pass');
  const failed = count('fail') + count('cancelled');
  const faults = skipped.filter(({ test }) => !allowed.includes(test)).map(({ test }) => `skipped, and tests/browser/skips.json does not allow it: ${test}`);
  if (passed + failed === 0) faults.push('no test ran');
  return { suite, passed, failed: (failed || (code === 0 ? 0 : 1)) + faults.length, skipped, faults };
}

if (isMain(import.meta.url)) {
  const args = process.argv.slice(2);
  let json = '';
  let engines = [...kEngines];
  for (let i = 0; i < args.length; i += 2) {
    if (args[i] === '--json' && args[i + 1]) json = args[i + 1];
    else if (args[i] === '--engine' && kEngines.includes(args[i + 1])) engines = [args[i + 1]];
    else fail(`${args.slice(i, i + 2).join(' ')}: expected --json FILE or --engine ${kEngines.join('|')}`);
  }
  ensureNode();
  ensureNpmPackages();
  ensureSystemPackages(toolsFor.test);
  await build();
  const found = {};
  for (const engine of engines) found[engine] = await runEngine(engine);
  section('browsers');
  console.log(['engine', 'suite', 'passed', 'failed', 'skipped'].map((head, i) => head.padEnd([10, 24, 8, 8, 8][i])).join(''));
  const totals = {};
  for (const [engine, suites] of Object.entries(found)) {
    totals[engine] = { passed: 0, failed: suites.length > 0 ? 0 : 1, skipped: 0 };
    for (const { suite, passed, failed, skipped, faults } of suites) {
      console.log(engine.padEnd(10) + suite.padEnd(24) + [passed, failed, skipped.length].map((n) => String(n).padEnd(8)).join(''));
      for (const { test, reason } of skipped) console.log(`          skipped: ${test} (${reason || 'no reason given'})`);
      for (const fault of faults) console.log(`          ${fault}`);
      totals[engine].passed += passed;
      totals[engine].failed += failed;
      totals[engine].skipped += skipped.length;
    }
  }
  const text = JSON.stringify({ engines: totals });
  console.log(text);
  if (json) writeFileSync(json, `${text}\n`);
  if (Object.values(totals).some(({ passed, failed }) => failed > 0 || passed === 0)) process.exitCode = 1;
}
