// Both stores keep one contract (store.contract.js); what follows it is special to each.
import 'fake-indexeddb/auto';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { clock } from '../../sw/clock.js';
import { webLocks } from '../../sw/locks.js';
import { openSqliteStore, sqliteLock } from '../../sw/sqlite-store.js';
import { payloadKey } from '../../sw/store-rules.js';
import { openStore } from '../../sw/store.js';
import { everything, item, kLimits, storeContract } from './store.contract.js';

let count = 0;
const dbName = () => `test-${count}`;
const dropDatabase = (name) => new Promise((resolve, reject) => {
  const request = indexedDB.deleteDatabase(name);
  request.onsuccess = resolve;
  request.onerror = reject;
});
const indexed = {
  fresh: () => { count += 1; return openStore({ clock, name: dbName() }); },
  again: () => openStore({ clock, name: dbName() }),
  remove: () => dropDatabase(dbName()),
};

const directory = mkdtempSync(join(tmpdir(), 'tidegate-store-'));
process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
let files = 0;
const path = () => join(directory, `${files}.db`);
const sqlite = {
  fresh: () => { files += 1; return openSqliteStore({ path: path() }); },
  again: () => openSqliteStore({ path: path() }),
  remove: async () => {},
};

storeContract('IndexedDB', indexed);
storeContract('SQLite', sqlite);

/** Runs `body` while transactions that write to `storeName` abort for want of space, after every one of their requests succeeded. */
async function withQuotaAbort(storeName, body) {
  const real = IDBDatabase.prototype.transaction;
  IDBDatabase.prototype.transaction = function (names, mode, options) {
    const tx = real.call(this, names, mode, options);
    const put = tx.objectStore.bind(tx);
    tx.objectStore = (name) => {
      const store = put(name);
      if (name === storeName && mode === 'readwrite')
        for (const method of ['put', 'add']) {
          const write = store[method].bind(store);
          store[method] = (...args) => {
            const request = write(...args);
            request.addEventListener('success', () => tx._abort('QuotaExceededError'));
            return request;
          };
        }
      return store;
    };
    return tx;
  };
  try { await body(); } finally { IDBDatabase.prototype.transaction = real; }
}

for (const storeName of ['ops', 'payloads', 'docs', 'state'])
  test(`IndexedDB: a transaction that aborts for quota after the request to ${storeName} succeeded is a "quota" error and accepted nothing`, async () => {
    const store = await indexed.fresh();
    await store.accept([item('1', 'a')], kLimits);
    const before = await everything(store);
    await withQuotaAbort(storeName, () =>
      assert.rejects(store.accept([item('2', 'b')], kLimits), { name: 'StoreError', code: 'quota' }));
    assert.deepEqual(await everything(store), before);
    assert.equal((await store.accept([item('2', 'b')], kLimits)).length, 1, 'the store goes on working');
    await store.close();
    await indexed.remove();
  });

test('FF-20: IndexedDB: a commit that aborts for quota is an error, and the lease is still ours', async () => {
  const store = await indexed.fresh();
  const { token } = await store.acquireLease({ holder: 'a', nowMs: 0, ttlMs: 1000, codeVersion: '1' });
  const commit = { token, knownSeq: 0, lanes: [], writes: [{ store: 'history', key: 'h', value: 1 }] };
  await withQuotaAbort('history', () => assert.rejects(store.commit(commit), { code: 'quota' }));
  assert.equal(await store.get('history', 'h'), undefined);
  assert.equal(await store.commit(commit), 'ok');
  await store.close();
  await indexed.remove();
});

test('IndexedDB: nothing reads a long queue at once: neither counting it anew, nor looking for ops that came after the drain read them', async () => {
  const kMany = 1_200, kAtOnce = 500;
  const store = await indexed.fresh();
  for (let n = 0; n < kMany; n += kAtOnce) await store.accept(Array.from({ length: Math.min(kAtOnce, kMany - n) }, (_, i) => item(`${n + i}`, `e${n + i}`)), { ...kLimits, maxOps: kMany });
  const { totals } = await store.census();
  const last = (await store.rows(kMany - 1, 1))[0];
  const { token } = await store.acquireLease({ holder: 'a', nowMs: 0, ttlMs: 1000, codeVersion: '1' });
  // As older code left it: nothing was counted, and a document does not say which op it is of.
  await store.commit({ token, knownSeq: 0, lanes: [], writes: [{ store: 'state', key: 'totals', remove: true }, { store: 'docs', key: last.lane, value: { deleted: false } }, { store: 'docs', key: ':NOTE/other', value: { deleted: false } }] });
  const asked = [];
  const { getAll } = IDBObjectStore.prototype;
  IDBObjectStore.prototype.getAll = function (range, count) {
    asked.push(count);
    return getAll.call(this, range, count);
  };
  try {
    assert.deepEqual(await store.census(), { rows: kMany, totals: { ops: kMany, bytes: totals.bytes } });
    assert.equal(await store.commit({ token, knownSeq: 0, lanes: [last.lane], writes: [] }), 'stale');
    assert.equal(await store.commit({ token, knownSeq: 0, lanes: [':NOTE/other'], writes: [] }), 'ok');
  } finally {
    IDBObjectStore.prototype.getAll = getAll;
  }
  assert.ok(asked.length >= 6, 'there was more than one window to read');
  assert.ok(asked.every((count) => count <= kAtOnce), `asked for ${asked}`);
  await store.close();
  await indexed.remove();
});

test('IndexedDB: writes ask for strict durability', async () => {
  const asked = [];
  const real = IDBDatabase.prototype.transaction;
  IDBDatabase.prototype.transaction = function (names, mode, options) {
    if (mode === 'readwrite') asked.push(options.durability);
    return real.call(this, names, mode, options);
  };
  const store = await indexed.fresh();
  await store.accept([item('1', 'a')], kLimits);
  await store.commit({ token: 1, knownSeq: 0, lanes: [], writes: [] });
  IDBDatabase.prototype.transaction = real;
  assert.deepEqual(asked, ['strict', 'strict']);
  await store.close();
  await indexed.remove();
});

test('IndexedDB: newer code may upgrade while we are open; we let go of the database and say "newer-schema" from then on', async () => {
  const store = await indexed.fresh();
  await store.accept([item('1', 'a')], kLimits);
  const newer = await new Promise((resolve, reject) => {
    const request = indexedDB.open(dbName(), 2);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error('our connection stayed open'));
  });
  await assert.rejects(store.rows(0, 1), { name: 'StoreError', code: 'newer-schema' });
  await assert.rejects(openStore({ clock, name: dbName() }), { name: 'StoreError', code: 'newer-schema' });
  newer.close();
  await store.close();
  await indexed.remove();
});

test('IndexedDB: a connection the browser closed is opened anew, once, and a drain that was going on is fenced by the empty database', async () => {
  const store = await indexed.fresh();
  const { token } = await store.acquireLease({ holder: 'a', nowMs: 0, ttlMs: 1000, codeVersion: '1' });
  await store.accept([item('1', 'a')], kLimits);
  await dropDatabase(dbName());   // fires versionchange: our connection closes itself
  assert.deepEqual(await store.rows(0, 1), []);
  assert.equal(await store.commit({ token, knownSeq: 0, lanes: [], writes: [] }), 'fenced');
  await store.acquireLease({ holder: 'b', nowMs: 5_000, ttlMs: 1000, codeVersion: '1' });
  assert.equal(await store.commit({ token, knownSeq: 0, lanes: [], writes: [] }), 'fenced', 'also when the new database has its first lease');
  await store.close();
  await indexed.remove();
});

test('IndexedDB: transactions that cannot begin are tried on new connections, a few times, then say "closed"', async () => {
  const store = await indexed.fresh();
  const real = IDBDatabase.prototype.transaction;
  let failures = 2;
  IDBDatabase.prototype.transaction = function (...args) {
    if (failures-- > 0) throw new DOMException('The database connection is closing.', 'InvalidStateError');
    return real.apply(this, args);
  };
  try {
    assert.deepEqual(await store.rows(0, 1), []);
    failures = Infinity;
    await assert.rejects(store.rows(0, 1), { name: 'StoreError', code: 'closed' });
  } finally {
    IDBDatabase.prototype.transaction = real;
  }
  assert.deepEqual(await store.rows(0, 1), []);
  await store.close();
  await indexed.remove();
});

test('IndexedDB: an open that another tab blocks ends as "blocked" after a bounded time', async () => {
  const late = { now: () => 0, sleep: async () => {}, timer: () => () => {} };
  const real = IDBFactory.prototype.open, { IDBRequest } = globalThis;
  IDBFactory.prototype.open = function () { return new EventTarget(); };   // a request that never answers
  globalThis.IDBRequest = EventTarget;
  try {
    await assert.rejects(openStore({ clock: late, name: 'blocked' }), { name: 'StoreError', code: 'blocked' });
  } finally {
    IDBFactory.prototype.open = real;
    globalThis.IDBRequest = IDBRequest;
  }
});

test('SQLite: a file that is no database is "corrupt", one of newer code "newer-schema"', async () => {
  const broken = join(directory, 'broken.db');
  writeFileSync(broken, 'x'.repeat(10_000));
  await assert.rejects(openSqliteStore({ path: broken }), { name: 'StoreError', code: 'corrupt' });
  const { default: Database } = await import('libsql');
  const newer = join(directory, 'newer.db');
  const db = new Database(newer);
  db.pragma('user_version = 2');
  db.close();
  await assert.rejects(openSqliteStore({ path: newer }), { name: 'StoreError', code: 'newer-schema' });
});

test('SQLite: the disk is full: "quota", nothing accepted, and the store goes on', async () => {
  const store = await sqlite.fresh();
  await store.accept([item('1', 'a')], kLimits);
  const before = await everything(store);
  const { default: Database } = await import('libsql');
  const other = new Database(path());
  const pages = other.prepare('PRAGMA page_count').get().page_count;
  other.close();
  await store.close();
  const limited = await openSqliteStore({ path: path(), maxPages: pages + 2 });
  await assert.rejects(limited.accept([item('2', 'b'.repeat(500_000))], kLimits), { name: 'StoreError', code: 'quota' });
  assert.deepEqual(await everything(limited), before);
  assert.equal((await limited.accept([item('2', 'b')], kLimits)).length, 1);
  await limited.close();
});

test('SQLite: every accepted op survives SIGKILL at any moment', async () => {
  files += 1;
  const child = spawn(process.execPath, ['--input-type=module', '-e', `
    import { openSqliteStore } from ${JSON.stringify(new URL('../../sw/sqlite-store.js', import.meta.url).href)};
    import { item, kLimits } from ${JSON.stringify(new URL('./store.contract.js', import.meta.url).href)};
    const store = await openSqliteStore({ path: ${JSON.stringify(path())} });
    for (let i = 0; i < 900; i++) {
      const [seq] = await store.accept([item(String(i), 'x'.repeat(i))], kLimits);
      process.stdout.write(seq + '\\n');
    }
  `], { stdio: ['ignore', 'pipe', 'inherit'] });
  let heard = '';
  for await (const chunk of child.stdout) {
    heard += chunk;
    if (heard.length > 300 && !child.killed) child.kill('SIGKILL');
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  assert.equal(child.signalCode, 'SIGKILL');
  const acknowledged = heard.slice(0, heard.lastIndexOf('\n')).split('\n').map(Number);
  const store = await sqlite.again();
  const rows = new Map((await store.rows(0, 1000)).map((row) => [row.seq, row]));
  for (const seq of acknowledged) {
    assert.ok(rows.has(seq), `op ${seq} is lost`);
    assert.equal((await store.get('payloads', payloadKey(seq, 'next'))).length, rows.get(seq).sizeBytes);
  }
  assert.ok(rows.size - acknowledged.length <= 1000 && acknowledged.length > 50);
  assert.deepEqual((await store.get('state', 'totals')).ops, rows.size);
  await store.close();
});

test('SQLite: the drain lock is for one, waits, and is free when its holder is gone', async () => {
  const lock = sqliteLock({ path: join(directory, 'a.lock'), clock });
  const never = new AbortController();
  const release = await lock.take(never.signal);
  const impatient = new AbortController();
  impatient.abort();
  assert.equal(await sqliteLock({ path: join(directory, 'a.lock'), clock }).take(impatient.signal), null);
  const waiting = sqliteLock({ path: join(directory, 'a.lock'), clock }).take(never.signal);
  release();
  (await waiting)();
});

test('a realm that is refused Web Locks goes by the lease alone; one that waited in vain is told so', async () => {
  const refusing = webLocks(/** @type {any} */ ({ request: async () => { throw new DOMException('denied', 'SecurityError'); } }));
  assert.equal(await refusing.take(new AbortController().signal), undefined);
  const held = webLocks(/** @type {any} */ ({ request: (_, { signal }) => new Promise((_, reject) => { signal.addEventListener('abort', () => reject(signal.reason)); }) }));
  const stop = new AbortController();
  const taking = held.take(stop.signal);
  stop.abort();
  assert.equal(await taking, null);
});

test('IndexedDB: of a commit of hundreds of writes at most a hundred are asked for before the first of them is answered', async (t) => {
  const store = await indexed.fresh();
  t.after(() => store.close());
  const { token } = await store.acquireLease({ holder: 'a', nowMs: 1000, ttlMs: 30_000, codeVersion: '1' });
  const put = IDBObjectStore.prototype.put;
  let asked = 0, outstanding = 0, most = 0;
  t.after(() => { IDBObjectStore.prototype.put = put; });
  IDBObjectStore.prototype.put = function (...args) {
    const request = put.apply(this, args);
    asked += 1;
    most = Math.max(most, ++outstanding);
    request.addEventListener('success', () => { outstanding -= 1; });
    return request;
  };
  const writes = Array.from({ length: 350 }, (_, n) => ({ store: 'history', key: `h${n}`, value: { n } }));
  assert.equal(await store.commit({ token, knownSeq: 0, lanes: [], writes }), 'ok');
  assert.equal(asked, 350);
  assert.equal(most, 100);
  assert.equal((await store.list('history', { limit: 1000 })).length, 350);
});

test('IndexedDB: a write that fails behind the first hundred takes all of the commit with it', async (t) => {
  const store = await indexed.fresh();
  t.after(() => store.close());
  const { token } = await store.acquireLease({ holder: 'a', nowMs: 1000, ttlMs: 30_000, codeVersion: '1' });
  const writes = Array.from({ length: 250 }, (_, n) => ({ store: 'history', key: `h${n}`, value: n === 220 ? { refused: () => {} } : { n } }));
  await assert.rejects(store.commit({ token, knownSeq: 0, lanes: [], writes }), { name: 'StoreError' });
  assert.deepEqual(await store.list('history'), []);
});
