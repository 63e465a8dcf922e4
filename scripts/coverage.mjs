// npm run coverage [-- --json FILE] [--list PATH]: which lines and branches of the core (wasm/tidegate) its tests and 300 simulated histories reach. Fails below 95 % of the
// lines or 90 % of the branches. --list wasm/tidegate/gate.cpp shows the lines of a file with their counts.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { cmakeBuild } from './build.mjs';
import { at, fail, mustRun, say, which } from './lib.mjs';
import { ensureNode, ensureSystemPackages, toolsFor } from './setup.mjs';

const kLeast = { lines: 95, branches: 90 };
const kHistories = 300;

const options = { json: '', list: '' };
const args = process.argv.slice(2);
for (let i = 0; i < args.length; i += 2) {
  const name = args[i].replace(/^--/, '');
  if (!(name in options) || !args[i + 1]) fail(`${args.slice(i, i + 2).join(' ')}: expected --json FILE or --list PATH`);
  options[name] = args[i + 1];
}

ensureNode();
ensureSystemPackages({ ...toolsFor.core, clang: () => which('clang++'), llvm: () => which('llvm-cov') });
cmakeBuild('coverage', ['test_core', 'tg_sim'], { quiet: true });
const built = (/** @type {string} */ name) => at('build', 'coverage', name);
const runs = [['test_core'], ['tg_sim', '--from', '1', '--count', String(kHistories)]];
for (const [program, ...given] of runs) {
  say(`running ${[program, ...given].join(' ')}`);
  mustRun(built(program), given, { env: { LLVM_PROFILE_FILE: built(`${program}.profraw`) }, quiet: true });
}
mustRun('llvm-profdata', ['merge', '-sparse', ...runs.map(([program]) => built(`${program}.profraw`)), '-o', built('all.profdata')]);

/** @param {string} command @param {string[]} more */
function llvmCov(command, more) {
  const { stdout, stderr, status } = spawnSync('llvm-cov', [command, built('test_core'), '-object', built('tg_sim'), `-instr-profile=${built('all.profdata')}`, ...more], { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (status !== 0) fail(`llvm-cov ${command}: ${stderr}`);
  return stdout;
}

if (options.list) {
  console.log(llvmCov('show', ['-show-branches=count', at(options.list)]));
} else {
  // schema.cpp prints protocol.d.ts and runs at build time only.
  const isCore = (/** @type {string} */ path) => path.startsWith(at('wasm/tidegate/')) && !path.endsWith('/schema.cpp');
  const files = JSON.parse(llvmCov('export', ['-summary-only'])).data[0].files
    .map(({ filename, summary }) => ({ path: resolve(at('build/coverage'), filename), summary })).filter(({ path }) => isCore(path));
  const total = (/** @type {'lines' | 'branches'} */ what) => {
    const count = files.reduce((sum, { summary }) => sum + summary[what].count, 0);
    const covered = files.reduce((sum, { summary }) => sum + summary[what].covered, 0);
    return { count, percent: Number(((100 * covered) / count).toFixed(2)) };
  };
  const [lines, branches] = [total('lines'), total('branches')];
  const shown = (/** @type {{count: number, covered: number, percent: number}} */ { count, covered, percent }) => `${percent.toFixed(1).padStart(6)} %  ${String(count - covered).padStart(4)} missed`;
  for (const { path, summary } of files.sort((a, b) => a.summary.branches.percent - b.summary.branches.percent))
    console.log(`${path.slice(at('').length).padEnd(40)} lines ${shown(summary.lines)}   branches ${shown(summary.branches)}`);
  const result = { lines: lines.percent, branches: branches.percent };
  say(`${lines.percent} % of ${lines.count} lines, ${branches.percent} % of ${branches.count} branches; wanted ${kLeast.lines} and ${kLeast.branches}`);
  console.log(JSON.stringify(result));
  if (options.json) writeFileSync(options.json, `${JSON.stringify(result)}\n`);
  process.exitCode = result.lines < kLeast.lines || result.branches < kLeast.branches ? 1 : 0;
}
