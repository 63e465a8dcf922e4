// Dependencies and expiry through the door: what save() refuses, and what becomes of an op that was not sent by its time.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { openClient } from '../../sw/node.js';
import { startServer, temporaryDirectory } from './server-harness.js';

async function pair(t) {
  const world = await startServer(t);
  const client = await openClient({ path: join(temporaryDirectory(t), 'outbox.db'), endpoint: world.api, autoSync: false });
  t.after(() => client.close());
  return { ...world, client };
}

test('FF-16: a dependency on an op that never was is refused by name, and nothing is stored', async (t) => {
  const { client } = await pair(t);
  const parent = await client.save('A', '1', { n: 1 });
  const orphan = { code: 'orphan', path: '/dependsOn/1', message: /got "nobody"/ };
  await assert.rejects(client.save('A', '2', { n: 2 }, { dependsOn: [parent.id, 'nobody'] }), orphan);
  await assert.rejects(client.saveAll([{ entity: 'A', doc: {} }, { entity: 'A', doc: {}, dependsOn: [parent.entityId] }]), { code: 'orphan', path: '/items/1/dependsOn/0' });
  assert.equal((await client.ops()).length, 1);
});

test('a dependency on a waiting op is kept, on one that is done it is fulfilled', async (t) => {
  const { client, get } = await pair(t);
  const parent = await client.save('A', '1', { n: 1 }, { priority: 'low' });
  await client.save('A', '2', { n: 2 }, { dependsOn: [parent.id], priority: 'critical' });
  await client.sync();
  await client.save('A', '3', { n: 3 }, { dependsOn: [parent.id] });
  await client.sync();
  for (const n of [1, 2, 3]) assert.equal((await get(`A/${n}`)).text, `{"n":${n}}`);
});

test('an op that was not sent by its time leaves the outbox, and get() shows what lies under it', async (t) => {
  const { client, get } = await pair(t);
  await client.save('A', '1', { n: 1 });
  await client.sync();
  await client.save('A', '1', { n: 2 }, { expiresAt: 1 });
  await client.sync();
  assert.deepEqual(await client.get('A', '1'), { n: 1 });
  assert.equal((await get('A/1')).text, '{"n":1}');
  assert.deepEqual((await client.history({ prefix: 'audit/' })).map(({ value }) => value.kind), ['expired']);
  await assert.rejects(client.save('A', '2', {}, { expiresAt: 'soon' }), { code: 'out-of-range', path: '/expiresAt' });
});

test('of what has expired nothing is sent, however much of it there is', async (t) => {
  const { client, get } = await pair(t);
  await client.saveAll(Array.from({ length: 400 }, (_, n) => ({ entity: 'A', entityId: `${n}`, doc: { n }, expiresAt: 1 })));
  await client.save('A', 'stays', { n: 1 });
  await client.sync();
  assert.deepEqual(await client.ops(), []);
  assert.equal((await get('A/stays')).status, 200);
  for (const n of [0, 150, 250, 399]) assert.equal((await get(`A/${n}`)).status, 404);
});

test('a document larger than any batch arrives, with the defaults on both sides', async (t) => {
  const { client, get } = await pair(t);
  const doc = { text: 'x'.repeat(700_000) };
  await client.saveAll([{ entity: 'A', entityId: 'small', doc: { n: 1 } }, { entity: 'A', entityId: 'large', doc }]);
  await client.sync();
  assert.deepEqual(await client.ops(), []);
  assert.deepEqual(JSON.parse((await get('A/large')).text), doc);
  assert.equal((await get('A/small')).status, 200);
  await client.save('A', 'large', { ...doc, n: 2 });   // its delta is small
  await client.sync();
  assert.equal(JSON.parse((await get('A/large')).text).n, 2);
});
