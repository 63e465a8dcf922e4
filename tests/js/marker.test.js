// Storage that goes away in silence is noticed, named, and nothing else is lost with it.
import 'fake-indexeddb/auto';
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { clock } from '../../sw/clock.js';
import { Marker, lossOf, markInCache } from '../../sw/marker.js';
import { openClient } from '../../sw/node.js';
import { openSqliteStore } from '../../sw/sqlite-store.js';
import { openStore } from '../../sw/store.js';
import { startServer, temporaryDirectory } from './server-harness.js';
import { item, kLimits } from './store.contract.js';
import { cacheStorage, wipe } from './sw-harness.js';

const mark = (more) => ({ install: 'a', lastSeq: 10, ops: 4, atMs: 5, ...more });
const census = (more, rows) => ({ rows: rows ?? more?.ops ?? 4, totals: { install: 'a', lastSeq: 10, ops: 4, bytes: 0, ...more } });

test('what counts as a loss', () => {
  assert.equal(lossOf(null, { rows: 0, totals: { ops: 0, bytes: 0 } }, 9), null);          // a first visit
  assert.equal(lossOf(null, census(), 9), null);                                            // only the mark is gone
  assert.equal(lossOf(mark(), census(), 9), null);
  assert.equal(lossOf(mark(), census({ lastSeq: 11, ops: 5 }), 9), null);                   // the mark is behind
  assert.equal(lossOf(mark(), census({ ops: 0 }), 9), null);                                // everything was sent
  assert.deepEqual(lossOf(mark(), { rows: 0, totals: { ops: 0, bytes: 0 } }, 9), { kind: 'emptied', lostOps: 4, lastSeenMs: 5, foundMs: 9 });
  assert.deepEqual(lossOf(mark(), census({ install: 'b', lastSeq: 99 }), 9)?.kind, 'emptied');   // emptied, and written to since
  assert.deepEqual(lossOf(mark(), census({ lastSeq: 7 }), 9), { kind: 'truncated', lostOps: 3, lastSeenMs: 5, foundMs: 9 });
  assert.deepEqual(lossOf(mark(), census({}, 1), 9), { kind: 'truncated', lostOps: 3, lastSeenMs: 5, foundMs: 9 });   // 1 of 4 rows is left
  assert.deepEqual(lossOf(null, census({}, 1), 9)?.kind, 'truncated');
});

for (const [kind, damage] of [
  ['emptied', async () => { await wipe(); }],
  ['truncated', async (store) => {
    const { token } = await store.acquireLease({ holder: 'x', nowMs: 1, ttlMs: 1, codeVersion: '1' });
    const totals = await store.get('state', 'totals');
    await store.commit({ token, knownSeq: 3, lanes: [], writes: [{ store: 'ops', key: 2, remove: true }, { store: 'ops', key: 3, remove: true }] });
    await store.commit({ token, knownSeq: 3, lanes: [], writes: [{ store: 'state', key: 'totals', value: totals }] });
  }],
])
  test(`in a browser: a database that was ${kind} shows when it is opened, once`, async () => {
    await wipe();
    const caches = cacheStorage({});
    const losses = [];
    const open = async () => {
      const store = await openStore({ clock });
      return { store, marker: new Marker(markInCache(caches, 'https://app.example/'), store, clock, (loss) => losses.push(loss)) };
    };
    const first = await open();
    assert.equal(await first.marker.check(), null);
    await first.store.accept([item('1', 'a'), item('2', 'b'), item('3', 'c')], kLimits);
    await first.marker.check();
    if (kind === 'truncated') await damage(first.store);
    await first.store.close();
    if (kind === 'emptied') await damage();
    const second = await open();
    assert.equal((await second.marker.check())?.kind, kind);
    assert.deepEqual(losses.map(({ kind, lostOps }) => [kind, lostOps]), [[kind, kind === 'emptied' ? 3 : 2]]);
    if (kind === 'emptied') assert.equal(await second.marker.check(), null);   // before anything is saved
    const next = item('9', 'x');
    await second.store.accept([next], kLimits);   // goes on
    assert.equal((await second.store.rows(0, 10)).at(-1).id, next.row.id);
    await second.store.close();
  });

test('a loss that the worker finds is shown by the next page, and by that one only', async () => {
  await wipe();
  const place = markInCache(cacheStorage({}), 'https://app.example/');
  const store = await openStore({ clock });
  const marker = (/** @type {boolean} */ shows) => new Marker(place, store, clock, () => {}, shows);
  await store.accept([item('1', 'a')], kLimits);
  await place.write({ install: 'another', lastSeq: 5, ops: 4, atMs: 7 });
  const worker = marker(false);
  const loss = await worker.check();
  assert.deepEqual({ ...loss, foundMs: 0 }, { kind: 'emptied', lostOps: 4, lastSeenMs: 7, foundMs: 0 });
  await worker.close();                                        // it writes its mark
  assert.deepEqual(await marker(false).check(), loss);         // the worker's next life
  assert.deepEqual(await marker(true).check(), loss);
  await worker.close();
  assert.equal(await marker(true).check(), null);
  await store.close();
});

test('headless: a database that vanished is a typed status and an event; what is saved from then on is kept', async (t) => {
  const { api } = await startServer(t);
  const path = join(temporaryDirectory(t), 'a.db');
  const open = () => openClient({ path, endpoint: api, autoSync: false });
  const before = await open();
  for (let n = 0; n < 3; n++) await before.save('NOTE', `${n}`, { n });
  assert.equal((await before.status()).storage, null);
  await before.close();
  for (const end of ['', '-wal', '-shm']) rmSync(path + end, { force: true });
  const after = await open();
  t.after(() => after.close());
  const { kind, lostOps } = (await after.status()).storage;
  assert.deepEqual([kind, lostOps], ['emptied', 3]);
  await after.save('NOTE', '9', {});
  assert.equal((await after.ops()).length, 1);
});

test('a place that fails or is damaged is no mark, and harms nobody', async () => {
  for (const place of [null, { read: async () => { throw new Error('no'); }, write: async () => { throw new Error('no'); } }]) {
    const store = await openSqliteStore({ path: ':memory:' });
    const marker = new Marker(place, store, clock, () => assert.fail('a loss'));
    assert.equal(await marker.check(), null);
    await store.close();
    assert.equal(await marker.check(), null);
  }
});
