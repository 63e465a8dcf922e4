// The other direction, whole: two headless clients, the real core, real SQLite files and the real server on loopback.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { renameSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { openClient } from '../../sw/node.js';
import { openSqliteStore } from '../../sw/sqlite-store.js';
import { rowsOf, startServer, temporaryDirectory } from './server-harness.js';

/** A server and clients of it that drain only when asked. */
async function world(t, serverOptions) {
  const server = await startServer(t, serverOptions);
  const directory = temporaryDirectory(t);
  const open = async (name, options = {}) => {
    const client = await openClient({ path: join(directory, `${name}.db`), endpoint: server.api, autoSync: false, ...options });
    t.after(() => client.close());
    const events = [];
    client.subscribe((event) => events.push(event));
    return Object.assign(client, { events, told: () => events.flatMap(({ type, detail }) => (type === 'sync.documents' ? detail.documents : [])) });
  };
  return { ...server, directory, open, stored: (name) => openSqliteStore({ path: join(directory, `${name}.db`) }) };
}

async function until(condition, what = 'the awaited condition') {
  const end = Date.now() + 10_000;
  while (!(await condition())) {
    assert.ok(Date.now() < end, `${what} did not come`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('what one client saves, another gets by pull(), told by name; a tombstone takes it away again', async (t) => {
  const { open } = await world(t);
  const [a, b] = [await open('a'), await open('b')];
  await a.save('NOTE', 'n/1'.replace('/', ' '), { text: 'grüße', n: 9007199254740991 });
  await a.save('MEDIA', 'p', new Blob([Uint8Array.from([0, 255, 7])], { type: 'image/png' }));
  await a.sync();
  const session = await b.pull();
  assert.equal(session.itemsPulled, 1);   // the photo came by itself
  assert.deepEqual(await b.get('NOTE', 'n 1'), { text: 'grüße', n: 9007199254740991 });
  assert.deepEqual([...new Uint8Array(await (await b.get('MEDIA', 'p')).arrayBuffer())], [0, 255, 7]);
  assert.deepEqual(b.told().map(({ entity, entityId }) => `${entity}/${entityId}`).sort(), ['MEDIA/p', 'NOTE/n 1']);
  await a.delete('NOTE', 'n 1');
  await a.sync();
  await b.sync();   // it pulls from now on
  assert.equal(await b.get('NOTE', 'n 1'), undefined);
  assert.deepEqual(b.told().at(-1), { entity: 'NOTE', entityId: 'n 1', deleted: true });
});

test('two clients that edit different fields of one document, back and forth: both see both, without a conflict', async (t) => {
  const { open, get } = await world(t);
  const [a, b] = [await open('a'), await open('b')];
  await a.save('NOTE', '1', { title: 'x', left: 0, right: 0 });
  await a.sync({ direction: 'both' });
  await b.pull();
  for (let n = 1; n <= 5; n++) {
    await a.save('NOTE', '1', { ...(await a.get('NOTE', '1')), left: n });
    await b.save('NOTE', '1', { ...(await b.get('NOTE', '1')), right: n });
    await a.sync();
    await b.pull();    // rebases what b has not sent
    await b.sync();
    await a.pull();
    assert.deepEqual(await a.get('NOTE', '1'), { title: 'x', left: n, right: n });
  }
  assert.deepEqual(JSON.parse((await get('NOTE/1')).text), { title: 'x', left: 5, right: 5 });
  for (const client of [a, b]) assert.ok(!client.events.some(({ type }) => type === 'sync.conflict'));
});

test('FF-25: the echo of our own writes is recognised: nothing is told and nothing is written for it', async (t) => {
  const { open } = await world(t);
  const a = await open('a');
  await a.pull();
  for (let n = 0; n < 20; n++) await a.save('NOTE', `${n}`, { n });
  await a.sync();
  await a.pull();
  assert.deepEqual(a.told(), []);
  assert.equal((await a.list('NOTE')).length, 20);
});

test('410: a server restored under a new epoch is pulled from the start; pending edits are kept and rebased, what it no longer has goes', async (t) => {
  const { open, file, create, put, server } = await world(t);
  const a = await open('a');
  const etag = await create('NOTE/1', '{"n":1,"m":1}');
  for (let n = 0; n < 250; n++) await create(`MANY/${n}`, '{}');
  await a.pull();
  assert.equal((await a.list('MANY')).length, 250);
  await a.save('NOTE', '1', { n: 2, m: 1 });
  await put('NOTE/1', { 'if-match': etag, 'content-type': 'application/json', body: '{"n":1,"m":7}' });
  // What an administrator does after restoring an old copy (docs/server.md), one that did not have MANY/7.
  const { default: Database } = await import('libsql');
  await server.close();
  const db = new Database(file);
  db.exec("UPDATE meta SET value = 'zzzz' WHERE name = 'epoch'; DELETE FROM documents WHERE entity = 'MANY' AND entity_id = '7'");
  db.close();
  const { createServer, openSqliteStore: openServerStore } = await import('../../server/index.js');
  const again = await createServer({ store: await openServerStore({ file }), port: Number(new URL(server.url).port) });
  t.after(() => again.close());
  await until(async () => (await a.pull()).itemsPulled > 0, 'the pull');   // the first may find the connection of before closed
  assert.deepEqual(await a.get('NOTE', '1'), { n: 2, m: 7 });
  assert.equal(await a.get('MANY', '7'), undefined);
  assert.equal((await a.list('MANY')).length, 249);
  await a.sync();
  assert.deepEqual(await a.ops(), []);
  const [row] = rowsOf(file, "SELECT body FROM documents WHERE entity = 'NOTE'");
  assert.deepEqual(JSON.parse(Buffer.from(row.body).toString()), { n: 2, m: 7 });
});

test('an older copy of the server: what it acknowledged since is told and goes again by restore(), a pending edit carries it by itself', async (t) => {
  const { open, file, server } = await world(t);
  const a = await open('a');
  const bodies = () => Object.fromEntries(rowsOf(file, 'SELECT entity_id, body FROM documents WHERE deleted = 0').map((row) => [row.entity_id, JSON.parse(Buffer.from(row.body).toString())]));
  for (const id of ['kept', 'edited', 'pending']) await a.save('NOTE', id, { n: 1, m: 1 });
  await a.sync({ direction: 'both' });
  const { default: Database } = await import('libsql');
  const copying = new Database(file);
  copying.exec(`VACUUM INTO '${file}.copy'`);
  copying.close();
  for (const id of ['edited', 'pending', 'new']) await a.save('NOTE', id, { n: 2, m: 1 });
  await a.sync({ direction: 'both' });
  await a.save('NOTE', 'pending', { n: 2, m: 2 });
  await server.close();
  for (const end of ['', '-wal', '-shm']) rmSync(file + end, { force: true });
  renameSync(`${file}.copy`, file);
  const db = new Database(file);
  db.exec("UPDATE meta SET value = 'zzzz' WHERE name = 'epoch'");   // docs/server.md
  db.close();
  const { createServer, openSqliteStore: openServerStore } = await import('../../server/index.js');
  const again = await createServer({ store: await openServerStore({ file }), port: Number(new URL(server.url).port) });
  t.after(() => again.close());
  await until(async () => (await a.pull()).itemsPulled > 0, 'the pull');
  const lost = () => a.events.filter(({ type }) => type === 'sync.lost-write').map(({ detail }) => detail);
  assert.deepEqual(lost().map(({ owner, entity, entityId }) => [owner, entity, entityId]), [['', 'NOTE', 'edited'], ['', 'NOTE', 'new']]);
  assert.ok(lost()[0].etag && lost()[0].expected && lost()[0].etag !== lost()[0].expected);
  assert.deepEqual([await a.get('NOTE', 'edited'), await a.get('NOTE', 'new')], [{ n: 1, m: 1 }, undefined]);
  assert.deepEqual(await a.get('NOTE', 'pending'), { n: 2, m: 2 });
  await a.pull();
  assert.equal(lost().length, 2);
  for (const { key } of lost()) await a.restore(key);
  await a.sync({ direction: 'both' });
  assert.deepEqual(await a.ops(), []);
  assert.deepEqual(bodies(), { kept: { n: 1, m: 1 }, edited: { n: 2, m: 1 }, pending: { n: 2, m: 2 }, new: { n: 2, m: 1 } });
  assert.deepEqual(await a.get('NOTE', 'edited'), { n: 2, m: 1 });
  assert.deepEqual([lost().length, a.events.filter(({ type }) => type === 'sync.conflict').length], [2, 0]);
});

test('a page that was cut off counts for nothing, and comes again', async (t) => {
  const { open, server, create } = await world(t, { faults: { truncate: 0 } });
  const a = await open('a');
  for (let n = 0; n < 5; n++) await create(`NOTE/${n}`, '{"text":"0123456789"}');
  server.demandFaults(['truncate']);
  await a.pull();
  assert.deepEqual(await a.list('NOTE'), []);
  await a.pull();
  assert.equal((await a.list('NOTE')).length, 5);
});

test('an owner sees, stores and hears of his own documents only; each pulls with his own credentials', async (t) => {
  const { open, create, directory } = await world(t);
  await create('NOTE/1', '{"n":1}');
  const asked = [];
  const authorize = (owner) => { asked.push(owner); return {}; };
  const alice = await open('shared', { owner: 'alice', authorize });
  const bob = await open('shared', { owner: 'bob', authorize });
  await alice.pull();
  assert.deepEqual(await alice.get('NOTE', '1'), { n: 1 });
  assert.equal(await bob.get('NOTE', '1'), undefined);
  assert.deepEqual([bob.told(), new Set(asked)], [[], new Set(['alice'])]);
  assert.ok(directory);
});

test('with pull: true a client follows the server by itself', async (t) => {
  const { open, create } = await world(t);
  await create('NOTE/1', '{"n":1}');
  const a = await open('a', { pull: true, autoSync: true });
  await until(async () => (await a.get('NOTE', '1')) !== undefined, 'the document');
});

test('direction and operation are refused by name', async (t) => {
  const a = await (await world(t)).open('a');
  await assert.rejects(a.sync(null), { name: 'TidegateError', code: 'wrong-type', path: '/options', message: /expected an object, got null/ });
  await assert.rejects(a.sync({ direction: 'up' }), { name: 'TidegateError', code: 'out-of-range', path: '/direction' });
  await assert.rejects(a.sync({ operation: 'all' }), { name: 'TidegateError', path: '/operation' });
});

test('a server that puts more into a page than is read of one is asked for fewer changes, and all of them come', async (t) => {
  const kChanges = 30;
  const text = 'x'.repeat(2 ** 20);
  const limits = [];
  const server = createServer((request, response) => {
    const { searchParams } = new URL(request.url, 'http://localhost');
    const limit = Number(searchParams.get('limit')), from = Number(searchParams.get('cursor') ?? 0), to = Math.min(kChanges, from + limit);
    limits.push(limit);
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    for (let n = from; n < to; n += 1) response.write(`${JSON.stringify({ entity: 'NOTE', entityId: `${n}`, etag: '"1"', body: true })}\n${JSON.stringify({ n, text })}\n`);
    response.end(`${JSON.stringify({ cursor: `${to}`, more: to < kChanges })}\n`);
  }).listen(0);
  t.after(() => { server.closeAllConnections(); server.close(); });
  await once(server, 'listening');
  const client = await openClient({ path: join(temporaryDirectory(t), 'a.db'), endpoint: `http://localhost:${server.address().port}`, autoSync: false });
  t.after(() => client.close());
  assert.equal((await client.pull()).itemsPulled, kChanges);
  assert.deepEqual(limits.slice(0, 3), [200, 25, 3]);
  assert.deepEqual((await client.list('NOTE')).map(({ doc: { n } }) => n).sort((a, b) => a - b), Array.from({ length: kChanges }, (_, n) => n));
});
