// The headless client: the real core, the real shell, a real SQLite file and the real server on loopback.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openClient } from '../../sw/node.js';
import { openSqliteStore } from '../../sw/sqlite-store.js';
import { rowsOf, startServer, temporaryDirectory } from './server-harness.js';

/** A server, and a client of it that drains only when asked, unless told otherwise. */
async function pair(t, options = {}) {
  const world = await startServer(t);
  const path = join(temporaryDirectory(t), 'outbox.db');
  const open = async (more = {}) => {
    const client = await openClient({ path, endpoint: world.api, autoSync: false, ...options, ...more });
    t.after(() => client.close());
    return client;
  };
  return { ...world, path, open, client: await open(), effects: () => rowsOf(world.file, 'SELECT * FROM effects ORDER BY n') };
}

test('what is saved is there at once, on the server after sync(), and gone from the outbox', async (t) => {
  const { client, get, effects } = await pair(t);
  const { id, entityId, seq } = await client.save('NOTE', 'n1', { title: 'Brücke', n: 1 }, { priority: 'high' });
  assert.deepEqual([entityId, seq], ['n1', 1]);
  assert.deepEqual(await client.get('NOTE', 'n1'), { title: 'Brücke', n: 1 });
  assert.deepEqual((await client.ops()).map(({ id, state, action, priority }) => [id, state, action, priority]), [[id, 'queued', 'create', 'high']]);
  const { wakeAtMs, itemsSucceeded, trigger } = await client.sync();
  assert.deepEqual([itemsSucceeded, trigger], [1, 'manual']);
  assert.equal(wakeAtMs, null);
  assert.equal((await get('NOTE/n1')).text, '{"title":"Brücke","n":1}');
  assert.deepEqual(await client.ops(), []);
  assert.deepEqual(effects().map(({ op_id, action }) => [op_id, action]), [[id, 'create']]);
  assert.deepEqual(await client.get('NOTE', 'n1'), { title: 'Brücke', n: 1 });
});

test('updates, deletes, blobs and many at once arrive; updates of an acknowledged document go as deltas', async (t) => {
  const { client, get, effects, server } = await pair(t);
  const long = { text: 'x'.repeat(3000), n: 0 };
  await client.save('NOTE', 'a', long);
  await client.save('NOTE', 'gone', { n: 1 });
  await client.save('MEDIA', 'p', new Blob([Uint8Array.from([0, 255, 7])], { type: 'image/png' }));
  await client.sync();
  const before = server.stats().bytesIn;
  await client.save('NOTE', 'a', { ...long, n: 1 });
  await client.delete('NOTE', 'gone');
  await client.sync();
  assert.ok(server.stats().bytesIn - before < 1500, 'a delta, not the document');
  assert.deepEqual(JSON.parse((await get('NOTE/a')).text), { ...long, n: 1 });
  assert.equal((await get('NOTE/gone')).status, 410);
  const photo = await get('MEDIA/p');
  assert.deepEqual([[...photo.bytes], photo.headers.get('content-type')], [[0, 255, 7], 'image/png']);
  assert.deepEqual([...new Uint8Array(await (await client.get('MEDIA', 'p')).arrayBuffer())], [0, 255, 7]);
  assert.equal(await client.get('NOTE', 'gone'), undefined);
  assert.deepEqual((await client.list('NOTE')).map(({ entityId, doc }) => [entityId, doc.n]), [['a', 1]]);
  assert.equal(effects().length, 5);
});

test('a client in memory leaves nothing in the file system, and drains', async (t) => {
  const { api, get } = await startServer(t);
  const before = readdirSync('.');
  const client = await openClient({ path: ':memory:', endpoint: api, autoSync: false });
  await client.save('NOTE', 'm', { n: 1 });
  await client.sync();
  await client.close();
  assert.equal((await get('NOTE/m')).text, '{"n":1}');
  assert.deepEqual(readdirSync('.').filter((name) => !before.includes(name)), []);
});

test('an atomic group is refused while the mode is rest; one that was saved before waits, and goes when it is batch again', async (t) => {
  const { client } = await pair(t);
  const items = (entityId) => ['A', 'B'].map((entity) => ({ entity, entityId, doc: {} }));
  const before = await client.saveAll(items('1'), { atomic: true });
  await client.settings({ mode: 'rest' });
  await assert.rejects(client.saveAll(items('2'), { atomic: true }), { code: 'out-of-range', path: '/atomic', message: 'atomic: expected false while the setting mode is "rest", got true' });
  assert.equal((await client.ops()).length, 2);
  assert.equal(await client.get('A', '2'), undefined);
  await client.saveAll(items('3'));
  await client.sync();
  assert.deepEqual((await client.ops()).map(({ id }) => id), before.map(({ id }) => id));
  for (const { id } of before) assert.equal((await client.explain(id)).reason, 'group');
  await client.settings({ mode: 'batch' });
  await client.saveAll(items('2'), { atomic: true });
  await client.sync();
  assert.deepEqual(await client.ops(), []);
});

test('an atomic group takes JSON only: a blob in it would keep all of it back for ever', async (t) => {
  const { client, get } = await pair(t);
  const note = { entity: 'NOTE', entityId: '1', doc: { n: 1 } };
  for (const doc of [new Uint8Array([1]), new Blob(['x'], { type: 'image/png' })])
    await assert.rejects(client.saveAll([note, { entity: 'PHOTO', entityId: '1', doc }], { atomic: true }), { code: 'wrong-type', path: '/items/1/doc', message: /^\/items\/1\/doc: expected JSON in an atomic group, got an object/ });
  assert.deepEqual(await client.ops(), []);
  await client.saveAll([note, { entity: 'NOTE', entityId: '2', action: 'delete' }, { entity: 'NOTE', entityId: '3', doc: new TextEncoder().encode('{"n":3}'), contentType: 'application/json' }], { atomic: true });
  await client.sync();
  assert.deepEqual(await client.ops(), []);
  assert.equal((await get('NOTE/3')).text, '{"n":3}');
});

test('an atomic group and the order of a lane', async (t) => {
  const { client, get, effects } = await pair(t);
  await client.settings({ coalesce: false });
  const saved = await client.saveAll([{ entity: 'A', entityId: '1', doc: { n: 1 } }, { entity: 'B', entityId: '1', doc: { n: 1 } }], { atomic: true });
  for (let n = 2; n <= 6; n++) await client.save('A', '1', { n });
  await client.sync();
  assert.equal((await get('A/1')).text, '{"n":6}');
  assert.equal((await get('B/1')).text, '{"n":1}');
  assert.equal(effects().length, 7);
  assert.deepEqual(effects().slice(0, 2).map(({ op_id }) => op_id).sort(), saved.map(({ id }) => id).sort());
});

test('with nobody at the other end everything is kept, across a restart, and sent when somebody is', async (t) => {
  const { client, open, get } = await pair(t);
  await client.close();
  const alone = await open({ endpoint: 'http://127.0.0.1:1/api/v1' });
  const ids = [];
  for (let n = 0; n < 5; n++) ids.push((await alone.save('NOTE', `n${n}`, { n })).id);
  await alone.settings({ jitter: 'none' });   // a wait drawn at random may be of a millisecond
  const { wakeAtMs } = await alone.sync();
  assert.ok(wakeAtMs > Date.now());
  assert.equal((await alone.status()).queueSize, 5);
  await alone.close();
  const again = await open();
  assert.deepEqual((await again.ops()).map(({ id }) => id), ids);
  await again.sync();
  assert.deepEqual(await again.ops(), []);
  assert.equal((await get('NOTE/n4')).text, '{"n":4}');
});

test('with autoSync a save drains by itself, and a wait ends by itself', async (t) => {
  const { client, open, get } = await pair(t);
  await client.close();
  const auto = await open({ autoSync: true });
  const synced = new Promise((resolve) => auto.subscribe(({ type }) => { if (type === 'sync.completed') resolve(); }));
  await auto.save('NOTE', '1', { n: 1 });
  await synced;
  assert.equal((await get('NOTE/1')).status, 200);
});

test('FF-29: pause keeps everything here, resume lets it go, both across restarts', async (t) => {
  const { client, open, effects } = await pair(t);
  await client.pause();
  await client.save('NOTE', '1', { n: 1 });
  await client.close();
  const again = await open();
  await again.sync();
  assert.equal((await again.status()).state, 'paused');
  assert.equal(effects().length, 0);
  await again.resume();
  await again.sync();
  assert.equal(effects().length, 1);
});

test('cancel takes an op back and what the app sees with it', async (t) => {
  const { client, effects } = await pair(t);
  const { id } = await client.save('NOTE', '1', { n: 1 });
  await client.cancel(id);
  assert.deepEqual(await client.ops(), []);
  assert.equal(await client.get('NOTE', '1'), undefined);
  await client.sync();
  assert.equal(effects().length, 0);
  await assert.rejects(client.cancel(id), { name: 'TidegateError', code: 'unknown-op', path: '/id' });
});

test('settings, rules, priorities, metrics, explain: asked of the core, kept in the store', async (t) => {
  const { client, open, path } = await pair(t, { fields: { NOTE: ['city'] } });
  assert.equal((await client.settings()).maxRetryAttempts, 5);
  assert.equal((await client.settings({ maxRetryAttempts: 7 })).maxRetryAttempts, 7);
  await assert.rejects(client.settings({ maxRetryAttempts: 'many' }), { name: 'TidegateError', code: 'wrong-type', message: /maxRetryAttempts|number/ });
  const rules = [{ name: 'Severe', points: 25, when: { field: 'severity', op: '>=', value: 4 } }];
  await client.setRules(rules);
  await client.pause();
  const { id } = await client.save('NOTE', '1', { severity: 5, city: 'Ulm', other: 1 });
  await client.setPriority(id, 'critical');
  assert.equal((await client.op(id)).priority, 'critical');
  await assert.rejects(client.setPriority(id, 'urgent'), { name: 'TidegateError' });
  assert.match((await client.explain(id)).sentence, /[Pp]aused/);
  assert.equal(typeof (await client.metrics()), 'object');
  await client.close();
  const store = await openSqliteStore({ path });
  assert.deepEqual((await store.rows(0, 1))[0].fields, { city: 'Ulm', severity: 5 });
  await store.close();
  const again = await open();
  assert.equal((await again.settings()).maxRetryAttempts, 7);
  assert.deepEqual((await again.rules()).map(({ name }) => name), ['Severe']);
  assert.equal((await again.op(id)).priority, 'critical');
});

test('FF-17: another owner\'s ops are neither shown nor sent, with whatever credentials, until he signs in again', async (t) => {
  const owners = [];
  const authorize = (owner) => { owners.push(owner); return {}; };
  const { client, open } = await pair(t, { owner: 'ann', authorize });
  await client.save('NOTE', '1', { of: 'ann' });
  await client.close();
  const bob = await open({ owner: 'bob' });
  assert.equal(await bob.get('NOTE', '1'), undefined);
  assert.deepEqual([await bob.ops(), await bob.list('NOTE')], [[], []]);
  await bob.save('NOTE', '2', { of: 'bob' });
  await bob.sync();
  assert.deepEqual(owners, ['bob']);
  await bob.close();
  const ann = await open({ owner: 'ann' });
  assert.deepEqual((await ann.ops()).map(({ entityId, attempts }) => [entityId, attempts]), [['1', 0]]);
  await ann.sync();
  assert.deepEqual(owners, ['bob', 'ann']);
  assert.deepEqual(await ann.ops(), []);
});

test('bad options and bad calls are refused by name', async (t) => {
  const { client } = await pair(t);
  await assert.rejects(openClient({ endpoint: 'http://127.0.0.1/' }), { name: 'TidegateError', path: '/path' });
  await assert.rejects(openClient({ path: ':memory:', endpoint: 'http://127.0.0.1/', maxOpBytes: 1e9 }), { path: '/maxOpBytes', message: /16777216, got 1000000000/ });
  await assert.rejects(openClient({ path: ':memory:', endpoint: 'http://127.0.0.1/', owner: 5 }), { path: '/owner' });
  await assert.rejects(openClient({ path: ':memory:', endpoint: 'not a url' }), TypeError);
  await assert.rejects(client.save('no/entity', '1', {}), { path: '/entity' });
  await assert.rejects(client.saveAll('x'), { path: '/items' });
  await assert.rejects(client.saveAll([{ entity: 'A', doc: 1 }, { entity: 'A', doc: NaN }]), { path: '/items/1/doc' });
  await assert.rejects(client.saveAll(Array.from({ length: 51 }, () => ({ entity: 'A', doc: 1 })), { atomic: true }), { code: 'limit' });
  assert.throws(() => client.subscribe('x'), { path: '/listener' });
  assert.deepEqual(await client.ops(), []);
});

test('close leaves nothing: a process that closed its client exits by itself', async (t) => {
  const { api, path } = await pair(t);
  const child = spawn(process.execPath, ['--input-type=module', '-e', `
    import { openClient } from ${JSON.stringify(new URL('../../sw/node.js', import.meta.url).href)};
    const client = await openClient({ path: ${JSON.stringify(`${path}.2`)}, endpoint: ${JSON.stringify(api)} });
    client.subscribe(() => {});
    await client.save('NOTE', '1', { n: 1 });
    await client.sync();
    await client.save('NOTE', '2', { n: 1 });
    await client.close();
    console.log('closed');
  `], { stdio: ['ignore', 'pipe', 'inherit'] });
  let heard = '';
  child.stdout.on('data', (chunk) => { heard += chunk; });
  const [code] = await once(child, 'exit');
  assert.deepEqual([code, heard], [0, 'closed\n']);
});
