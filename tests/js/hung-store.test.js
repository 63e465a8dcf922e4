// A call of IndexedDB that does not answer: the drain behind it ends with "hung" and gives its lock back, the next one opens the database anew, and whatever becomes of the call,
// no op is lost and none has two effects. Every transaction of a drain is the one that hangs, in turn.
import 'fake-indexeddb/auto';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IDBFactory } from 'fake-indexeddb';
import { buildRow } from '../../sw/accept.js';
import { clock } from '../../sw/clock.js';
import { StoreError } from '../../sw/errors.js';
import { random } from '../../sw/random.js';
import { kAnswerMs, openStore } from '../../sw/store.js';
import { drainAll, mortal } from './mortal.js';
import { rowsOf, startServer } from './server-harness.js';
import { everything, kLimits } from './store.contract.js';

const { transaction } = IDBDatabase.prototype;
const kHour = 3_600_000;
const kContext = { owner: '', schemaVersion: 0, clock, random, maxOpBytes: 2 ** 20, fieldNames: () => [] };

/** What a client does in save(). */
const save = async (store, entity, entityId, doc) => store.accept([await buildRow({ entity, entityId, doc }, kContext, '')], kLimits);

/**
 * A store of which one transaction, the `at`th from now on, does not answer: `how` says how. `alarm()` resolves with what tells the store that its time is over, when it waits for that one.
 * @param {any} t @param {number} at @param {(tx: IDBTransaction, begin: () => IDBTransaction) => IDBTransaction} how
 */
async function storeThatHangs(t, at, how) {
  let seen = 0, next = false, heard;
  const alarm = new Promise((resolve) => { heard = resolve; });
  const watch = { ...clock, timer: (ms, run) => {
    if (ms !== kAnswerMs) return clock.timer(ms, run);
    if (next) heard(run);
    next = false;
    return () => {};
  } };
  const store = await openStore({ clock: watch });
  t.after(() => { IDBDatabase.prototype.transaction = transaction; });
  const arm = () => {
    IDBDatabase.prototype.transaction = function (...args) {
      const begin = () => transaction.apply(this, args);
      if (++seen !== at) return begin();
      next = true;
      return how(this, begin);
    };
  };
  return { store, arm, alarm };
}

/** It is performed, and nobody hears of it. */
const unheard = () => {
  let done;
  const performed = new Promise((resolve) => { done = resolve; });
  return { performed, release: () => {}, how: (_db, begin) => {
    const tx = begin(), { addEventListener } = tx;
    addEventListener.call(tx, 'complete', done);
    tx.addEventListener = (type, ...rest) => { if (type !== 'complete') addEventListener.call(tx, type, ...rest); };
    return tx;
  } };
};

/** It waits behind another that does not end, until that is released. */
const behindAnother = () => {
  let released = false;
  return { performed: Promise.resolve(), release: () => { released = true; }, how: (db, begin) => {
    const other = transaction.call(db, [...db.objectStoreNames], 'readwrite').objectStore('state');
    const again = () => { if (!released) other.count().onsuccess = again; };
    again();
    return begin();
  } };
};

for (const [what, made] of [['is performed and never answers', unheard], ['hangs, and is performed late', behindAnother]])
  test(`whichever transaction of a drain ${what}, the drain ends as "hung" and gives its lock back; the next one finishes, and each op has one effect`, async (t) => {
    const server = await startServer(t);
    const time = { ahead: 0 };
    let at = 1, codes = 0;
    for (let hung = true; hung; at++) {
      globalThis.indexedDB = new IDBFactory();
      const entity = `HUNG${at}`;
      const { how, release, performed } = made();
      const scene = await storeThatHangs(t, at, how);
      const { store } = scene;
      for (const [id, n] of [['a', 1], ['a', 2], ['b', 3]]) await save(store, entity, id, { n });
      const turns = mortal({ store, api: server.api, time });
      scene.arm();
      const drain = turns.ask({ event: { type: 'sync' } });
      const late = await Promise.race([scene.alarm, drain.end.then(() => null)]);
      hung = late !== null;
      IDBDatabase.prototype.transaction = transaction;
      if (hung) {
        await performed;
        late();
        const end = await drain.end;
        if (!end.ok) {   // the last of a drain gives the lease back, which does not matter
          codes += 1;
          assert.deepEqual([end.error.name, end.error.code, end.reject], ['StoreError', 'hung', true], `transaction ${at}`);
        }
        (await turns.deps.locks.take(new AbortController().signal))();
      }
      const again = drainAll(turns, store, time);
      release();
      await again;
      const effects = rowsOf(server.file, `SELECT op_id FROM effects WHERE entity = '${entity}'`).map(({ op_id }) => op_id);
      assert.equal(new Set(effects).size, effects.length, `transaction ${at}: an op has two effects`);
      assert.deepEqual([(await server.get(`${entity}/a`)).text, (await server.get(`${entity}/b`)).text], ['{"n":2}', '{"n":3}'], `transaction ${at}`);
      assert.deepEqual((await store.get('state', 'totals')).ops, 0);
      await store.close();
    }
    t.diagnostic(`${at - 2} transactions`);
    assert.ok(codes >= 6, `${codes} of them ended a drain`);
  });

test('a commit that is late by a whole drain of another is fenced: it writes nothing', async (t) => {
  globalThis.indexedDB = new IDBFactory();
  const server = await startServer(t);
  const time = { ahead: 0 };
  const store = await openStore({ clock });
  await save(store, 'LATE', 'a', { n: 1 });
  const held = [];
  const around = (inner) => ({ ...inner, commit: async (commit) => {
    if (held.length > 0 || !commit.writes.some(({ store: name }) => name === 'ops')) return inner.commit(commit);
    held.push(() => inner.commit(commit));
    throw new StoreError('hung', 'it does not answer');
  } });
  const turns = mortal({ store, api: server.api, time, around });
  const end = await turns.ask({ event: { type: 'sync' } }).end;
  assert.equal(end.error.code, 'hung');
  assert.deepEqual(rowsOf(server.file, 'SELECT * FROM effects'), [], 'nothing left before its mark was stored');
  await drainAll(turns, store, time);
  const before = await everything(store);
  assert.equal(await held[0](), 'fenced');
  assert.deepEqual(await everything(store), before);
  assert.equal(rowsOf(server.file, 'SELECT * FROM effects').length, 1);
  await store.close();
});

test('a call on a hung connection is the last of it: the next is on a new one; a save is waited for as long as it takes', async (t) => {
  globalThis.indexedDB = new IDBFactory();
  const { how, release } = behindAnother();
  const scene = await storeThatHangs(t, 1, how);
  const { store } = scene;
  const closed = t.mock.method(IDBDatabase.prototype, 'close');
  const opened = t.mock.method(IDBFactory.prototype, 'open');
  scene.arm();
  const rows = assert.rejects(store.rows(0, 1), { name: 'StoreError', code: 'hung', message: `store tidegate: a transaction did not answer within ${kAnswerMs} ms` });
  (await scene.alarm)();
  await rows;
  assert.deepEqual([closed.mock.callCount(), opened.mock.callCount()], [1, 0]);
  const timers = t.mock.method(clock, 'timer');
  const saved = save(store, 'NOTE', 'n1', {});
  release();
  assert.equal((await saved).length, 1);
  assert.equal(opened.mock.callCount(), 1);
  assert.ok(timers.mock.calls.some(({ arguments: [ms] }) => ms > 24 * kHour), 'its timer is none');
  await store.close();
});
