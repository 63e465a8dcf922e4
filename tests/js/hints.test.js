// Hints: "something changed", over server-sent events and over a WebSocket; each wakes one pull.
import assert from 'node:assert/strict';
import { channel } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { clock } from '../../sw/clock.js';
import { sseHints, webSocketHints } from '../../sw/hints.js';
import { Account } from '../../sw/account.js';
import { Listening } from '../../sw/listening.js';
import { webLocks } from '../../sw/locks.js';
import { openClient } from '../../sw/node.js';
import { random } from '../../sw/random.js';
import { connect as openPageClient } from '../../web/client.js';
import { startServer, temporaryDirectory } from './server-harness.js';
import { openPage, origin, startWorker, wipe } from './sw-harness.js';

async function until(condition, what = 'the awaited condition') {
  const end = Date.now() + 10_000;
  while (!(await condition())) {
    assert.ok(Date.now() < end, `${what} did not come`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Listens with a source; counts hints. */
function listen(t, source, api, more = {}) {
  const stop = new AbortController();
  const heard = { hints: 0 };
  heard.over = source({ endpoint: new URL(api), owner: 'ann', hint: () => { heard.hints += 1; }, signal: stop.signal, clock, random, ...more });
  heard.stop = async () => { stop.abort(); await heard.over; };
  t.after(() => heard.stop());
  return heard;
}

test('a client with hints gets what another saved, long before its interval, and sends its own credentials with the request', async (t) => {
  const { api, create } = await startServer(t);
  const client = await openClient({ path: join(temporaryDirectory(t), 'a.db'), endpoint: api, hints: sseHints(), authorize: (owner) => ({ 'x-owner': owner || 'nobody' }) });
  t.after(() => client.close());
  await until(async () => (await client.status()).lastSyncTime !== undefined, 'the first pull');
  const before = Date.now();
  await create('NOTE/1', '{"n":1}');
  await until(async () => (await client.get('NOTE', '1')) !== undefined, 'the document');
  assert.ok(Date.now() - before < 8_000);
});

test('every connection is a hint, a hundred writes at once are few, and a writer that changes nothing is none', async (t) => {
  const { api, create, put } = await startServer(t);
  const heard = listen(t, sseHints(), api);
  await until(() => heard.hints === 1, 'the connection');
  await Promise.all(Array.from({ length: 100 }, (_, n) => create(`NOTE/${n}`)));
  await until(() => heard.hints > 1, 'a hint');
  assert.ok(heard.hints < 50, `${heard.hints} hints`);
  const before = heard.hints;
  assert.equal((await put('NOTE/1', { 'if-match': '"none"', 'content-type': 'application/json', body: '{}' })).status, 412);
  await create('NOTE/last');
  await until(() => heard.hints > before, 'the next hint');
});

test('a connection that ends is made again; one that the server refuses is tried again; the end of the client ends it all', async (t) => {
  const first = await startServer(t);
  const heard = listen(t, sseHints(), first.api);
  await until(() => heard.hints === 1, 'the connection');
  const { port } = new URL(first.url);
  await first.server.close();
  const { createServer, openSqliteStore } = await import('../../server/index.js');
  const again = await createServer({ store: await openSqliteStore({ file: ':memory:' }), port: Number(port), limits: { closeGraceMs: 50 } });
  t.after(() => again.close());
  await until(() => heard.hints === 2, 'the second connection');
  await heard.stop();
});

test('a full server refuses; a wrong address is not taken for a stream', async (t) => {
  const { api, send } = await startServer(t, { limits: { maxHintConnections: 1, closeGraceMs: 50 } });
  const heard = listen(t, sseHints(), api);
  await until(() => heard.hints === 1, 'the connection');
  assert.equal((await send('GET', '/hints')).status, 429);
  const lost = listen(t, sseHints('nowhere'), api);
  await lost.stop();
  assert.equal(lost.hints, 0);
});

/** A WebSocket by hand: the answer to the handshake, then the frames. */
async function upgrade(t, url, headers = {}) {
  const { port, host } = new URL(url);
  const socket = connect(Number(port), '127.0.0.1');
  t.after(() => socket.destroy());
  const all = { host, upgrade: 'websocket', connection: 'Upgrade', 'sec-websocket-version': '13', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==', ...headers };
  socket.write(`GET /api/v1/hints HTTP/1.1\r\n${Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`);
  let bytes = Buffer.alloc(0);
  socket.on('data', (chunk) => { bytes = Buffer.concat([bytes, chunk]); });
  await until(() => bytes.includes('\r\n\r\n'), 'the handshake');
  return { socket, head: () => bytes.toString('latin1').split('\r\n\r\n')[0], frames: () => bytes.subarray(bytes.indexOf('\r\n\r\n') + 4) };
}

test('the WebSocket speaks RFC 6455: handshake, text frames, heartbeats, close; another origin is refused', async (t) => {
  const { url, create } = await startServer(t, { limits: { hintHeartbeatMs: 20, hintGapMs: 1, closeGraceMs: 50 } });
  const { socket, head, frames } = await upgrade(t, url);
  assert.match(head(), /^HTTP\/1\.1 101 [\s\S]*Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/);   // the example of section 1.3
  await create('NOTE/1');
  await until(() => frames().includes(Buffer.from([0x81, 6, ...Buffer.from('change')])), 'the hint');
  await until(() => frames().includes(Buffer.from([0x8a, 0])), 'a heartbeat');
  socket.write(Buffer.from([0x88, 0x80, 0, 0, 0, 0]));
  await once(socket, 'close');
  assert.ok(frames().subarray(-2).equals(Buffer.from([0x88, 0])));
  assert.match((await upgrade(t, url, { origin: 'https://evil.example' })).head(), /^HTTP\/1\.1 403/);
  assert.match((await upgrade(t, url, { 'sec-websocket-version': '8' })).head(), /^HTTP\/1\.1 426/);
  assert.match((await upgrade(t, url, { 'sec-websocket-key': 'short' })).head(), /^HTTP\/1\.1 400/);
});

test('the WebSocket source gives the same hints, and says so where the engine has none', async (t) => {
  const { api, create } = await startServer(t);
  if (typeof WebSocket === 'undefined') return assert.throws(() => listen(t, webSocketHints(), api), { code: 'unsupported' });
  const heard = listen(t, webSocketHints(), api);
  await until(() => heard.hints === 1, 'the connection');
  await create('NOTE/1');
  await until(() => heard.hints === 2, 'the hint');
});

/** The connections that wait for hints at the servers of this process, each with its headers; counted by the server's own HTTP. */
function waitingForHints(t) {
  const waiting = new Set();
  let ever = 0;
  const count = ({ request, response }) => {
    ever += 1;
    if (!request.url.endsWith('/hints')) return;
    waiting.add(request);
    response.on('close', () => waiting.delete(request));
  };
  channel('http.server.request.start').subscribe(count);
  t.after(() => channel('http.server.request.start').unsubscribe(count));
  return { ever: () => ever, count: () => waiting.size, owners: () => [...waiting].map(({ headers }) => headers['x-owner']) };
}
const authorize = (owner) => ({ 'x-owner': owner || 'nobody' });

test('nobody listens before it is known that he may, without consent, while sync is off or paused, or signed out; he does again as soon as nothing of that is so', async (t) => {
  const { api, create } = await startServer(t);
  const waiting = waitingForHints(t);
  const path = join(temporaryDirectory(t), 'a.db');
  const open = async () => {
    const client = await openClient({ path, endpoint: api, owner: 'ann', hints: sseHints(), authorize });
    t.after(() => client.close());
    return client;
  };
  const client = await open();
  for (const [stop, go] of [
    [() => client.settings({ consent: 'withdrawn' }), () => client.settings({ consent: 'granted' })], [() => client.settings({ enabled: false }), () => client.settings({ enabled: true })],
    [() => client.pause(), () => client.resume()], [() => client.signOut(), () => client.signIn()],
  ]) {
    await until(() => waiting.owners().join() === 'ann', 'the connection');
    await stop();
    await until(() => waiting.count() === 0, `no connection after ${stop}`);
    await go();
  }
  await until(() => waiting.count() === 1, 'the connection');
  await create('NOTE/1', '{"n":1}');
  await until(async () => (await client.get('NOTE', '1')) !== undefined, 'what came meanwhile');

  await client.settings({ consent: 'withdrawn' });
  await client.close();
  const asked = waiting.ever();
  const again = await open();
  assert.equal((await again.status()).state, 'paused');
  assert.equal(waiting.ever(), asked, 'nothing was asked of the server');
});

test('who was signed out by another listens no more, and the other one does', async (t) => {
  const { api } = await startServer(t);
  const waiting = waitingForHints(t);
  await wipe();
  const world = origin(new URL(api).origin);
  const worker = await startWorker(world, { authorize });
  await worker.fire('install');
  const pages = [];
  const open = async (owner) => {
    const page = openPage(world, { worker });
    const client = await openPageClient({ worker: '/sw.js', endpoint: '/api/v1', owner, hints: sseHints(), authorize });
    pages.unshift({ page, client });
    return client;
  };
  t.after(async () => {
    for (const { page, client } of pages) { await client.close(); page.close(); }
  });
  const ann = await open('ann');
  await until(() => waiting.owners().join() === 'ann', 'her connection');
  await open('bob');
  await until(() => waiting.owners().join() === 'bob', 'his connection alone');
  await ann.signIn();
  await until(() => waiting.owners().join() === 'ann', 'her connection alone');
  await ann.settings({ consent: 'withdrawn' });
  await until(() => waiting.count() === 0, 'no connection');
});

test('of several pages of one owner one listens; when it closes or is frozen, another does; all hear what it brings', async (t) => {
  const { api, create } = await startServer(t);
  const waiting = waitingForHints(t);
  await wipe();
  const world = origin(new URL(api).origin);
  const worker = await startWorker(world);
  await worker.fire('install');
  const pages = [];
  t.after(async () => {
    for (const { page, client } of pages.reverse()) { await client.close(); page.close(); }
  });
  const heard = [];
  for (let n = 0; n < 3; n++) {
    const page = openPage(world, { worker });
    const { document } = globalThis;
    let listening = 0;
    const hints = (context) => { listening += 1; return sseHints()(context).finally(() => { listening -= 1; }); };
    const client = await openPageClient({ worker: '/sw.js', endpoint: '/api/v1', owner: 'ann', hints });
    client.subscribe(({ type }) => { if (type === 'sync.documents') heard.push(n); });
    pages.push({ page, client, document, listens: () => listening === 1 });
    await until(() => waiting.count() === 1, 'a connection');
    await client.status();
  }
  const listeners = () => pages.filter(({ listens }) => listens());
  assert.deepEqual(listeners(), [pages[0]]);
  await create('NOTE/1', '{"n":1}');
  await until(() => new Set(heard).size === 3, 'the news in each page');
  assert.equal(waiting.count(), 1);
  pages[0].document.dispatchEvent(new Event('freeze'));
  await until(() => listeners().length === 1 && listeners()[0] !== pages[0] && waiting.count() === 1, 'another page to listen');
  const [next] = listeners();
  await next.client.close();
  await until(() => listeners().length === 1 && listeners()[0] !== next && waiting.count() === 1, 'the third page to listen');
  pages[0].document.dispatchEvent(new Event('resume'));
  const [third] = listeners();
  await third.client.close();
  await until(() => listeners()[0] === pages[0] && waiting.count() === 1, 'the first page again');
});

/** Listens with a source of an app, under a clock that sleeps no longer than it takes to write down for how long; after so many sleeps it is over. */
async function listenTo(source, sleeps) {
  const stop = new AbortController(), account = new Account('ann');
  const waits = [], told = [], calls = [];
  let nowMs = 0;
  const slow = {
    now: () => nowMs,
    sleep: async (ms, { aborted }) => { if (aborted) return; nowMs += ms; waits.push(ms); if (waits.length === sleeps) stop.abort(); },
    timer: () => () => {},
  };
  const counted = (context) => { calls.push(context); return source(context, (ms) => { nowMs += ms; }); };
  const over = new Promise((resolve) => { stop.signal.addEventListener('abort', resolve); });
  const listening = new Listening(counted, { endpoint: new URL('http://localhost/'), owner: 'ann', hint: () => {}, clock: slow, random: { seed: () => 2 ** 52 } },
    { account, locks: webLocks(undefined), signal: stop.signal, publish: (type, detail) => told.push([type, detail]) });
  listening.heed({ state: 'idle' });
  return { waits, told, calls, over, stop };
}

for (const [when, source] of [
  ['at once', () => { throw new Error('no such topic'); }],
  ['later', async () => { await null; throw new Error('no such topic'); }],
  ['with what is no error', () => Promise.reject('no such topic')],
])
  test(`an app's own source that fails ${when} is told of once and tried again, at the pace of a lost connection`, async () => {
    const { waits, told, over, calls } = await listenTo(source, 9);
    await over;
    assert.deepEqual(told, [['sync.hints-failed', { owner: 'ann', message: 'no such topic' }]]);
    assert.deepEqual(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    assert.equal(calls.length, 9);
  });

test('an own source that held for a while is tried again soon; one that ends is done; one that fails because it was ended is no failure', async () => {
  let held = 0;
  const steady = await listenTo(async (_, pass) => { if (++held % 3 === 0) pass(11_000); throw new Error('lost'); }, 6);
  await steady.over;
  assert.deepEqual(steady.waits, [500, 1_000, 500, 1_000, 2_000, 500]);
  const done = await listenTo(async () => {}, 1);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([done.calls.length, done.waits, done.told], [1, [], []]);
  const ended = await listenTo(({ signal }) => new Promise((_, reject) => { signal.addEventListener('abort', () => reject(signal.reason)); }), 1);
  await until(() => ended.calls.length === 1, 'the connection');
  ended.stop.abort();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([ended.calls.length, ended.waits, ended.told], [1, [], []]);
});

for (const place of ['page', 'Node'])
  test(`${place}: the client hears of its own source's failure, and works on`, async (t) => {
    const { api, get } = await startServer(t);
    const hints = () => { throw new Error('no such topic'); };
    let client;
    if (place === 'Node') {
      client = await openClient({ path: ':memory:', endpoint: api, hints });
    } else {
      await wipe();
      const world = origin(new URL(api).origin);
      const page = openPage(world);
      t.after(() => page.close());
      client = await openPageClient({ endpoint: '/api/v1', wasm: `data:application/wasm;base64,${readFileSync(new URL('../../dist/tidegate.wasm', import.meta.url), 'base64')}`, hints });
    }
    t.after(() => client.close());
    const told = new Promise((resolve) => { client.subscribe(({ type, detail }) => { if (type === 'sync.hints-failed') resolve(detail); }); });
    await client.save('NOTE', '1', { n: 1 });
    await client.sync();
    assert.deepEqual(await told, { owner: '', message: 'no such topic' });
    assert.equal((await get('NOTE/1')).text, '{"n":1}');
  });
