// The app's files beside the API.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { startServer, temporaryDirectory } from './server-harness.js';

async function startWithFiles(t) {
  const directory = temporaryDirectory(t);
  const [one, two] = ['one', 'two'].map((name) => join(directory, name));
  for (const path of [one, two, join(one, 'sub')]) mkdirSync(path);
  const files = { 'index.html': '<!doctype html>', 'core.wasm': 'wasm', 'app.webmanifest': '{}', 'sw.js': '//', 'page.mjs': '//', 'icon.svg': '<svg/>', '.secret': 'x', 'sub/index.html': 'sub' };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(one, name), text);
  writeFileSync(join(two, 'sw.js'), 'the second');
  writeFileSync(join(two, 'only.txt'), 'only');
  writeFileSync(join(directory, 'outside.txt'), 'outside');
  const server = await startServer(t, { staticDirs: [one, two] });
  return { ...server, file: (path, init) => fetch(`${server.url}${path}`, init) };
}

test('files have the media types that browsers insist on', async (t) => {
  const { file } = await startWithFiles(t);
  for (const [path, type] of [['/', 'text/html'], ['/core.wasm', 'application/wasm'], ['/app.webmanifest', 'application/manifest+json'],
    ['/sw.js', /^(text|application)\/javascript/], ['/page.mjs', /^(text|application)\/javascript/], ['/icon.svg', 'image/svg+xml']]) {
    const response = await file(path);
    assert.equal(response.status, 200, path);
    const given = response.headers.get('content-type');
    assert.ok(typeof type === 'string' ? given.startsWith(type) : type.test(given), `${path}: ${given}`);
    await response.arrayBuffer();
  }
});

test('every file comes under a policy that lets WebAssembly run and nothing foreign or inline, and is revalidated', async (t) => {
  const { file } = await startWithFiles(t);
  const response = await file('/');
  const policy = response.headers.get('content-security-policy');
  assert.match(policy, /^default-src 'self'; script-src 'self' 'wasm-unsafe-eval';/);
  assert.ok(!policy.includes('unsafe-inline') && !policy.includes("'unsafe-eval'") && !policy.includes('http'));
  assert.equal(response.headers.get('cache-control'), 'no-cache');
  // Left alone, fetch() would add "Cache-Control: no-cache" and have the whole file again.
  assert.equal((await file('/', { headers: { 'if-none-match': response.headers.get('etag'), 'cache-control': 'max-age=0' } })).status, 304);
});

test('of two directories the first wins, and both are served beside the API', async (t) => {
  const { file, create, get } = await startWithFiles(t);
  assert.equal(await (await file('/sw.js')).text(), '//');
  assert.equal(await (await file('/only.txt')).text(), 'only');
  await create('A/a', '1');
  assert.equal((await get('A/a')).text, '1');
});

test('what is not there, hidden, or outside is a 404 problem', async (t) => {
  const { file, url } = await startWithFiles(t);
  for (const path of ['/absent', '/.secret', '/sub/absent', '/..%2foutside.txt']) {
    const response = await file(path);
    assert.ok([403, 404].includes(response.status), `${path}: ${response.status}`);
    assert.equal(response.headers.get('content-type'), 'application/problem+json', path);
  }
  // fetch() removes dot segments itself; a bare socket does not.
  const text = await new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    let read = '';
    socket.on('data', (chunk) => { read += chunk; }).on('end', () => resolve(read)).on('error', reject);
    socket.write('GET /../outside.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  });
  assert.match(text, /^HTTP\/1\.1 40[034] /);
  assert.ok(!text.includes('outside\n') && text.includes('urn:tidegate:'));
});
