// What every script here needs: where the repository is, how to run a program, how to fail. Node built-ins only, because
// these scripts run before anything is installed.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
export const at = (...parts) => join(root, ...parts);

/** Was the module of this URL the one that node was asked to run? */
export const isMain = (url) => process.argv[1] !== undefined && url === pathToFileURL(process.argv[1]).href;

export const say = (text) => console.log(`tidegate: ${text}`);
export const section = (text) => console.log(`\n=== ${text} ${'='.repeat(Math.max(3, 96 - text.length))}\n`);

/** Ends the process with one line that says what is wrong. */
export function fail(text) {
  console.error(`tidegate: ${text}`);
  process.exit(1);
}

/** Full path of a program on PATH, or null. */
export function which(program) {
  for (const folder of (process.env.PATH ?? '').split(delimiter))
    for (const name of process.platform === 'win32' ? [`${program}.exe`, `${program}.cmd`] : [program])
      if (folder && existsSync(join(folder, name))) return join(folder, name);
  return null;
}

/** Runs a program with its output shown; a failure ends this process. */
export function mustRun(program, args, { env, quiet = false } = {}) {
  const { status, error, stdout, stderr } = spawnSync(program, args, {
    cwd: root, env: { ...process.env, ...env }, encoding: 'utf8', maxBuffer: 1 << 28,
    stdio: quiet ? 'pipe' : 'inherit',
  });
  if (error) fail(`could not run ${program}: ${error.message}`);
  if (status !== 0) {
    if (quiet) process.stderr.write(stdout + stderr);
    fail(`${[program, ...args].join(' ')} failed (${status})`);
  }
  return stdout;
}

/** @type {Set<import('node:child_process').ChildProcess>} programs that run; none outlives this one */
const running = new Set();
process.on('exit', () => { for (const child of running) child.kill(); });

/** Keeps a program that was started in mind until it has ended. @template {import('node:child_process').ChildProcess} T @param {T} child @param {number} [nice]  how much less it matters than what runs beside it @returns {T} */
export function started(child, nice = 0) {
  running.add(child);
  child.on('close', () => running.delete(child));
  if (nice > 0 && child.pid) setPriority(child.pid, nice);
  return child;
}

/** Runs a program, passes its output on as it comes (unless `quiet`) and resolves with exit code and output. */
export function runAndRead(program, args, { env, quiet = false } = {}) {
  return new Promise((resolve, reject) => {
    const child = started(spawn(program, args, { cwd: root, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] }));
    let output = '';
    for (const [from, to] of [[child.stdout, process.stdout], [child.stderr, process.stderr]])
      from.setEncoding('utf8').on('data', (text) => { output += text; if (!quiet) to.write(text); });
    child.on('error', reject).on('close', (code, signal) => resolve({ code: code ?? signal, output }));
  });
}

/** Every file below a folder, as paths relative to the repository, sorted. */
export function filesBelow(folder, wanted = () => true) {
  if (!existsSync(at(folder))) return [];
  const found = [];
  for (const entry of readdirSync(at(folder), { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && entry.name !== 'node_modules') found.push(...filesBelow(path, wanted));
    else if (entry.isFile() && wanted(path)) found.push(path);
  }
  return found.sort();
}

/** One hash over names and contents of files (paths relative to the repository). */
export function hashOf(files) {
  const hash = createHash('sha256');
  for (const file of files) hash.update(`${file}\0`).update(readFileSync(at(file))).update('\0');
  return hash.digest('hex');
}

/** A stamp remembers the hash of the inputs of a finished step, so that the step is not done twice. */
export const stamp = {
  path: (name) => at('build', 'stamps', name),
  matches: (name, hash) => existsSync(stamp.path(name)) && readFileSync(stamp.path(name), 'utf8') === hash,
  write(name, hash) {
    mkdirSync(dirname(stamp.path(name)), { recursive: true });
    writeFileSync(stamp.path(name), hash);
  },
  remove: (name) => rmSync(stamp.path(name), { force: true }),
};
