// The transport against a server that misbehaves byte by byte. Whatever happens is one honest outcome; nothing throws, nothing leaks out.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { after, before, test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { clock } from '../../sw/clock.js';
import { createTransport, kMaxAnswerBytes } from '../../sw/transport.js';

const kCanary = 'canary-4711';
/** Answers of the raw server by path: (socket) → void. */
const scripts = {};
const requests = [];
const sockets = new Set();
let server, origin;

before(async () => {
  server = createServer((socket) => {
    let heard = Buffer.alloc(0);
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      heard = Buffer.concat([heard, chunk]);
      const end = heard.indexOf('\r\n\r\n');
      if (end < 0) return;
      const head = heard.subarray(0, end).toString('latin1');
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
      if (heard.length < end + 4 + length) return;
      const [, method, path] = /^(\w+) (\S+)/.exec(head);
      const headers = Object.fromEntries(head.split('\r\n').slice(1).map((line) => line.toLowerCase().split(': ')));
      requests.push({ method, path, headers, body: heard.subarray(end + 4, end + 4 + length) });
      heard = Buffer.alloc(0);
      scripts[path.split('/').pop()](socket);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin = `http://127.0.0.1:${server.address().port}`;
});
after(() => {
  server.close();
  for (const socket of sockets) socket.destroy();
});

const http = (status, headers, body = '') => (socket) => {
  const lines = Object.entries({ connection: 'close', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`).join('');
  socket.write(`HTTP/1.1 ${status} X\r\n${lines}\r\n`);
  socket.end(body);
};
const ok = (body, headers = {}) => http(200, { 'content-length': Buffer.byteLength(body), ...headers }, body);

const never = new AbortController().signal;
const make = (more = {}) => createTransport({ endpoint: `${origin}/api/v1`, clock, ...more });
const effect = (path, more = {}) => ({ type: 'send', id: 1, method: 'POST', url: path, headers: {}, timeoutMs: 5000, owner: 'ann', ...more });
const send = (path, { body, signal = never, transport = make(), ...more } = {}) => transport.send(effect(path, more), body, signal);
const text = (bytes) => new TextDecoder().decode(bytes);

test('a Location below the endpoint\'s entities is given as effects name addresses, any other as it came', async () => {
  for (const [location, given] of [
    ['/api/v1/entities/A/7', 'entities/A/7'], ['b%20c', 'entities/A/b%20c'], [`${origin}/api/v1/entities/A/7?x`, 'entities/A/7'], ['//127.0.0.1:1/api/v1/entities/A/7'], ['https://other.example/api/v1/entities/A/7'],
    ['/api/v1/entities/../../v2/7'], ['/api/v2/entities/A/7'], ['/api/v1/uploads/7'], ['http://[::'],
  ]) {
    scripts.t1 = http(201, { 'content-length': 0, location });
    const { headers } = await send('entities/A/t1', { method: 'PUT', body: Buffer.from('{}') });
    assert.equal(headers.location, given ?? location);
  }
});

test('a request goes out as planned and its answer comes back whole', async () => {
  scripts.batch = ok('{"a":1}', { etag: '"7"', 'X-Thing': 'Yes' });
  const before = Date.now();
  const answer = await send('batch', { body: Buffer.from('hello'), headers: { 'content-type': 'application/x-ndjson', 'idempotency-key': '"k"' } });
  const { method, path, headers, body } = requests.at(-1);
  assert.deepEqual([method, path, body.toString()], ['POST', '/api/v1/batch', 'hello']);
  assert.equal(headers['idempotency-key'], '"k"');
  assert.deepEqual([answer.status, text(answer.body), answer.bodyBytes, answer.sentBytes], [200, '{"a":1}', 7, 5]);
  assert.deepEqual([answer.headers.etag, answer.headers['x-thing']], ['"7"', 'Yes']);
  assert.ok(answer.startedAtMs >= before && answer.endedAtMs >= answer.startedAtMs);
});

test('bodies are compressed when the plan says so, and counted as sent', async () => {
  scripts.batch = ok('');
  const body = Buffer.from('abc'.repeat(1000));
  const answer = await send('batch', { body, gzip: true });
  assert.equal(requests.at(-1).headers['content-encoding'], 'gzip');
  assert.deepEqual(gunzipSync(requests.at(-1).body), body);
  assert.equal(answer.sentBytes, requests.at(-1).body.length);
  await send('batch', { body, gzip: false });
  assert.equal(requests.at(-1).headers['content-encoding'], undefined);
});

test('a request that may not leave any more once its headers are there does not: neither the first, nor the one after a 401', async () => {
  scripts.late = http(401, { 'content-length': 0 });
  for (const asked of [1, 2]) {
    let may = true, n = 0;
    const transport = make({ authorize: async () => { if (++n === asked) may = false; return { authorization: `Bearer ${n}` }; } });
    const before = requests.length;
    const { status, failure, message } = await send('late', { transport, mayLeave: () => may });
    assert.deepEqual([status, failure, message], [undefined, 'aborted', 'the lease ran out before the request left']);
    assert.equal(requests.length - before, asked - 1);
  }
});

test('an answer that was compressed arrives unpacked', async () => {
  const packed = gzipSync('{"long":"' + 'x'.repeat(500) + '"}');
  scripts.gz = http(200, { 'content-encoding': 'gzip', 'content-length': packed.length }, packed);
  assert.equal((await send('gz')).bodyBytes, 511);
});

test('every status is an answer, with its body', async () => {
  for (const status of [201, 400, 401, 409, 412, 422, 429, 500, 503]) {
    scripts.status = http(status, { 'content-length': 2, 'retry-after': '7' }, '{}');
    const answer = await send('status');
    assert.deepEqual([answer.status, text(answer.body), answer.headers['retry-after']], [status, '{}', '7']);
  }
  scripts.none = http(204, {});
  assert.deepEqual([(await send('none')).status, (await send('none')).bodyBytes], [204, 0]);
});

for (const [fault, script, failure] of [
  ['a connection closed before any answer', (socket) => socket.destroy(), 'network'],
  ['a connection reset before any answer', (socket) => socket.resetAndDestroy(), 'network'],
  ['a garbage status line', (socket) => socket.end('garbage\r\n\r\n'), 'network'],
  ['a body shorter than its Content-Length', (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort'), 'truncated'],
  ['a chunked body that is cut off', (socket) => socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'), 'truncated'],
  ['a reset in the middle of the body', (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf', () => socket.resetAndDestroy()), 'truncated'],
  ['a body that is not the gzip it claims to be', http(200, { 'content-encoding': 'gzip', 'content-length': 5 }, 'plain'), 'truncated'],
  ['headers that never come', () => {}, 'timeout'],
  ['a body that stalls', (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf'), 'timeout'],
  ['a redirect to a login page', http(302, { location: '/login', 'content-length': 0 }), 'network'],
  ['a redirect that would forward the body', http(307, { location: 'http://localhost:1/', 'content-length': 0 }), 'network'],
])
  test(`${fault}: "${failure}", never an answer`, async () => {
    scripts.fault = script;
    const answer = await send('fault', { body: Buffer.from('x'), timeoutMs: failure === 'timeout' ? 60 : 5000 });
    assert.equal(answer.failure, failure, answer.message);
    assert.equal(answer.status, undefined);
    assert.equal(answer.body, undefined);
    assert.equal(typeof answer.message, 'string');
  });

test('a refused connection is "network"', async () => {
  assert.equal((await send('x', { transport: make({ endpoint: 'http://127.0.0.1:1/api' }) })).failure, 'network');
});

test('a redirect is not followed', async () => {
  scripts.fault = http(302, { location: '/api/v1/elsewhere', 'content-length': 0 });
  scripts.elsewhere = ok('no');
  await send('fault');
  assert.equal(requests.at(-1).path, '/api/v1/fault');
});

test('an answer longer than the limit is not read to its end', async () => {
  let sent = 0;
  scripts.flood = (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n');
    const chunk = Buffer.alloc(2 ** 18);
    const more = () => {
      while (!socket.destroyed && socket.write(chunk)) sent += chunk.length;
      if (!socket.destroyed) socket.once('drain', more);
    };
    more();
  };
  const answer = await send('flood');
  assert.equal(answer.failure, 'too-large', 'which tells it from one that was cut off');
  assert.match(answer.message, /longer than/);
  assert.ok(sent < 2 * kMaxAnswerBytes);
});

test('a turn that ends takes its requests with it', async () => {
  const abort = new AbortController();
  scripts.fault = () => abort.abort();
  assert.equal((await send('fault', { signal: abort.signal })).failure, 'aborted');
  assert.equal((await send('fault', { signal: abort.signal })).failure, 'aborted', 'and starts none');
});

test('no timer and no listener outlives a request', async () => {
  let timers = 0, listeners = 0;
  const counting = { ...clock, timer: (ms, run) => { timers += 1; const cancel = clock.timer(ms, run); return () => { timers -= 1; cancel(); }; } };
  const signal = new AbortController().signal;
  const { addEventListener: add, removeEventListener: remove } = EventTarget.prototype;
  signal.addEventListener = (...args) => { listeners += 1; add.apply(signal, args); };
  signal.removeEventListener = (...args) => { listeners -= 1; remove.apply(signal, args); };
  scripts.batch = ok('{}');
  scripts.fault = (socket) => socket.destroy();
  for (const path of ['batch', 'fault']) await send(path, { signal, transport: make({ clock: counting }) });
  assert.deepEqual([timers, listeners], [0, 0]);
});

for (const [what, url] of [
  ['another host', 'http://evil.example/api/v1/batch'], ['a network-path reference', '//evil.example/api/v1/x'], ['its backslash twin', '\\\\evil.example\\x'],
  ['mixed slashes', '/\\evil.example/x'], ['a data: URL', 'data:application/json,{}'], ['another scheme', 'ftp://127.0.0.1/x'], ['javascript:', 'javascript:alert(1)'],
  ['a path outside of the endpoint', '../../admin'], ['an encoded way out', '%2e%2e/%2e%2e/admin'], ['an absolute path', '/admin'], ['no URL at all', 'http://[::'],
])
  test(`${what} is blocked before anything leaves`, async () => {
    const count = requests.length;
    const answer = await send(url, { body: Buffer.from('secret') });
    assert.equal(answer.failure, 'blocked');
    assert.equal(requests.length, count);
  });

test('https is required, loopback excepted', async () => {
  let asked = [];
  const transport = (endpoint, more) => createTransport({ endpoint, clock, fetch: async (url) => { asked.push(String(url)); return new Response('{}'); }, ...more });
  assert.equal((await transport('http://sync.example/api').send(effect('batch'), undefined, never)).failure, 'blocked');
  assert.equal((await transport('http://127.0.0.1.evil.example/api').send(effect('batch'), undefined, never)).failure, 'blocked');
  assert.deepEqual(asked, []);
  for (const endpoint of ['https://sync.example/api', 'http://localhost:8080/api/', 'http://[::1]/api', 'http://127.9.9.9/api'])
    assert.equal((await transport(endpoint).send(effect('batch'), undefined, never)).status, 200);
  assert.deepEqual(asked, ['https://sync.example/api/batch', 'http://localhost:8080/api/batch', 'http://[::1]/api/batch', 'http://127.9.9.9/api/batch']);
});

test('another origin than the page\'s is spoken to only when it is on the list', async () => {
  const at = (more) => createTransport({ endpoint: 'https://sync.example/api', base: 'https://app.example/', clock, fetch: async () => new Response('{}'), ...more });
  assert.equal((await at({}).send(effect('batch'), undefined, never)).failure, 'blocked');
  assert.equal((await at({ allow: ['https://sync.example'] }).send(effect('batch'), undefined, never)).status, 200);
});

test('requests are sent with same-origin credentials, no cache, no redirects', async () => {
  let init;
  const transport = createTransport({ endpoint: 'https://a.example/api', clock, fetch: async (_url, given) => { init = given; return new Response(''); } });
  await transport.send(effect('batch'), undefined, never);
  assert.deepEqual([init.credentials, init.cache, init.redirect], ['same-origin', 'no-store', 'error']);
});

test('the owner\'s headers come from the provider, for that owner, every time', async () => {
  scripts.batch = ok('{}');
  const owners = [];
  const transport = make({ authorize: async (owner) => { owners.push(owner); return { Authorization: `Bearer ${kCanary}` }; } });
  await send('batch', { transport });
  await send('batch', { transport, owner: 'bob' });
  assert.deepEqual(owners, ['ann', 'bob']);
  assert.equal(requests.at(-1).headers.authorization, `bearer ${kCanary}`);
});

for (const [what, authorize] of [
  ['throws', () => { throw new Error(`no token, last was ${kCanary}`); }],
  ['rejects', async () => { throw new Error(kCanary); }],
  ['gives a header with a line break', () => ({ Authorization: `Bearer ${kCanary}\r\nX-Evil: 1` })],
  ['gives a header that is not Latin-1', () => ({ Authorization: `${kCanary} ✓` })],
])
  test(`a provider that ${what}: nothing leaves, and the secret is in no message`, async () => {
    const count = requests.length;
    const answer = await send('batch', { transport: make({ authorize }) });
    assert.equal(answer.failure, 'auth');
    assert.doesNotMatch(JSON.stringify(answer), new RegExp(kCanary));
    assert.equal(requests.length, count);
  });

test('a provider that never answers ends with the request\'s time', async () => {
  assert.equal((await send('batch', { transport: make({ authorize: () => new Promise(() => {}) }), timeoutMs: 30 })).failure, 'auth');
});

test('failures never quote the secret', async () => {
  for (const script of [(socket) => socket.destroy(), http(302, { location: '/x', 'content-length': 0 })]) {
    scripts.fault = script;
    const answer = await send('fault', { transport: make({ authorize: () => ({ authorization: kCanary }) }), headers: { 'x-api-key': kCanary } });
    assert.doesNotMatch(JSON.stringify(answer), new RegExp(kCanary));
  }
});
