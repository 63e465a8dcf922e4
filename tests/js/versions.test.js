// Two releases of the code on one database, as while an update is installed: the next one (N) leaves members in rows, state and lease that this one (N-1) has never heard of,
// and they relieve each other at every await of a drain. N is this release with such members put into all that it stores.
import assert from 'node:assert/strict';
import { killSweep } from './mortal.js';

const kFuture = { since: 'N', more: [1, null] };
const kMembers = [...['core', 'settings'].map((key) => ({ store: 'state', key })), { store: 'ops', key: undefined }];
const withFuture = (/** @type {any} */ write) =>
  (write.value && kMembers.some(({ store, key }) => store === write.store && (key ?? write.key) === write.key) ? { ...write, value: { ...write.value, future: kFuture } } : write);

/** The store as release N uses it. */
const release = { around: (/** @type {any} */ store) => new Proxy(store, { get: (target, name) => ({
  accept: (items, limits) => target.accept(items.map(({ row, ...item }) => ({ ...item, row: { ...row, future: kFuture } })), limits),
  commit: (commit) => target.commit({ ...commit, writes: commit.writes.map(withFuture) }),
  acquireLease: async (ask) => {
    const granted = await target.acquireLease({ ...ask, codeVersion: 'N' });
    if (!granted) return null;
    const { token, holder, untilMs, ttlMs, codeVersion, abandoned } = granted;
    await target.commit({ token, knownSeq: 0, lanes: [], writes: [{ store: 'state', key: 'lease', value: { token, holder, untilMs, ttlMs, codeVersion, abandoned, future: kFuture } }] });
    return granted;
  },
})[name] ?? target[name] }) };

/** The store as release N-1 uses it, which is this one; what of N it was handed is counted. Rows go back with it. */
const found = { rows: 0, core: 0, settings: 0, again: 0 };
const handed = new Set();
const before = { around: (/** @type {any} */ store) => new Proxy(store, { get: (target, name) => ({
  rows: async (...asked) => {
    const rows = await target.rows(...asked);
    const newer = rows.filter(({ future }) => future);
    found.rows += newer.length;
    for (const { id } of newer) handed.add(id);
    return rows;
  },
  commit: (commit) => {
    for (const { store, value } of commit.writes)
      if (store === 'ops' && handed.has(value?.id)) {
        assert.deepEqual(value.future, kFuture);
        found.again++;
      }
    return target.commit(commit);
  },
  acquireLease: async (ask) => {
    const granted = await target.acquireLease(ask);
    for (const part of ['core', 'settings']) found[part] += granted?.[part]?.future ? 1 : 0;
    return granted;
  },
})[name] ?? target[name] }) };

for (const [claim, dying, others, last] of [['N that is relieved by N-1', release, before, '1'], ['N-1 that is relieved by N', before, release, 'N']])
  killSweep(`killed at every await of a drain of ${claim}, which had drained before: no op is lost, none has two effects, and what one does not know hinders it in nothing`, {
    least: 15, before: others, shell: dying, after: () => others,
    begin: async ({ accept, drained }) => {
      const ids = [await accept('a', { text: 'y'.repeat(400), n: 0 }), await accept('b', { n: 0 })];
      await drained({ maxBatchOps: 3 });
      return [...ids, await accept('a', { text: 'y'.repeat(400), n: 1 }), await accept('b', undefined, { action: 'delete' }), await accept('c', { n: 1 }), await accept('c', { n: 2 })];
    },
    expect: async ({ store, there, when }) => {
      assert.deepEqual([JSON.parse(String(there.a)), there.b, String(there.c)], [{ text: 'y'.repeat(400), n: 1 }, null, '{"n":2}'], when);
      const [lease, settings] = await Promise.all(['lease', 'settings'].map((key) => store.get('state', key)));
      assert.equal(lease.codeVersion, last, `${when}: the lease says whose it was`);
      assert.equal(settings.maxBatchOps, 3, `${when}: settings`);
    },
    atEnd: () => {
      for (const part of dying === release ? ['rows', 'core', 'again'] : ['rows', 'core', 'settings', 'again']) assert.ok(found[part] > 0, `N-1 found members of N: ${JSON.stringify(found)}`);
      for (const part of Object.keys(found)) found[part] = 0;
    },
  });
