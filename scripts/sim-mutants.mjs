// npm run sim:mutants [-- --json FILE] [--only "NAME|NAME"] [--folder FOLDER]: is every checker able to fail? Each mutant of tests/sim/mutants.json is one small change to the sources of
// the core (wasm/) or of the shell (sw/), applied in a copy of them and, where it is compiled, rebuilt; it is killed when the checker of the invariant it names fails within kSeeds
// histories of the simulator, or of tests/js/histories for the shell. A crash or another checker's complaint does not count. The sources as they are, and changes without meaning,
// must survive all checkers. With --folder the copy, the build and what was judged are kept: a run that was cut off goes on, and judges anew what changed since.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { at, fail, isMain, say, which } from './lib.mjs';
import { runSim } from './sim.mjs';

const execute = promisify(execFile);
const kSeeds = 2000;
/** Histories that the unchanged sources and the changes without meaning have to stand. */
const kSurvivorSeeds = 300;
/** A mutant that hangs is not killed. */
const kMostMs = 30 * 60_000;
const kCore = ['CMakeLists.txt', 'cmake', 'wasm', 'tests/sim'];
const kShell = ['package.json', 'sw', 'wasm', 'server', 'dist', 'tests/js/histories'];
const kHistories = 'tests/js/histories/main.js';
const kMutants = 'tests/sim/mutants.json';

/** @typedef {{name: string, file: string, search: string, replace: string, invariant: number}} Mutant  invariant 0: must survive */

/** @param {Mutant} mutant */
const isOfShell = ({ file }) => file.startsWith('sw/');

/** The files of `paths`, relative to the checkout. @param {string[]} paths @returns {string[]} */
const filesOf = (paths) => paths.flatMap((path) => (!existsSync(at(path)) ? [] : !statSync(at(path)).isDirectory() ? [path]
  : filesOf(readdirSync(at(path)).filter((name) => name !== 'node_modules').sort().map((name) => `${path}/${name}`))));

/** A copy of the sources with a build tree of its own; only what a mutant changes is built again. */
class Workshop {
  /** @param {string} folder  kept from run to run; empty: a temporary one */
  constructor(folder) {
    this.kept = folder !== '';
    this.folder = folder || mkdtempSync(join(tmpdir(), 'tidegate-mutants-'));
  }

  /** @param {Mutant[]} mutants */
  async open(mutants) {
    mkdirSync(this.#source, { recursive: true });
    for (const path of filesOf([...new Set([...kCore, ...kShell])])) this.#copy(path);
    if (!existsSync(join(this.#source, 'node_modules'))) symlinkSync(at('node_modules'), join(this.#source, 'node_modules'));
    if (mutants.every(isOfShell) || existsSync(join(this.#build, 'build.ninja'))) return;
    const launcher = which('ccache') ? ['-DCMAKE_CXX_COMPILER_LAUNCHER=ccache', '-DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON'] : [];
    await this.#run('cmake', ['-S', this.#source, '-B', this.#build, '-G', 'Ninja', '-DCMAKE_BUILD_TYPE=Release', '-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG',
      '-DTG_TESTS=OFF', ...launcher]);
  }

  get #build() { return join(this.folder, 'build'); }
  get #source() { return join(this.folder, 'source'); }

  /** Only what differs, because what is copied is built again. @param {string} path */
  #copy(path) {
    const from = at(path), to = join(this.#source, path);
    if (existsSync(to) && readFileSync(from).equals(readFileSync(to))) return;
    mkdirSync(dirname(to), { recursive: true });
    copyFileSync(from, to);
  }

  async #run(program, args) {
    try {
      await execute(program, args, { maxBuffer: 1 << 28, env: { ...process.env, CCACHE_BASEDIR: '/', CCACHE_NOHASHDIR: '1' } });
    } catch (error) {
      throw new Error(`${program} failed: ${String(error.stdout ?? '').slice(-2000)}${String(error.stderr ?? '').slice(-1000)}`);
    }
  }

  /** The sources with `mutant` in them while `work` runs. @template T @param {Mutant} mutant @param {() => Promise<T>} work @returns {Promise<T>} */
  async #mutated(mutant, work) {
    if (!mutant.file) return await work();
    const file = join(this.#source, mutant.file);
    const original = readFileSync(file, 'utf8');
    const places = original.split(mutant.search).length - 1;
    if (places !== 1) throw new Error(`${mutant.name}: expected its search text once in ${mutant.file}, found ${places} times`);
    writeFileSync(file, original.replace(mutant.search, () => mutant.replace));
    try {
      return await work();
    } finally {
      writeFileSync(file, original);
    }
  }

  /** Builds the mutant and answers what hunts in it. @param {Mutant} mutant @returns {Promise<() => Promise<{failed: boolean, note: string}>>} */
  async prepare(mutant) {
    if (isOfShell(mutant)) return () => this.#mutated(mutant, () => hunt(process.execPath, [join(this.#source, kHistories)], mutant));
    await this.#mutated(mutant, () => this.#run('cmake', ['--build', this.#build, '--target', 'tg_sim']));
    const program = join(this.folder, `sim-${mutant.name.replace(/\W+/g, '-')}`);
    copyFileSync(join(this.#build, 'tg_sim'), program);
    return () => hunt(program, [], mutant).finally(() => rmSync(program, { force: true }));
  }

  remove() { if (!this.kept) rmSync(this.folder, { recursive: true, force: true }); }
}

/** What was judged, by all that the judgement rests on. */
class Judged {
  #known;

  /** @param {string} folder  empty: nothing is kept */
  constructor(folder) {
    this.file = folder && join(folder, 'judged.json');
    this.#known = this.file && existsSync(this.file) ? JSON.parse(readFileSync(this.file, 'utf8')) : {};
    const digest = (/** @type {string[]} */ paths) => {
      const hash = createHash('sha256');
      for (const path of filesOf(paths)) if (path !== kMutants) hash.update(path).update(readFileSync(at(path)));
      return hash.digest('hex');
    };
    this.core = digest(kCore);
    this.shell = digest(kShell);
  }

  /** @param {Mutant} mutant */
  #key(mutant) {
    return createHash('sha256').update(JSON.stringify([mutant, kSeeds, kSurvivorSeeds, isOfShell(mutant) ? this.shell : this.core])).digest('hex');
  }

  /** @param {Mutant} mutant @returns {{failed: boolean, note: string} | undefined} */
  find(mutant) { return this.#known[this.#key(mutant)]; }

  /** @param {Mutant} mutant @param {{failed: boolean, note: string}} judgement */
  note(mutant, judgement) {
    this.#known[this.#key(mutant)] = judgement;
    if (this.file) writeFileSync(this.file, JSON.stringify(this.#known, null, 1));
  }
}

/** Whether the named checker fails. @param {string} program @param {string[]} args @param {Mutant} mutant */
async function hunt(program, args, { invariant }) {
  const { code, output, result } = await runSim(program, [...args, ...(invariant === 0 ? ['--from', '1', '--count', `${kSurvivorSeeds}`, '--no-shrink']
    : ['--hunt', `${invariant}`, '--from', '1', '--count', `${kSeeds}`])], kMostMs);
  const failed = result?.byInvariant?.[invariant] > 0 || (invariant === 0 && (result?.violations ?? 1) > 0);
  return { failed, note: failed ? `${output.match(/^seed .*$/m)?.[0].slice(0, 160)}` : result ? `${result.seeds} histories` : `ended abnormally (${code})` };
}

async function main() {
  const args = process.argv.slice(2);
  const option = (name) => (args.includes(name) ? args[args.indexOf(name) + 1] ?? fail(`${name}: expected a value`) : '');
  const json = option('--json'), only = option('--only'), folder = option('--folder');
  /** @type {Mutant[]} */
  const mutants = JSON.parse(readFileSync(at(kMutants), 'utf8')).filter(({ name }) => only.split('|').some((part) => name.includes(part)));
  for (const { name, file } of mutants) if (!existsSync(at(file))) fail(`${name}: there is no ${file}`);
  if (mutants.some(isOfShell) && !existsSync(at('dist', 'tidegate.wasm'))) fail('dist/tidegate.wasm is missing: npm run build');
  const workshop = new Workshop(folder);
  await workshop.open(mutants);
  const judged = new Judged(folder);
  const killed = [], survived = [], wrong = [];
  const told = (mutant, { failed, note }) => {
    const mustSurvive = mutant.invariant === 0;
    (failed ? killed : survived).push(mutant.name);
    if (failed === mustSurvive) wrong.push(mutant.name);
    console.log(`${failed ? 'killed  ' : 'survived'}${failed === mustSurvive ? ' WRONG' : '      '} ${String(mutant.invariant).padStart(2)}  ${mutant.name}  (${note})`);
  };
  const judge = async (mutant, run) => {
    const judgement = await run();
    judged.note(mutant, judgement);
    told(mutant, judgement);
  };
  const all = [...(mutants.every(isOfShell) ? [] : [{ name: 'unchanged', file: '', search: '', replace: '', invariant: 0 }]), ...mutants];
  try {
    /** @type {Promise<void>[]} the next one is built while one runs */
    const running = [];
    for (const mutant of all) {
      const known = judged.find(mutant);
      if (known) { told(mutant, known); continue; }
      try {
        // Those of the shell run in the copy itself, so one after the other; those of the core are programs of their own.
        if (isOfShell(mutant)) await Promise.all(running.splice(0));
        const run = await workshop.prepare(mutant);
        await Promise.all(running.splice(0));
        running.push(judge(mutant, run));
        if (isOfShell(mutant)) await Promise.all(running.splice(0));
      } catch (error) {
        wrong.push(mutant.name);
        console.log(`not built WRONG  ${mutant.invariant}  ${mutant.name}: ${error.message.slice(0, 600)}`);
      }
    }
    await Promise.all(running);
  } finally {
    workshop.remove();
  }
  const invariants = new Set(mutants.filter(({ name }) => killed.includes(name)).map(({ invariant }) => invariant));
  say(`invariants with a killer: ${[...invariants].sort((a, b) => a - b).join(', ')}`);
  const survivors = survived.filter((name) => wrong.includes(name));
  const ofShell = mutants.filter((mutant) => isOfShell(mutant) && killed.includes(mutant.name)).length;
  const result = { killed: killed.length, survived: survivors.length, ofShell, notBuilt: wrong.length - survivors.length, survivors, wrong };
  if (json) writeFileSync(json, `${JSON.stringify(result, null, 2)}\n`);
  console.log(JSON.stringify(result));
  process.exitCode = wrong.length > 0 ? 1 : 0;
}

if (isMain(import.meta.url)) await main();
