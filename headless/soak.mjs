// Many seeds of the headless runner with every fault, counted in a file. Interrupted, it goes on where the file ends.
//
//     node headless/soak.mjs [--seeds N] [--file bench/soak.json]
//
// One seed again: npm start -- --headless --mode MODE --faults reset,500,kill,offline --seed SEED
//
// The file holds one record per commit under "headless" (other soaks keep theirs under their own names); `dirty` says that the
// checkout differed from the commit. Exit code 1 when any run of this commit was not clean.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

import { FAULTS, MODES, parseOptions } from './options.mjs';
import { run } from './run.mjs';

const DEFAULT_SEEDS = 200;
const ROOT = fileURLToPath(new URL('..', import.meta.url));

/**
 * @typedef {object} SoakRecord
 * @property {string} commit
 * @property {boolean} dirty
 * @property {string} date         of the last run
 * @property {Record<string, number>} seeds   per mode, how many seeds from 1 on are done
 * @property {number} runs
 * @property {number} ops          accepted
 * @property {number} requests
 * @property {Record<string, number>} faults
 * @property {number} lost
 * @property {number} duplicated
 * @property {number} unconverged  runs
 * @property {{mode: string, seed: number, why: string}[]} failures
 */

/** @param {string[]} args */
function readArguments(args) {
  const settings = { seeds: DEFAULT_SEEDS, file: `${ROOT}bench/soak.json` };
  for (let at = 0; at < args.length; at += 2) {
    if (args[at] === '--seeds' && /^[1-9][0-9]{0,6}$/.test(args[at + 1] ?? '')) settings.seeds = Number(args[at + 1]);
    else if (args[at] === '--file' && args[at + 1]) settings.file = args[at + 1];
    else throw new Error(`${args.slice(at, at + 2).join(' ')}: expected --seeds N or --file FILE`);
  }
  return settings;
}

/** @param {string} file @returns {any} */
function readFile(file) {
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
}

/** Whole or not at all, and without touching what other soaks wrote meanwhile. @param {string} file @param {SoakRecord} record */
function store(file, record) {
  const all = readFile(file);
  const others = (all.headless ?? []).filter((/** @type {SoakRecord} */ other) => !sameCode(other, record));
  all.headless = [...others, record];
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.tmp`, `${JSON.stringify(all, null, 2)}\n`);
  renameSync(`${file}.tmp`, file);
}

/** @param {SoakRecord} a @param {SoakRecord} b */
const sameCode = (a, b) => a.commit === b.commit && a.dirty === b.dirty;

/** @param {...string} args */
const git = (...args) => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim();

/** @returns {SoakRecord} */
function emptyRecord() {
  return {
    commit: git('rev-parse', 'HEAD'), dirty: git('status', '--porcelain', '--untracked-files=no', '--', 'wasm', 'sw', 'server', 'headless') !== '',
    date: '', seeds: {}, runs: 0, ops: 0, requests: 0, faults: {}, lost: 0, duplicated: 0, unconverged: 0, failures: [],
  };
}

/** @param {SoakRecord} record @param {string} mode @param {number} seed */
async function soakOne(record, mode, seed) {
  const options = parseOptions(['--mode', mode, '--seed', String(seed), '--faults', FAULTS.join(',')]);
  try {
    const { result, problems } = await run(options);
    record.ops += result.ops;
    record.requests += result.requests;
    record.lost += result.lost;
    record.duplicated += result.duplicated;
    record.unconverged += result.converged ? 0 : 1;
    for (const [fault, times] of Object.entries(result.faults)) record.faults[fault] = (record.faults[fault] ?? 0) + times;
    if (problems.length > 0) record.failures.push({ mode, seed, why: problems.slice(0, 3).join('; ') });
  } catch (error) {
    record.failures.push({ mode, seed, why: /** @type {Error} */ (error).message });
  }
  record.runs += 1;
  record.seeds[mode] = seed;
  record.date = new Date().toISOString();
}

/** @param {string[]} args */
async function main(args) {
  const { seeds, file } = readArguments(args);
  const fresh = emptyRecord();
  /** @type {SoakRecord} */
  const record = (readFile(file).headless ?? []).find((/** @type {SoakRecord} */ old) => sameCode(old, fresh)) ?? fresh;
  for (let seed = 1; seed <= seeds; seed += 1) {
    for (const mode of MODES) {
      if ((record.seeds[mode] ?? 0) >= seed) continue;
      await soakOne(record, mode, seed);
      store(file, record);
      const { runs, ops, lost, duplicated, unconverged, failures } = record;
      console.log(`seed ${seed} ${mode}: ${runs} runs, ${ops} ops, lost ${lost}, duplicated ${duplicated}, unconverged ${unconverged}, failed ${failures.length}`);
    }
  }
  for (const { mode, seed, why } of record.failures) console.log(`  seed ${seed} ${mode}: ${why}`);
  return record.failures.length === 0 ? 0 : 1;
}

process.exitCode = 1;
main(process.argv.slice(2)).then((code) => { process.exitCode = code; }, (error) => { console.error(`tidegate soak: ${error.message}`); });
