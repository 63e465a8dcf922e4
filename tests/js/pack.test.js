// What `npm pack` makes, installed into an empty project on a machine without compiler, works: in Node, and in a page with a service
// worker, both bundled by esbuild, under a strict Content-Security-Policy.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { at, which } from '../../scripts/lib.mjs';
import { chromium as chromiumPath } from '../../scripts/setup.mjs';

const kTimeoutMs = 180_000;
const kCsp = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'";

const npm = process.env.npm_execpath?.endsWith('.js') ? process.env.npm_execpath : realpathSync(which('npm'));
const own = JSON.parse(readFileSync(at('package.json'), 'utf8'));
let folder;   // holds the tarball, a PATH with nothing but node, and the project
let project;
const bare = () => ({ ...process.env, PATH: join(folder, 'bin'), NODE_PATH: '' });
const inProject = (...args) => execFileSync(process.execPath, args, { cwd: project, env: bare(), encoding: 'utf8', timeout: kTimeoutMs });
const put = (name, text) => writeFileSync(join(project, name), text);

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidegate-pack-'));
  project = join(folder, 'project');
  mkdirSync(join(folder, 'bin'));
  mkdirSync(project);
  symlinkSync(process.execPath, join(folder, 'bin', 'node'));
  const packed = execFileSync(process.execPath, [npm, 'pack', '--json', '--pack-destination', folder], { cwd: at('.'), encoding: 'utf8' });
  const [{ filename }] = JSON.parse(packed);
  put('package.json', JSON.stringify({ name: 'empty', private: true, type: 'module' }));
  inProject(npm, 'install', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error',
    join(folder, filename), `libsql@${own.devDependencies.libsql}`);
}, { timeout: kTimeoutMs });

after(() => rmSync(folder, { recursive: true, force: true }));

test('the project has no compiler on its PATH', () => {
  for (const tool of ['cc', 'g++', 'clang', 'em++', 'cmake', 'make'])
    assert.equal(spawnSync(tool, ['--version'], { env: bare() }).error?.code, 'ENOENT', tool);
});

test('the tarball holds no tests, no C++ and no demo', () => {
  const listed = execFileSync(process.execPath, [npm, 'pack', '--json', '--dry-run'], { cwd: at('.'), encoding: 'utf8' });
  const paths = JSON.parse(listed)[0].files.map(({ path }) => path);
  for (const wanted of ['LICENSE', 'README.md', 'package.json', 'dist/tidegate.mjs', 'dist/tidegate.wasm', 'wasm/protocol.d.ts', 'sw/index.d.ts'])
    assert.ok(paths.includes(wanted), `${wanted} is missing`);
  const entries = Object.values(own.exports).flatMap((entry) => (typeof entry === 'string' ? entry : Object.values(entry)));
  assert.deepEqual(entries.filter((path) => !paths.includes(path.slice('./'.length))), [], 'every entry and its types are in it');
  assert.deepEqual(paths.filter((path) => /\.(cpp|h)$|(^|\/)(tests|bench|server|headless|scripts|demo|node_modules)\//.test(path)), []);
});

test('Node imports every entry and a saved document is there again after reopening', () => {
  put('node.mjs', `
    import { openClient } from 'tidegate/node';
    import * as whole from 'tidegate';
    import { blobDeltas } from 'tidegate/blob-deltas';
    import { encryption, secretKeys } from 'tidegate/encryption';
    const keys = () => secretKeys({ secret: new Uint8Array(32) });
    const options = { path: 'client.db', endpoint: 'http://127.0.0.1:9/api/v1', autoSync: false, blobDeltas: blobDeltas(), encryption: encryption({ keys }) };
    const first = await openClient(options);
    const saved = await first.save('NOTE', 'n1', { text: 'Grüße' });
    await first.close();
    const second = await openClient(options);
    const out = { saved, doc: await second.get('NOTE', 'n1'), ops: (await second.ops()).length, status: (await second.status()).queueSize, same: whole.openClient === openClient };
    await second.close();
    console.log(JSON.stringify(out));
  `);
  const { saved, doc, ops, status, same } = JSON.parse(inProject('node.mjs'));
  assert.equal(saved.entityId, 'n1');
  assert.deepEqual(doc, { text: 'Grüße' });
  assert.deepEqual({ ops, status, same }, { ops: 1, status: 1, same: true });
});

test('tidegate/delta works alone: a difference applied gives the new text', () => {
  put('delta.mjs', `
    import { diff, apply } from 'tidegate/delta';
    const base = '{"a":1,"list":[1,2,3]}', next = '{"a":2,"list":[1,3]}';
    const patch = diff(base, next);
    console.log(JSON.stringify({ patch: JSON.parse(patch), result: JSON.parse(apply(base, patch)) }));
  `);
  const { patch, result } = JSON.parse(inProject('delta.mjs'));
  assert.ok(Array.isArray(patch) && patch.length > 0);
  assert.deepEqual(result, { a: 2, list: [1, 3] });
});

/** Accepts every op of a batch and remembers it: just enough server to see that ops arrive. */
function acceptAll(text, effects) {
  const lines = text.split('\n').filter(Boolean);
  const results = [];
  for (let index = 1; index < lines.length; index += 1) {
    const op = JSON.parse(lines[index]);
    if (op.body) index += 1;
    effects.push(`${op.entity}/${op.entityId}`);
    results.push({ id: op.id, status: 201, etag: '"1"' });
  }
  const head = { protocol: 1, results: results.length, idempotencyRetention: 2_592_000, maxBatchBytes: 524_288, maxBatchOps: 200 };
  return [head, ...results].map((line) => `${JSON.stringify(line)}\n`).join('');
}

test('a bundled page and service worker send what the page saves, and what the worker saves itself', { timeout: kTimeoutMs }, async (t) => {
  const { build } = await import('esbuild');
  const { chromium } = await import('playwright-core');
  put('page.js', `
    import { connect } from 'tidegate';
    import 'tidegate/elements';
    const client = await connect({ worker: new URL('sw.js', document.baseURI), endpoint: '/api/v1/', wasm: new URL('tidegate.wasm', document.baseURI) });
    for (const id of ['a', 'b', 'c']) await client.save('NOTE', id, { id });
    while (!navigator.serviceWorker.controller) await new Promise((resolve) => navigator.serviceWorker.addEventListener('controllerchange', resolve, { once: true }));
    const { entityId } = await (await fetch('/inside', { method: 'POST' })).json();
    document.title = entityId === 'd' ? 'saved' : entityId;
  `);
  put('sw.js', `
    import { createSyncWorker } from 'tidegate/sw';
    import { workerClient } from 'tidegate/worker-client';
    const worker = createSyncWorker({ endpoint: '/api/v1/', wasm: 'tidegate.wasm' });
    self.addEventListener('fetch', (event) => {
      if (!event.request.url.endsWith('/inside')) return;
      event.respondWith(workerClient(worker).then((client) => client.during(event).save('NOTE', 'd', { id: 'd' })).then((saved) => Response.json(saved)));
    });
  `);
  const site = join(folder, 'site');
  await build({ absWorkingDir: project, entryPoints: ['page.js', 'sw.js'], bundle: true, format: 'esm', target: 'es2022', outdir: site, conditions: ['browser'], logLevel: 'error' });
  copyFileSync(join(project, 'node_modules/tidegate/dist/tidegate.wasm'), join(site, 'tidegate.wasm'));
  writeFileSync(join(site, 'index.html'), '<!doctype html><title>new</title><script type="module" src="page.js"></script>');

  const effects = [];
  const server = createServer((request, response) => {
    if (request.method === 'POST') {
      const chunks = [];
      request.on('data', (chunk) => chunks.push(chunk)).on('end', () => {
        const bytes = Buffer.concat(chunks);
        const text = (request.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes).toString();
        response.writeHead(200, { 'content-type': 'application/x-ndjson' }).end(acceptAll(text, effects));
        server.emit('effects');
      });
      return;
    }
    const path = new URL(request.url, 'http://localhost').pathname;
    const type = { '.js': 'text/javascript', '.wasm': 'application/wasm', '.html': 'text/html' };
    try {
      const name = path === '/' ? 'index.html' : path.slice(1);
      const bytes = readFileSync(join(site, name));
      response.writeHead(200, { 'content-type': type[extname(name)] ?? 'text/plain', 'content-security-policy': kCsp }).end(bytes);
    } catch {
      response.writeHead(404).end();
    }
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => { server.closeAllConnections(); server.close(); });
  const browser = await chromium.launch({ executablePath: chromiumPath(), chromiumSandbox: process.getuid?.() !== 0 });
  t.after(() => browser.close());
  const page = await browser.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.message));
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.waitForFunction(() => document.title === 'saved', null, { timeout: 60_000 }).catch((error) => { throw new Error(`${error.message}\n${errors.join('\n')}`); });
  while (effects.length < 4) await once(server, 'effects', { signal: AbortSignal.timeout(60_000) });
  assert.deepEqual([...new Set(effects)].sort(), ['NOTE/a', 'NOTE/b', 'NOTE/c', 'NOTE/d']);
  assert.equal(effects.length, 4);
  assert.deepEqual(errors, []);
});
