// npm run sim:mutants [-- --json FILE] [--only NAME] [--folder FOLDER]: is every checker able to fail? Each mutant of tests/sim/mutants.json is one small change to the core's sources, applied
// in a copy of them and rebuilt; it is killed when the checker of the invariant it names fails within kSeeds histories. A crash or another checker's
// complaint does not count. The sources as they are, and a change without meaning, must survive all checkers.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { cpSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { at, fail, isMain, say, which } from './lib.mjs';
import { runSim } from './sim.mjs';

const execute = promisify(execFile);
const kSeeds = 2000;
/** Histories that the unchanged sources and the change without meaning have to stand. */
const kSurvivorSeeds = 300;
const kSources = ['CMakeLists.txt', 'cmake', 'wasm', 'tests/sim'];

/** @typedef {{name: string, file: string, search: string, replace: string, invariant: number}} Mutant  invariant 0: must survive */

/** A copy of the sources with a build tree of its own; only what a mutant changes is built again. */
class Workshop {
  /** @param {string} folder  kept from run to run; empty: a temporary one */
  constructor(folder) {
    this.kept = folder !== '';
    this.folder = folder || mkdtempSync(join(tmpdir(), 'tidegate-mutants-'));
  }

  async open() {
    if (existsSync(join(this.#build, 'build.ninja'))) return;
    for (const path of kSources) {
      mkdirSync(join(this.folder, 'source', path, '..'), { recursive: true });
      cpSync(at(path), join(this.folder, 'source', path), { recursive: true, dereference: true });
    }
    const launcher = which('ccache') ? ['-DCMAKE_CXX_COMPILER_LAUNCHER=ccache', '-DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON'] : [];
    await this.#run('cmake', ['-S', join(this.folder, 'source'), '-B', this.#build, '-G', 'Ninja', '-DCMAKE_BUILD_TYPE=Release', '-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG',
      '-DTG_TESTS=OFF', ...launcher]);
  }

  get #build() { return join(this.folder, 'build'); }

  async #run(program, args) {
    try {
      await execute(program, args, { maxBuffer: 1 << 28, env: { ...process.env, CCACHE_BASEDIR: '/', CCACHE_NOHASHDIR: '1' } });
    } catch (error) {
      throw new Error(`${program} failed: ${String(error.stdout ?? '').slice(-2000)}${String(error.stderr ?? '').slice(-1000)}`);
    }
  }

  /** The simulator with `mutant` in it, as a file of its own. @param {Mutant | null} mutant */
  async program(mutant) {
    const file = mutant && join(this.folder, 'source', mutant.file);
    const original = file && readFileSync(file, 'utf8');
    if (mutant && file && original !== null) {
      const places = original.split(mutant.search).length - 1;
      if (places !== 1) throw new Error(`${mutant.name}: expected its search text once in ${mutant.file}, found ${places} times`);
      writeFileSync(file, original.replace(mutant.search, () => mutant.replace));
    }
    try {
      await this.#run('ninja', ['-C', this.#build, 'tg_sim']);
    } finally {
      if (file && original !== null) writeFileSync(file, original);
    }
    const program = join(this.folder, `sim-${mutant?.name.replace(/\W+/g, '-') ?? 'unchanged'}`);
    copyFileSync(join(this.#build, 'tg_sim'), program);
    return program;
  }

  remove() { if (!this.kept) rmSync(this.folder, { recursive: true, force: true }); }
}

/** Whether the named checker fails. @param {string} program @param {Mutant} mutant */
async function hunt(program, { invariant }) {
  const { code, output, result } = await runSim(program, invariant === 0 ? ['--from', '1', '--count', `${kSurvivorSeeds}`, '--no-shrink']
    : ['--hunt', `${invariant}`, '--from', '1', '--count', `${kSeeds}`]);
  rmSync(program, { force: true });
  const failed = result?.byInvariant?.[invariant] > 0 || (invariant === 0 && (result?.violations ?? 1) > 0);
  const seed = output.match(/^seed (\d+)/m)?.[1];
  return { failed, note: failed ? `seed ${seed}: ${output.match(/^seed .*$/m)?.[0].slice(0, 160)}` : result ? `${result.seeds} histories` : `ended abnormally (${code})` };
}

async function main() {
  const args = process.argv.slice(2);
  const option = (name) => (args.includes(name) ? args[args.indexOf(name) + 1] ?? fail(`${name}: expected a value`) : '');
  const json = option('--json'), only = option('--only'), folder = option('--folder');
  /** @type {Mutant[]} */
  const mutants = JSON.parse(readFileSync(at('tests/sim/mutants.json'), 'utf8')).filter(({ name }) => !only || name.includes(only));
  for (const { name, file } of mutants) if (!existsSync(at(file))) fail(`${name}: there is no ${file}`);
  const workshop = new Workshop(folder);
  await workshop.open();
  const killed = [], survived = [], wrong = [];
  try {
    say('building the unchanged sources');
    /** @type {Promise<void>[]} the next one is built while one runs */
    const running = [];
    const judge = async (mutant, program) => {
      const { failed, note } = await hunt(program, mutant);
      const mustSurvive = mutant.invariant === 0;
      (failed ? killed : survived).push(mutant.name);
      if (failed === mustSurvive) wrong.push(mutant.name);
      console.log(`${failed ? 'killed  ' : 'survived'}${failed === mustSurvive ? ' WRONG' : '      '} ${String(mutant.invariant).padStart(2)}  ${mutant.name}  (${note})`);
    };
    for (const mutant of [{ name: 'unchanged', file: '', search: '', replace: '', invariant: 0 }, ...mutants]) {
      let program;
      try {
        program = await workshop.program(mutant.file ? mutant : null);
      } catch (error) {
        wrong.push(mutant.name);
        console.log(`not built WRONG  ${mutant.invariant}  ${mutant.name}: ${error.message.slice(0, 600)}`);
        continue;
      }
      await Promise.all(running.splice(0));
      running.push(judge(mutant, program));
    }
    await Promise.all(running);
  } finally {
    workshop.remove();
  }
  const invariants = new Set(mutants.filter(({ name }) => killed.includes(name)).map(({ invariant }) => invariant));
  say(`invariants with a killer: ${[...invariants].sort((a, b) => a - b).join(', ')}`);
  const survivors = survived.filter((name) => wrong.includes(name));
  const result = { killed: killed.length, survived: survivors.length, notBuilt: wrong.length - survivors.length, survivors, wrong };
  if (json) writeFileSync(json, `${JSON.stringify(result, null, 2)}\n`);
  console.log(JSON.stringify(result));
  process.exitCode = wrong.length > 0 ? 1 : 0;
}

if (isMain(import.meta.url)) await main();
