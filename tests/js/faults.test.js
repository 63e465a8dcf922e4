// Faults of docs/faults.md that no other file is about: a server that refuses what is compressed, a history that grows.
import assert from 'node:assert/strict';
import { createServer, request } from 'node:http';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { openClient } from '../../sw/node.js';
import { openSqliteStore } from '../../sw/sqlite-store.js';
import { rowsOf, startServer, temporaryDirectory } from './server-harness.js';

test('415 after compressing: the same ops go again without, and no later process compresses for that server', async (t) => {
  const server = await startServer(t);
  const seen = /** @type {boolean[]} */ ([]);
  const plainOnly = createServer((incoming, answer) => {
    const zipped = incoming.headers['content-encoding'] === 'gzip';
    seen.push(zipped);
    if (zipped) {
      incoming.resume();
      return answer.writeHead(415, { 'accept-encoding': 'identity' }).end();
    }
    incoming.pipe(request(`${server.url}${incoming.url}`, { method: incoming.method, headers: incoming.headers }, (got) => { got.pipe(answer.writeHead(got.statusCode ?? 500, got.headers)); }));
  });
  await once(plainOnly.listen(0, '127.0.0.1'), 'listening');
  t.after(() => { plainOnly.close(); plainOnly.closeAllConnections(); });
  const path = join(temporaryDirectory(t), 'outbox.db');
  const endpoint = `http://127.0.0.1:${/** @type {any} */ (plainOnly.address()).port}/api/v1`;
  for (const name of ['a', 'b', 'c']) {
    const client = await openClient({ path, endpoint, autoSync: false });
    t.after(() => client.close());
    await client.save('NOTE', name, { text: 'y'.repeat(5000) });
    await client.sync();
    assert.deepEqual(await client.ops(), []);
    await client.close();
    assert.equal((await server.get(`NOTE/${name}`)).status, 200);
  }
  assert.equal(seen[0], true, 'the first was compressed');
  assert.ok(seen.length >= 4);
  assert.ok(seen.slice(1).every((zipped) => !zipped), `${seen}`);
  assert.equal(rowsOf(server.file, 'SELECT * FROM effects').length, 3);
});

test('history grows to 1 000 sessions and 10 000 audit entries: from then on each new one takes the oldest away', async (t) => {
  const kMost = { session: 1000, audit: 10_000 };
  const { api } = await startServer(t);
  const path = join(temporaryDirectory(t), 'outbox.db');
  const open = async () => {
    const client = await openClient({ path, endpoint: api, autoSync: false });
    t.after(() => client.close());
    return client;
  };
  /** One session and one audit entry: the first of two edits is folded into the second. */
  const work = async () => {
    const client = await open();
    for (const n of [1, 2]) await client.save('NOTE', 'a', { n });
    await client.sync();
    await client.close();
  };
  const keys = async (/** @type {any} */ store, /** @type {string} */ kind) => (await store.list('history', { prefix: `${kind}/`, limit: 20_000 })).map(({ key }) => key);
  await work();
  // As it is after a long time: full to the limit.
  const store = await openSqliteStore({ path });
  const core = await store.get('state', 'core');
  const first = Object.fromEntries(await Promise.all(Object.keys(kMost).map(async (kind) => [kind, (await keys(store, kind)).at(-1)])));
  const numbered = (/** @type {string} */ kind, /** @type {number} */ n) => `${kind}/${String(n).padStart(first[kind].split('/')[1].length, '0')}`;
  const { value } = (await store.list('history', { prefix: 'session/' })).at(-1);
  const lease = await store.acquireLease({ holder: 'test', nowMs: Date.now(), ttlMs: 1000, codeVersion: '1', takeover: true });
  const writes = Object.entries(kMost).flatMap(([kind, most]) => Array.from({ length: most }, (_, i) => ({ store: 'history', key: numbered(kind, i + 1), value: { ...value, kind } })));
  await store.commit({ token: lease.token, knownSeq: 0, lanes: [], writes: [...writes,
    { store: 'state', key: 'core', value: { ...core, nextSession: kMost.session + 1, totals: { ...core.totals, audit: kMost.audit } } }] });
  await store.releaseLease(lease);
  await work();
  for (const [kind, most] of Object.entries(kMost)) {
    const left = await keys(store, kind);
    const added = left.filter((key) => key > numbered(kind, most)).length;
    assert.ok(added >= 1, `${kind}: something new`);
    assert.deepEqual([left.length, left[0], left.at(-1)], [most, numbered(kind, added + 1), numbered(kind, most + added)], kind);
  }
  await store.close();
});
