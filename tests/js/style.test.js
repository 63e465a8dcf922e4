// Style that can be checked is a test: no paths of somebody's machine, no notes to self, and the shell's few windows to the world each in
// one file (docs/architecture.md, "Who may touch what").
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { extname } from 'node:path';
import { test } from 'node:test';
import { at, filesBelow, root } from '../../scripts/lib.mjs';

const kTextFiles = /\.(js|mjs|cjs|ts|json|md|cpp|h|cmake|txt|html|css|yml|webmanifest)$|\/(run|CMakeLists\.txt|LICENSE)$/;
const kFixtures = /^(tests\/fixtures|headless\/sample)\//;
const kMachinePath = new RegExp(['/work/', '/home/\\w', '/root\\b', '/tmp/\\w', '/Users/\\w'].join('|'));
const kNote = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX', 'HA' + 'CK'].join('|')})\\b`);
const kInternalHost = /"resolved": "https?:/;

/** Files under version control or about to be. */
const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], { cwd: root, encoding: 'utf8' }).split('\n')
  .filter((path) => path && kTextFiles.test(`/${path}`) && !kFixtures.test(path));

/** Lines of files that match, as "path:line: text". */
function linesWith(pattern, paths = files) {
  return paths.flatMap((path) => {
    let text;
    try { text = readFileSync(at(path), 'utf8'); } catch (error) { if (error.code === 'ENOENT') return []; throw error; }   // deleted, not yet committed
    return text.split('\n').flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}: ${line.trim().slice(0, 120)}`] : []));
  });
}

test('no file names a path of a machine', () => {
  assert.ok(files.length > 20);
  assert.deepEqual(linesWith(kMachinePath, files.filter((path) => path !== 'tests/js/style.test.js')), []);
});

test('no file holds a note to self', () => assert.deepEqual(linesWith(kNote), []));

test('the lock file names no registry host', () => assert.deepEqual(linesWith(kInternalHost, ['package-lock.json']), []));

// The one file of sw/ that may use it, what it is, and how its use is seen.
const kWindows = [
  ['sw/clock.js', 'the clock', /\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b/],
  ['sw/random.js', 'randomness', /\bcrypto\b|\bMath\.random\b/],
  ['sw/transport.js', 'fetch', /(?<![\w.'"-])fetch\(|\bXMLHttpRequest\b/],
  ['sw/store.js', 'IndexedDB', /\bindexedDB\b|from 'idb'/],
  ['sw/worker.js', 'the worker global', /(?<![\w.'"-])self\b/],
];

/** JavaScript without comments; strings stay, because an import names its module in one. */
const codeOnly = (text) => text.replace(/(^|[^:'"`\\])\/\/[^\n]*/g, '$1').replace(/\/\*[\s\S]*?\*\//g, '');

// tidegate/workbox is another entry, which reaches for the globals where workbox does (its users stub them).
const kDropIn = /^sw\/workbox/;

for (const [home, what, pattern] of kWindows)
  test(`only ${home} uses ${what} in sw/`, () => {
    const shell = filesBelow('sw', (path) => extname(path) === '.js' && !kDropIn.test(path));
    assert.ok(shell.includes(home), `${home} does not exist`);
    assert.deepEqual(shell.filter((path) => path !== home && pattern.test(codeOnly(readFileSync(at(path), 'utf8')))), []);
  });

test('every C++ file is compiled as C++20 without exceptions and RTTI', () => {
  const databases = ['native', 'wasm'].map((preset) => at('build', preset, 'compile_commands.json')).filter(existsSync);
  assert.ok(databases.length > 0, 'nothing was configured');
  const commands = databases.flatMap((path) => JSON.parse(readFileSync(path, 'utf8')));
  assert.ok(commands.length > 0);
  const faults = commands.filter(({ command }) => !['-std=c++20', '-fno-exceptions', '-fno-rtti'].every((flag) => command.split(' ').includes(flag)));
  assert.deepEqual(faults.map(({ file }) => file), []);
});

test('nothing that a service worker loads uses import() or a top-level await', async () => {
  const { build } = await import('esbuild');
  const entryPoints = [at('sw/worker.js'), at('sw/workbox.js'), at('sw/blob-deltas.js'), at('sw/encryption.js'), at('sw/worker-client.js')];
  const { metafile } = await build({
    entryPoints, outdir: 'unwritten', bundle: true, write: false, format: 'esm', metafile: true, absWorkingDir: root, logLevel: 'silent',
  });
  const dynamic = Object.entries(metafile.inputs).filter(([, { imports }]) => imports.some(({ kind }) => kind === 'dynamic-import'));
  assert.deepEqual(dynamic.map(([path]) => path), []);
  // Output as a classic script refuses top-level await.
  await build({ entryPoints, outdir: 'unwritten', bundle: true, write: false, format: 'iife', logLevel: 'silent' });
});
