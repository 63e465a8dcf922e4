// The store contract of docs/architecture.md as a suite. Both stores run it, so that what holds in Node holds in the browser.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { payloadKey } from '../../sw/store-rules.js';

export const kLimits = { maxOps: 1000, maxBytes: 1_000_000 };
const kTtlMs = 30_000;
export const bytes = (text) => new TextEncoder().encode(text);
const text = (found) => new TextDecoder().decode(found);

let count = 0;
/** An item as sw/accept.js makes them. */
export function item(entityId, body, more = {}) {
  const id = `op-${++count}`;
  const row = {
    id, lane: `:NOTE/${entityId}`, owner: '', entity: 'NOTE', entityId, action: 'save', priority: 'normal', schemaVersion: 0, createdAt: 1,
    contentType: '', sizeBytes: body === null ? 0 : body.length, state: 'queued', ...more,
  };
  return { row, bytes: body === null ? null : bytes(body) };
}

const ask = (holder, nowMs, more = {}) => ({ holder, nowMs, ttlMs: kTtlMs, codeVersion: '1', ...more });

/**
 * @param {string} name
 * @param {{fresh: () => Promise<any>, again: (store: any) => Promise<any>, remove: () => Promise<void>}} maker  `again`: a second connection to the same data
 */
export function storeContract(name, maker) {
  const stored = (claim, body) => test(`${name}: ${claim}`, async () => {
    const store = await maker.fresh();
    try { await body(store); } finally { await store.close(); await maker.remove(); }
  });

  stored('accept gives ascending sequences and stores row, payload and document together', async (store) => {
    const [a, b] = await store.accept([item('1', '{"a":1}'), item('2', '{"b":2}')], kLimits);
    assert.ok(a >= 1 && b > a);
    const rows = await store.rows(0, 10);
    assert.deepEqual(rows.map(({ seq, entityId, action, state }) => [seq, entityId, action, state]), [[a, '1', 'create', 'queued'], [b, '2', 'create', 'queued']]);
    assert.equal(text(await store.get('payloads', payloadKey(a, 'next'))), '{"a":1}');
    const doc = await store.get('docs', ':NOTE/1');
    assert.equal(text(doc.bytes), '{"a":1}');
    assert.deepEqual({ ...doc, bytes: 0 }, { entity: 'NOTE', entityId: '1', owner: '', contentType: '', deleted: false, opId: rows[0].id, seq: a, bytes: 0 });
  });

  stored('"save" is a create for an entity that is not shown and an update for one that is, also inside one accept', async (store) => {
    await store.accept([item('1', 'a'), item('1', 'b'), item('1', null, { action: 'delete' }), item('1', 'c')], kLimits);
    await store.accept([item('1', 'd')], kLimits);
    assert.deepEqual((await store.rows(0, 10)).map(({ action }) => action), ['create', 'update', 'delete', 'create', 'update']);
  });

  stored('a delete leaves a document that is deleted and has no bytes, and no payload', async (store) => {
    const [, seq] = await store.accept([item('1', 'a'), item('1', null, { action: 'delete' })], kLimits);
    const doc = await store.get('docs', ':NOTE/1');
    assert.equal(doc.deleted, true);
    assert.equal(doc.bytes, undefined);
    assert.equal(await store.get('payloads', payloadKey(seq, 'next')), undefined);
  });

  stored('stage puts a payload under no op and no lease, counts nothing, and takes away those of a prefix and no others', async (store) => {
    const [seq] = await store.accept([item('1', 'a')], kLimits);
    const { totals } = await store.census();
    for (const key of ['up:x:00000', 'up:x:00001', 'up:y:00000']) await store.stage({ store: 'payloads', key, bytes: bytes(key) });
    assert.equal(text(await store.get('payloads', 'up:x:00001')), 'up:x:00001');
    assert.deepEqual((await store.list('payloads', { prefix: 'up:x:' })).map(({ key }) => key), ['up:x:00000', 'up:x:00001']);
    assert.deepEqual((await store.census()).totals, totals);
    await store.stage({ store: 'payloads', prefix: 'up:x:', remove: true });
    assert.deepEqual((await store.list('payloads')).map(({ key }) => key), [payloadKey(seq, 'next'), 'up:y:00000']);
  });

  stored('an accept over the limits is refused as "full" and leaves nothing', async (store) => {
    await store.accept([item('1', 'aaa')], kLimits);
    const before = await everything(store);
    await assert.rejects(store.accept([item('2', 'a'), item('3', 'a')], { maxOps: 2, maxBytes: 100 }), { name: 'StoreError', code: 'full', message: /at most 2 operations.*got 3/ });
    await assert.rejects(store.accept([item('2', 'aaa')], { maxOps: 9, maxBytes: 5 }), { code: 'full', message: /at most 5 bytes.*got 6/ });
    assert.deepEqual(await everything(store), before);
  });

  stored('room is made by commits that remove ops', async (store) => {
    const [seq] = await store.accept([item('1', 'aaa')], kLimits);
    const { token } = await store.acquireLease(ask('a', 0));
    const tight = { maxOps: 1, maxBytes: 3 };
    await assert.rejects(store.accept([item('2', 'bbb')], tight), { code: 'full' });
    assert.equal(await store.commit({ token, knownSeq: seq, lanes: [], writes: [{ store: 'ops', key: seq, remove: true }] }), 'ok');
    await store.accept([item('2', 'bbb')], tight);
    const { ops, bytes: size } = await store.get('state', 'totals');
    assert.deepEqual([ops, size], [1, 3]);
  });

  stored('the census says what is there and what should be: the installation, the highest sequence number, the rows', async (store) => {
    assert.deepEqual(await store.census(), { rows: 0, totals: { ops: 0, bytes: 0 } });
    const first = item('1', 'aaa');
    await store.accept([first, item('2', 'b')], kLimits);
    await store.accept([item('3', 'c')], kLimits);
    const { token } = await store.acquireLease(ask('a', 0));
    await store.commit({ token, knownSeq: 3, lanes: [], writes: [{ store: 'ops', key: 3, remove: true }] });
    assert.deepEqual(await store.census(), { rows: 2, totals: { ops: 2, bytes: 4, install: first.row.id, lastSeq: 3 } });
    await store.commit({ token, knownSeq: 3, lanes: [], writes: [{ store: 'state', key: 'totals', value: { ops: 9, bytes: 4 } }] });
    assert.equal((await store.census()).rows, 2);
  });

  stored('tickets rise, whatever the clock does, and none is given twice', async (store) => {
    assert.deepEqual(await Promise.all([store.ticket(1000.5), store.ticket(1000), store.ticket(400)]), [1000, 1001, 1002]);
    assert.equal(await store.ticket(5000), 5000);
    assert.equal(await store.ticket(0), 5001);
  });

  stored('a row that was rewritten without its zeros is counted right when it goes', async (store) => {
    const [, seq] = await store.accept([item('1', 'aaa'), item('2', null, { action: 'delete' })], kLimits);
    const { token } = await store.acquireLease(ask('a', 0));
    const { sizeBytes: _, ...row } = await store.get('ops', seq);
    await store.commit({ token, knownSeq: seq, lanes: [], writes: [{ store: 'ops', key: seq, value: row }] });
    await store.commit({ token, knownSeq: seq, lanes: [], writes: [{ store: 'ops', key: seq, remove: true }] });
    const { ops, bytes: size } = await store.get('state', 'totals');
    assert.deepEqual([ops, size], [1, 3]);
  });

  stored('a row that a merge made larger takes no more out of the totals than there is', async (store) => {
    const [seq] = await store.accept([item('1', 'aaa')], kLimits);
    const row = await store.get('ops', seq);
    const { token } = await store.acquireLease(ask('a', 0));
    await store.commit({ token, knownSeq: seq, lanes: [], writes: [{ store: 'ops', key: seq, value: { ...row, sizeBytes: 9 } }] });
    await store.commit({ token, knownSeq: seq, lanes: [], writes: [{ store: 'ops', key: seq, remove: true }] });
    const { ops, bytes: size } = await store.get('state', 'totals');
    assert.deepEqual([ops, size], [0, 0]);
  });

  stored('an op id is accepted once', async (store) => {
    const one = item('1', 'a');
    await store.accept([one], kLimits);
    const before = await everything(store);
    await assert.rejects(store.accept([item('2', 'b'), one], kLimits), { name: 'StoreError', code: 'internal' });
    assert.deepEqual(await everything(store), before);
  });

  stored('a sequence is never given twice, also after the last row is gone', async (store) => {
    const [, last] = await store.accept([item('1', 'a'), item('2', 'b')], kLimits);
    const { token } = await store.acquireLease(ask('a', 0));
    await store.commit({ token, knownSeq: last, lanes: [], writes: [{ store: 'ops', key: last, remove: true }] });
    const [next] = await store.accept([item('3', 'c')], kLimits);
    assert.ok(next > last);
  });

  stored('rows come in windows, by sequence; a row is found by id', async (store) => {
    const items = Array.from({ length: 7 }, (_, i) => item(String(i), 'x'));
    const seqs = await store.accept(items, kLimits);
    assert.deepEqual((await store.rows(seqs[1], 3)).map(({ seq }) => seq), seqs.slice(2, 5));
    assert.deepEqual((await store.rows(seqs[6], 3)), []);
    assert.equal((await store.rowById(items[4].row.id)).seq, seqs[4]);
    assert.equal(await store.rowById('nobody'), undefined);
    assert.equal((await store.get('ops', seqs[2])).entityId, '2');
  });

  stored('getMany answers in the order asked, undefined where nothing is', async (store) => {
    const [seq] = await store.accept([item('1', 'a')], kLimits);
    const [none, found] = await store.getMany('payloads', [payloadKey(0, 'next'), payloadKey(seq, 'next')]);
    assert.equal(none, undefined);
    assert.ok(found instanceof Uint8Array);
    assert.equal(text(found), 'a');
    assert.deepEqual(await store.getMany('payloads', []), []);
  });

  stored('list goes through a prefix in pages', async (store) => {
    await store.accept(['b', 'a', 'c'].map((id) => item(id, id)).concat([item('z', 'z', { entity: 'NOTES', lane: ':NOTES/z' })]), kLimits);
    const keys = async (options) => (await store.list('docs', options)).map(({ key }) => key);
    assert.deepEqual(await keys({ prefix: ':NOTE/' }), [':NOTE/a', ':NOTE/b', ':NOTE/c']);
    assert.deepEqual(await keys({ prefix: ':NOTE/', limit: 2 }), [':NOTE/a', ':NOTE/b']);
    assert.deepEqual(await keys({ prefix: ':NOTE/', after: ':NOTE/a' }), [':NOTE/b', ':NOTE/c']);
    assert.deepEqual(await keys({}), [':NOTE/a', ':NOTE/b', ':NOTE/c', ':NOTES/z']);
    assert.equal(text((await store.list('docs', { prefix: ':NOTE/', limit: 1 }))[0].value.bytes), 'a');
  });

  stored('a lease is held by one, and each has a higher token', async (store) => {
    const a = await store.acquireLease(ask('a', 1000));
    assert.equal(await store.acquireLease(ask('b', 1000 + kTtlMs - 1)), null);
    const b = await store.acquireLease(ask('b', 1000 + kTtlMs));
    assert.ok(b.token > a.token);
    assert.equal(await store.renewLease({ token: a.token, nowMs: 1000 + kTtlMs, ttlMs: kTtlMs }), false);
  });

  stored('a renewed lease holds on, a released one is free at once', async (store) => {
    const a = await store.acquireLease(ask('a', 0));
    assert.equal(await store.renewLease({ token: a.token, nowMs: 20_000, ttlMs: kTtlMs }), true);
    assert.equal(await store.acquireLease(ask('b', 45_000)), null);
    await store.releaseLease({ token: a.token });
    const b = await store.acquireLease(ask('b', 45_000));
    await store.releaseLease({ token: a.token });   // too late: changes nothing
    assert.equal(await store.renewLease({ token: b.token, nowMs: 45_000, ttlMs: kTtlMs }), true);
  });

  stored('the holder itself, and who holds the lock, may take the lease anew; the old token is fenced', async (store) => {
    const a = await store.acquireLease(ask('a', 0));
    const again = await store.acquireLease(ask('a', 1));
    const b = await store.acquireLease(ask('b', 2, { takeover: true }));
    assert.ok(a.token < again.token && again.token < b.token);
    for (const { token } of [a, again]) assert.equal(await store.commit({ token, knownSeq: 0, lanes: [], writes: [] }), 'fenced');
  });

  stored('a lease that was given back is free at once, but to who is refused the lock only when its time is over', async (store) => {
    const a = await store.acquireLease(ask('a', 0));
    await store.releaseLease({ token: a.token });
    assert.equal(await store.acquireLease(ask('b', 1, { takeover: null })), null, 'whoever has the lock may be about to begin again');
    const b = await store.acquireLease(ask('b', kTtlMs, { takeover: null }));
    assert.ok(b.token > a.token, 'and one that was frozen there holds nobody up for longer');
    await store.releaseLease({ token: b.token });
    assert.ok((await store.acquireLease(ask('c', kTtlMs + 1))).token > b.token, 'where there are no locks');
  });

  stored('a lease from a clock that was set back does not block', async (store) => {
    await store.acquireLease(ask('a', 86_400_000));
    assert.notEqual(await store.acquireLease(ask('b', 0)), null);
  });

  stored('the lease brings the state a drain starts from', async (store) => {
    const a = await store.acquireLease(ask('a', 0));
    assert.deepEqual([a.snapshot, a.core, a.settings, a.rules], [undefined, undefined, undefined, undefined]);
    await store.commit({ token: a.token, knownSeq: 0, lanes: [], writes: [
      { store: 'state', key: 'snapshot', bytes: new Uint8Array([1, 2, 3]) }, { store: 'state', key: 'core', value: { budget: 7 } },
      { store: 'state', key: 'settings', value: { enabled: false } }, { store: 'state', key: 'rules', value: [{ name: 'r' }] }] });
    const b = await store.acquireLease(ask('b', 0, { takeover: true }));
    assert.deepEqual([...b.snapshot], [1, 2, 3]);
    assert.deepEqual([b.core, b.settings, b.rules], [{ budget: 7 }, { enabled: false }, [{ name: 'r' }]]);
  });

  stored('a fenced commit writes nothing', async (store) => {
    const [seq] = await store.accept([item('1', 'a')], kLimits);
    const a = await store.acquireLease(ask('a', 0));
    const b = await store.acquireLease(ask('b', 0, { takeover: true }));
    const before = await everything(store);
    const writes = [{ store: 'ops', key: seq, remove: true }, { store: 'payloads', prefix: payloadKey(seq), remove: true }, { store: 'history', key: 'h', value: {} }];
    assert.equal(await store.commit({ token: a.token, knownSeq: seq, lanes: [], writes }), 'fenced');
    assert.deepEqual(await everything(store), before);
    await store.releaseLease({ token: b.token });
    const released = await everything(store);
    assert.equal(await store.commit({ token: b.token, knownSeq: seq, lanes: [], writes }), 'fenced', 'a released lease writes nothing either');
    assert.deepEqual(await everything(store), released);
  });

  stored('a commit is stale when a newer op is in one of its lanes, and only then', async (store) => {
    const [seq] = await store.accept([item('1', 'a')], kLimits);
    const { token } = await store.acquireLease(ask('a', 0));
    await store.accept([item('2', 'b')], kLimits);
    const commit = { token, knownSeq: seq, lanes: [':NOTE/1'], writes: [{ store: 'history', key: 'h', value: { n: 1 } }] };
    assert.equal(await store.commit(commit), 'ok');
    await store.accept([item('1', 'c')], kLimits);
    const before = await everything(store);
    assert.equal(await store.commit({ ...commit, writes: [{ store: 'history', key: 'h', value: { n: 2 } }] }), 'stale');
    assert.deepEqual(await everything(store), before);
  });

  stored('also while hundreds of ops are not known yet, whether the newest document of the lane is an accept\'s, the drain\'s or none', async (store) => {
    const [seq] = await store.accept([item('1', 'a'), item('2', 'b'), item('3', 'c')], kLimits);
    const { token } = await store.acquireLease(ask('a', 0));
    for (let n = 0; n < 6; n++) await store.accept(Array.from({ length: 100 }, (_, i) => item(`x${n}-${i}`, 'x')), kLimits);
    await store.accept([item('2', 'd')], kLimits);
    const commit = (lanes, more = {}) => store.commit({ token, knownSeq: seq + 2, lanes, writes: [], ...more });
    assert.equal(await commit([':NOTE/1', ':NOTE/3', ':NOTE/unheard-of']), 'ok');
    assert.equal(await commit([':NOTE/1', ':NOTE/2']), 'stale');
    const [{ value }] = await store.list('docs', { prefix: ':NOTE/1' });
    await store.commit({ token, knownSeq: seq + 1000, lanes: [], writes: [{ store: 'docs', key: ':NOTE/1', value: { ...value, bytes: undefined, seq } }] });
    assert.equal(await commit([':NOTE/1']), 'ok');
    await store.commit({ token, knownSeq: seq + 1000, lanes: [], writes: [{ store: 'docs', key: ':NOTE/2', value: { entity: 'NOTE', entityId: '2' } }] });
    assert.equal(await commit([':NOTE/2']), 'stale', 'a document that says nothing of it: the ops do');
  });

  stored('writes happen in order: values, bytes, both, removals by key and by prefix', async (store) => {
    const [seq] = await store.accept([item('1', 'a')], kLimits);
    const row = (await store.rows(0, 1))[0];
    const { token } = await store.acquireLease(ask('a', 0));
    const commit = (writes) => store.commit({ token, knownSeq: seq, lanes: [], writes });
    assert.equal(await commit([
      { store: 'ops', key: seq, value: { ...row, state: 'sending', attempts: 1 } },
      { store: 'payloads', key: payloadKey(seq, 'body'), bytes: bytes('delta') },
      { store: 'payloads', key: payloadKey(seq * 10, 'next'), bytes: bytes('other op') },
      { store: 'bases', key: ':NOTE/1', value: { etag: '"1"' }, bytes: bytes('base') },
      { store: 'history', key: 'twice', value: 1 }, { store: 'history', key: 'twice', value: 2 },
      { store: 'history', key: 'gone', value: 1 }, { store: 'history', key: 'gone', remove: true },
    ]), 'ok');
    assert.equal((await store.get('ops', seq)).state, 'sending');
    assert.equal((await store.rowById(row.id)).attempts, 1);
    const base = await store.get('bases', ':NOTE/1');
    assert.equal(base.etag, '"1"');
    assert.equal(text(base.bytes), 'base');
    assert.equal(await store.get('history', 'twice'), 2);
    assert.equal(await store.get('history', 'gone'), undefined);
    assert.equal(await commit([{ store: 'payloads', prefix: payloadKey(seq), remove: true }, { store: 'ops', key: seq, remove: true }]), 'ok');
    assert.deepEqual(await store.rows(0, 10), []);
    assert.deepEqual((await store.list('payloads')).map(({ key }) => key), [payloadKey(seq * 10, 'next')]);
  });

  stored('"from" copies the bytes as they were before the commit', async (store) => {
    const [seq] = await store.accept([item('1', 'acknowledged')], kLimits);
    const { token } = await store.acquireLease(ask('a', 0));
    assert.equal(await store.commit({ token, knownSeq: seq, lanes: [], writes: [
      { store: 'payloads', prefix: payloadKey(seq), remove: true },
      { store: 'bases', key: ':NOTE/1', value: { etag: '"2"' }, from: { store: 'payloads', key: payloadKey(seq, 'next') } },
      { store: 'docs', key: ':NOTE/2', value: { entity: 'NOTE' }, from: { store: 'docs', key: ':NOTE/1' } },
      { store: 'bases', key: ':NOTE/3', value: { etag: '"3"' }, from: { store: 'payloads', key: 'nothing' } },
    ] }), 'ok');
    assert.equal(await store.get('payloads', payloadKey(seq, 'next')), undefined);
    const base = await store.get('bases', ':NOTE/1');
    assert.deepEqual([base.etag, text(base.bytes)], ['"2"', 'acknowledged']);
    assert.equal(text((await store.get('docs', ':NOTE/2')).bytes), 'acknowledged');
    assert.deepEqual(await store.get('bases', ':NOTE/3'), { etag: '"3"' });
  });

  stored('a commit with one impossible write writes nothing', async (store) => {
    const [seq] = await store.accept([item('1', 'a')], kLimits);
    const { token } = await store.acquireLease(ask('a', 0));
    const before = await everything(store);
    const writes = [{ store: 'history', key: 'h', value: 1 }, { store: 'history', key: 'f', value: () => 1 }, { store: 'nowhere', key: 'x', value: 1 }];
    await assert.rejects(store.commit({ token, knownSeq: seq, lanes: [], writes }), { name: 'StoreError' });
    assert.deepEqual(await everything(store), before);
  });

  stored('two connections at once: every op of both is kept, in one sequence, and each sees the other', async (store) => {
    const other = await maker.again(store);
    try {
      const both = await Promise.all(Array.from({ length: 40 }, (_, i) => (i % 2 ? store : other).accept([item(`${i}`, `${i}`)], kLimits)));
      const seqs = both.flat();
      assert.equal(new Set(seqs).size, 40);
      assert.equal((await store.rows(0, 100)).length, 40);
      assert.deepEqual(await other.rows(0, 100), await store.rows(0, 100));
      const { ops, bytes: size } = await other.get('state', 'totals');
      assert.deepEqual([ops, size], [40, 10 + 30 * 2]);
      const a = await store.acquireLease(ask('a', 0));
      assert.equal(await other.acquireLease(ask('b', 1)), null);
      const b = await other.acquireLease(ask('b', kTtlMs));
      assert.equal(await store.commit({ token: a.token, knownSeq: 0, lanes: [], writes: [] }), 'fenced');
      assert.equal(await other.commit({ token: b.token, knownSeq: Math.max(...seqs), lanes: [], writes: [] }), 'ok');
    } finally {
      await other.close();
    }
  });

  stored('bytes are stored as given: empty, views into larger buffers, all values', async (store) => {
    const all = Uint8Array.from({ length: 256 }, (_, i) => i);
    const cases = { empty: new Uint8Array(0), view: all.subarray(10, 20), all };
    const { token } = await store.acquireLease(ask('a', 0));
    const writes = Object.entries(cases).map(([key, value]) => ({ store: 'payloads', key, bytes: value }));
    assert.equal(await store.commit({ token, knownSeq: 0, lanes: [], writes }), 'ok');
    for (const [key, value] of Object.entries(cases)) assert.deepEqual([...(await store.get('payloads', key))], [...value]);
  });

  test(`${name}: FF-18: what was accepted is there for the next connection, and a closed store says "closed"`, async () => {
    const store = await maker.fresh();
    try {
      const [seq] = await store.accept([item('1', 'kept')], kLimits);
      await store.close();
      await store.close();
      await assert.rejects(store.rows(0, 1), { name: 'StoreError', code: 'closed' });
      const again = await maker.again(store);
      assert.equal(text(await again.get('payloads', payloadKey(seq, 'next'))), 'kept');
      await again.close();
    } finally {
      await maker.remove();
    }
  });
}

/** All that a store holds. */
export async function everything(store) {
  const kept = {};
  for (const name of ['payloads', 'bases', 'docs', 'state', 'history']) kept[name] = await store.list(name);
  return { ...kept, ops: await store.rows(0, 1000) };
}
