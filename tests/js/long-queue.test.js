// A queue of many windows of rows: what goes first does not wait until all of it is read in, and nothing is sent twice or in another order for it.
import 'fake-indexeddb/auto';
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { clock } from '../../sw/clock.js';
import { openSqliteStore } from '../../sw/sqlite-store.js';
import { openStore } from '../../sw/store.js';
import { item, kLimits } from './store.contract.js';
import { drainAll, mortal } from './mortal.js';
import { rowsOf, startServer, temporaryDirectory } from './server-harness.js';

const kLimit = { ...kLimits, maxOps: 10_000 };
const stores = {
  SQLite: (t) => openSqliteStore({ path: join(temporaryDirectory(t), 'outbox.db') }),
  IndexedDB: (t) => openStore({ clock, name: t.name }),
};

/** What a commit counts for: one, but the answer to a batch of 200 is stored in two of a hundred, which are one together. @param {any[]} writes */
function share(writes) {
  const rows = writes.filter(({ store }) => store === 'ops');
  return rows.length === 100 && rows.every(({ remove }) => remove) ? 0.5 : 1;
}

async function queued(t, open, ids) {
  const { api, file } = await startServer(t);
  const store = await open(t);
  t.after(() => store.close());
  for (let at = 0; at < ids.length; at += 500)
    await store.accept(ids.slice(at, at + 500).map((id, i) => item(id, JSON.stringify({ n: at + i }))), kLimit);
  let windows = 0, commits = 0, beforeFirst = null;
  const counting = (inner) => ({
    ...inner,
    rows: (...args) => { windows += 1; return inner.rows(...args); },
    commit: (given) => { commits += share(given.writes); return inner.commit(given); },
  });
  const time = { ahead: 0 };
  const turns = mortal({ store: counting(store), api, time, sent: () => { beforeFirst ??= { windows, commits }; } });
  await drainAll(turns, store, time);
  return { beforeFirst, windows, commits, effects: rowsOf(file, 'SELECT * FROM effects ORDER BY n'), bodies: rowsOf(file, 'SELECT entity_id, body FROM documents') };
}

for (const [name, open] of Object.entries(stores)) {
  test(`${name}: of 1 500 entities the first are sent after one window`, async (t) => {
    const { beforeFirst, windows, effects } = await queued(t, open, Array.from({ length: 1500 }, (_, n) => `n${n}`));
    assert.ok(beforeFirst.windows <= 1, `${beforeFirst.windows} windows were read before the first request`);
    assert.ok(windows > 6, 'all of it was read');
    assert.equal(effects.length, 1500);
    assert.equal(new Set(effects.map(({ op_id }) => op_id)).size, 1500);
  });

  test(`${name}: entities that come again far behind are not sent before it is known, and arrive as they were last`, async (t) => {
    const ids = Array.from({ length: 4000 }, (_, n) => `n${n % 2000}`);
    const { commits, bodies } = await queued(t, open, ids);
    const last = Object.fromEntries(ids.map((id, n) => [id, n]));
    assert.equal(bodies.length, 2000);
    for (const { entity_id, body } of bodies) assert.equal(JSON.parse(Buffer.from(body).toString()).n, last[entity_id], entity_id);
    assert.ok(commits < 28, `${commits} commits: a batch that must wait is not tried in every window`);
  });
}
