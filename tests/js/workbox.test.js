// tidegate/workbox against workbox-background-sync 7.4.1, over fake-indexeddb: the same scenarios on both, and whatever differs must be a row of
// docs/workbox.md. Then what only ours promises. The same scenarios run in Chromium in tests/browser/workbox.test.js.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import * as fake from 'fake-indexeddb';
import { at } from '../../scripts/lib.mjs';
import { admitted, libraries } from './workbox-libraries.js';
import { compare, createWorld, kRaces, records, scenarios } from './workbox-scenarios.js';

const kClasses = ['IDBCursor', 'IDBCursorWithValue', 'IDBDatabase', 'IDBIndex', 'IDBKeyRange', 'IDBObjectStore', 'IDBOpenDBRequest', 'IDBRequest', 'IDBTransaction'];
const newIdb = () => ({ indexedDB: new fake.IDBFactory(), ...Object.fromEntries(kClasses.map((name) => [name, fake[name]])) });
const kOrigin = 'https://app.example';
const post = (path, init) => new Request(`${kOrigin}/${path}`, { method: 'POST', body: path, ...init });
const refused = (work) => work.then(() => assert.fail('it resolved'), (error) => error);

let codes;
before(async () => { codes = await libraries(); });

/** A world of ours, or of workbox, on this IndexedDB. */
const world = (idb = newIdb(), which = 'tidegate', options = {}) => createWorld({ code: codes[which], idb, ...options });

describe('compared with workbox-background-sync', () => {
  const table = admitted();

  test('it is version 7.4.1 that we compare with', () => {
    assert.equal(JSON.parse(readFileSync(at('node_modules/workbox-background-sync/package.json'), 'utf8')).version, '7.4.1');
  });

  test('every row of the table belongs to a scenario', () => {
    assert.ok(Object.keys(table).length > 10);
    for (const name of Object.keys(table)) assert.ok(Object.hasOwn(scenarios, name), name);
    for (const name of kRaces) assert.ok(Object.hasOwn(scenarios, name), name);
  });

  for (const name of Object.keys(scenarios))
    test(`${name}: nothing differs but what docs/workbox.md says`, async () => {
      assert.deepEqual(await compare(name, codes, newIdb), table[name] ?? {});
    });

  test('a difference is found where there is one', async () => {
    const changed = codes.tidegate.replace("'workbox-background-sync:'", "'other:'").replaceAll('"workbox-background-sync"', '"other"');
    assert.notEqual(changed, codes.tidegate);
    const found = await compare('a sync event', { workbox: codes.workbox, tidegate: changed }, newIdb);
    assert.notDeepEqual(found, table['a sync event'] ?? {});
  });
});

describe('one database for both', () => {
  test('what workbox had queued is sent by ours, in order', async () => {
    const idb = newIdb();
    const theirs = new (world(idb, 'workbox').lib.Queue)('q');
    for (const name of ['b', 'c']) await theirs.pushRequest({ request: post(name), metadata: { from: 'workbox' } });
    await theirs.unshiftRequest({ request: post('a') });
    const ours = world(idb);
    await new ours.lib.Queue('q').replayRequests();
    assert.deepEqual(ours.fetched, ['POST /a a', 'POST /b b', 'POST /c c']);
    assert.deepEqual((await records(ours)).records, []);
  });

  test('what ours leaves is sent by workbox, also what was tried before', async () => {
    const idb = newIdb();
    const ours = world(idb);
    const queue = new ours.lib.Queue('q');
    for (const name of ['a', 'b']) await queue.pushRequest({ request: post(name), metadata: { n: name } });
    ours.answers = ['unreachable'];
    await refused(queue.replayRequests());
    const theirs = world(idb, 'workbox');
    const back = new theirs.lib.Queue('q');
    assert.deepEqual((await back.getAll()).map(({ metadata }) => metadata), [{ n: 'a' }, { n: 'b' }]);
    await back.replayRequests();
    assert.deepEqual(theirs.fetched, ['POST /a a', 'POST /b b']);
    assert.deepEqual({ ...(await records(theirs)), own: 0 }, { version: 3, stores: ['requests'], records: [], own: 0 });
  });

  test('both take turns on it while it is being emptied', async () => {
    const idb = newIdb();
    const seen = [];
    for (let turn = 0; turn < 6; turn++) {
      const now = world(idb, turn % 2 ? 'workbox' : 'tidegate');
      const queue = new now.lib.Queue('q');
      await queue.pushRequest({ request: post(`${turn}`) });
      now.answers = [200, 'unreachable'];
      await queue.replayRequests().catch(() => {});
      seen.push(now.fetched[0]);
    }
    assert.deepEqual(seen, [0, 1, 2, 3, 4, 5].map((n) => `POST /${n} ${n}`));
  });

  test('someone who deletes the database is not kept waiting', async () => {
    const idb = newIdb();
    const queue = new (world(idb).lib.Queue)('q');
    await queue.pushRequest({ request: post('a') });
    await new Promise((resolve, reject) => Object.assign(idb.indexedDB.deleteDatabase('workbox-background-sync'), { onsuccess: resolve, onerror: reject, onblocked: () => reject(new Error('blocked')) }));
    assert.equal(await queue.size(), 0);
    await queue.pushRequest({ request: post('b') });
    assert.equal(await queue.size(), 1);
  });
});

describe('nothing is lost', () => {
  test('key and attempt are in the store before the request leaves, and stay with it', async () => {
    const ours = world();
    const queue = new ours.lib.Queue('q');
    await queue.pushRequest({ request: post('a') });
    const stored = [];
    const look = (answer) => async () => { stored.push((await records(ours)).own[0]); return answer; };
    ours.answers = [look('unreachable'), look(503), look(200)];
    assert.equal((await refused(queue.replayRequests())).name, 'queue-replay-failed');
    assert.deepEqual((await refused(queue.replayRequests())).details, { name: 'q', status: 503 });
    await queue.replayRequests();
    assert.deepEqual(stored.map(({ attempts }) => attempts), [1, 2, 3]);
    assert.equal(new Set(stored.map(({ key }) => key)).size, 1);
    assert.deepEqual(ours.headers, stored.map(({ key }) => `"${key}"`));
    assert.match(stored[0].key, /^[0-9a-f]{8}-[0-9a-f]{4}-7/);
  });

  test('FF-01: a worker that ends while a request is under way: the next one sends it again under the same key', async () => {
    const idb = newIdb();
    const first = world(idb);
    const queue = new first.lib.Queue('q');
    for (const name of ['a', 'b']) await queue.pushRequest({ request: post(name) });
    let left;
    const gone = new Promise((resolve) => { left = resolve; });
    first.answers = [200, () => { left(); return new Promise(() => {}); }];
    void queue.replayRequests();
    await gone;
    const second = world(idb);
    await new second.lib.Queue('q').replayRequests();
    assert.deepEqual(second.fetched, ['POST /b b']);
    assert.equal(second.headers[0], first.headers[1]);
  });

  test('two workers at once, as during an update, send everything once', async () => {
    const [idb, locks] = [newIdb(), oneLock()];
    const workers = [world(idb), world(idb)];
    const queues = workers.map(({ lib }) => new lib.Queue('q'));
    for (const it of workers) it.navigator.locks = locks;
    for (const name of ['a', 'b', 'c']) await queues[0].pushRequest({ request: post(name) });
    await Promise.all(queues.map((queue) => queue.replayRequests()));
    assert.deepEqual(workers.flatMap(({ fetched }) => fetched).sort(), ['POST /a a', 'POST /b b', 'POST /c c']);
    assert.equal(locks.most, 1);
  });

  test('a 4xx leaves the queue as a dead letter with its answer, every page is told, and the rest goes on', async () => {
    const ours = world();
    const told = [];
    ours.pages.push({ postMessage: (message) => told.push(message) });
    const queue = new ours.lib.Queue('q');
    for (const name of ['a', 'b']) await queue.pushRequest({ request: post(name), metadata: { n: name } });
    ours.answers = [422, 200];
    await queue.replayRequests();
    assert.deepEqual(ours.fetched, ['POST /a a', 'POST /b b']);
    const [letter, ...others] = await ours.lib.deadLetters();
    assert.deepEqual(others, []);
    assert.deepEqual({ ...letter, key: 0, entry: 0 }, { key: 0, queueName: 'q', reason: 'refused', status: 422, attempts: 1, diedAt: ours.nowMs, entry: 0 });
    assert.deepEqual(letter.entry.metadata, { n: 'a' });
    assert.equal(new TextDecoder().decode(letter.entry.requestData.body), 'a');
    assert.deepEqual(told, [{ tidegate: 1, type: 'sync.failed', detail: { class: 'server', message: 'The server refused the request', queueName: 'q', key: letter.key, url: `${kOrigin}/a`, method: 'POST', status: 422 } }]);
  });

  test('a dead letter can be sent again under its own key, or dropped', async () => {
    const ours = world();
    const queue = new ours.lib.Queue('q');
    for (const name of ['a', 'b']) await queue.pushRequest({ request: post(name) });
    ours.answers = [401, () => { ours.nowMs += 1; return 403; }];
    await queue.replayRequests();
    const [first, second] = await ours.lib.deadLetters('q');
    assert.deepEqual(await ours.lib.deadLetters('other'), []);
    ours.registered.length = 0;
    assert.equal(await ours.lib.retryDeadLetter(first.key), true);
    assert.deepEqual(ours.registered, ['workbox-background-sync:q']);
    assert.equal(await ours.lib.dropDeadLetter(second.key), true);
    assert.deepEqual([await ours.lib.retryDeadLetter(second.key), await ours.lib.dropDeadLetter(second.key)], [false, false]);
    assert.equal(await ours.sync(), 'done');
    assert.deepEqual(ours.fetched, ['POST /a a', 'POST /b b', 'POST /a a']);
    assert.equal(ours.headers[2], ours.headers[0]);
    assert.deepEqual(await ours.lib.deadLetters(), []);
  });

  test('what is too old or unreadable is kept as a dead letter, whoever finds it', async () => {
    const ours = world();
    const queue = new ours.lib.Queue('q', { maxRetentionTime: 1 });
    const old = ours.nowMs - 60_001;
    for (const take of ['getAll', 'shiftRequest', 'popRequest', 'replayRequests']) {
      await queue.pushRequest({ request: post(take), timestamp: old });
      await queue[take]();
      assert.equal(await queue.size(), 0, take);
    }
    await new ours.lib.QueueStore('q').pushEntry({ requestData: { url: 'https://[', headers: {} }, timestamp: ours.nowMs });
    await queue.replayRequests();
    assert.deepEqual((await ours.lib.deadLetters()).map(({ reason }) => reason).sort(), ['expired', 'expired', 'expired', 'expired', 'unreadable']);
    assert.deepEqual(ours.fetched, []);
  });

  test('the newest 1 000 dead letters are kept, and every page is told of those that go for newer ones', async () => {
    const ours = world();
    const forgotten = [];
    ours.pages.push({ postMessage: ({ type, detail }) => { if (detail.class === 'quota') forgotten.push([type, detail.queueName, detail.url, detail.method]); } });
    const queue = new ours.lib.Queue('q');
    for (let n = 0; n < 1_003; n++) {
      await queue.pushRequest({ request: post(`${n}`), timestamp: 0 });
      ours.nowMs += 1;
      await queue.getAll();
    }
    const kept = await ours.lib.deadLetters();
    assert.equal(kept.length, 1_000);
    assert.match(kept[0].entry.requestData.url, /\/3$/);
    assert.deepEqual(forgotten, ['0', '1', '2'].map((n) => ['sync.failed', 'q', `${kOrigin}/${n}`, 'POST']));
  });

  test('a server that never answers is given up, and the request stays', async (t) => {
    const timeout = new AbortController();
    const asked = t.mock.method(AbortSignal, 'timeout', () => timeout.signal);
    const ours = world();
    const queue = new ours.lib.Queue('q');
    await queue.pushRequest({ request: post('a') });
    ours.answers = [(request) => new Promise((_, reject) => { request.signal.addEventListener('abort', () => reject(request.signal.reason)); timeout.abort(new DOMException('late', 'TimeoutError')); })];
    assert.equal((await refused(queue.replayRequests())).name, 'queue-replay-failed');
    assert.deepEqual(asked.mock.calls[0].arguments, [60_000]);
    assert.equal(await queue.size(), 1);
  });

  test('another origin gets a key when it was named', async () => {
    const ours = world();
    const queue = new ours.lib.Queue('q', { idempotencyOrigins: ['https://api.example/v1'] });
    for (const url of ['https://api.example/x', 'https://other.example/x']) await queue.pushRequest({ request: new Request(url, { method: 'POST', body: 'x' }) });
    await queue.replayRequests();
    assert.deepEqual(ours.headers.map((key) => key !== null), [true, false]);
    assert.throws(() => new ours.lib.Queue('r', { idempotencyOrigins: ['no address'] }), TypeError);
  });

  test('without Background Sync and after a refused register, no failure is unhandled and none loops', async (t) => {
    const unhandled = [];
    const note = (error) => unhandled.push(error);
    process.on('unhandledRejection', note);
    t.after(() => process.off('unhandledRejection', note));
    for (const sync of ['none', 'denied']) {
      const ours = world(undefined, 'tidegate', { sync });
      const queue = new ours.lib.Queue('q');
      ours.answers = Array(100).fill('unreachable');
      await queue.pushRequest({ request: post('a') });
      await ours.lib.replayAll();
      await ours.lib.replayAll();
      assert.equal(await queue.size(), 1);
      assert.ok(ours.fetched.length >= 1 && ours.fetched.length <= 3, `${ours.fetched.length} requests, ${sync}`);
      ours.answers = [];
      await ours.lib.replayAll();
      assert.equal(await queue.size(), 0);
    }
    await new Promise((resolve) => { setImmediate(resolve); });
    assert.deepEqual(unhandled, []);
  });

  test('it loads no WebAssembly', () => assert.doesNotMatch(codes.tidegate, /WebAssembly|\.wasm/));
});

/** Web Locks for one name: one holder at a time. `most` is how many there were at once. */
function oneLock() {
  let last = Promise.resolve();
  let holders = 0;
  const locks = {
    most: 0,
    request(_name, work) {
      const held = last.then(async () => {
        locks.most = Math.max(locks.most, ++holders);
        try { return await work(); } finally { holders -= 1; }
      });
      last = held.catch(() => {});
      return held;
    },
  };
  return locks;
}
