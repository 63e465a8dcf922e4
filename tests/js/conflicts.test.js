// Conflicts through the door: the app decides one, and the losing value is put back by one call.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { openClient } from '../../sw/node.js';
import { startServer, temporaryDirectory } from './server-harness.js';

/** A client whose document somebody else changed under it, before it changed it itself. */
async function clash(t, options = {}, settings = {}) {
  const world = await startServer(t);
  const open = async (more) => {
    const client = await openClient({ path: join(temporaryDirectory(t), 'outbox.db'), endpoint: world.api, autoSync: false, ...more });
    t.after(() => client.close());
    return client;
  };
  const client = await open(options);
  await client.settings(settings);
  await client.save('A', '1', { title: 'start', n: 1 });
  await client.sync();
  const other = await open({});
  await other.sync({ direction: 'pull' });
  await other.save('A', '1', { title: 'theirs', n: 1 });
  await other.sync();
  await client.save('A', '1', { title: 'ours', n: 2 });
  await client.sync();
  return { ...world, client };
}

const audit = async (client) => (await client.history({ prefix: 'audit/' })).filter(({ value }) => value.kind === 'conflict');

test('custom: the app is given the three documents, and what it answers is sent', async (t) => {
  /** @type {any[]} */
  const asked = [];
  const resolveConflict = (conflict) => {
    asked.push(conflict);
    return Promise.resolve({ title: `${conflict.ours.title}+${conflict.theirs.title}`, n: 3 });
  };
  const { client, get } = await clash(t, { resolveConflict }, { conflictStrategy: 'custom' });
  assert.deepEqual(JSON.parse((await get('A/1')).text), { title: 'ours+theirs', n: 3 });
  assert.deepEqual(await client.get('A', '1'), { title: 'ours+theirs', n: 3 });
  assert.equal(asked.length, 1);
  const { base, ours, theirs, entity, entityId } = asked[0];
  assert.deepEqual({ base, ours, theirs, entity, entityId }, {
    base: { title: 'start', n: 1 }, ours: { title: 'ours', n: 2 }, theirs: { title: 'theirs', n: 1 }, entity: 'A', entityId: '1',
  });
});

test('custom without an app that answers is the default merge, also when the app throws', async (t) => {
  for (const resolveConflict of [undefined, () => { throw new Error('no idea'); }, () => undefined]) {
    const { get } = await clash(t, { resolveConflict }, { conflictStrategy: 'custom' });
    assert.deepEqual(JSON.parse((await get('A/1')).text), { title: 'ours', n: 2 });
  }
});

test('restore() puts the losing value back in, on top of what is there by then', async (t) => {
  const { client, get } = await clash(t);
  const [{ key, value }] = await audit(client);
  assert.deepEqual(value.clashes.map(({ path, theirs, winner }) => [path, theirs, winner]), [['/title', '"theirs"', 'ours']]);
  await client.save('A', '1', { title: 'later', n: 2, more: true });
  await client.restore(key);
  assert.deepEqual(await client.get('A', '1'), { title: 'theirs', n: 2, more: true });
  await client.sync();
  assert.deepEqual(JSON.parse((await get('A/1')).text), { title: 'theirs', n: 2, more: true });
  await assert.rejects(client.restore('audit/nothing'), { code: 'unknown-conflict' });
});

test('restore() after server-wins brings back our whole document', async (t) => {
  const { client } = await clash(t, {}, { conflictStrategy: 'server-wins' });
  assert.deepEqual(await client.get('A', '1'), { title: 'theirs', n: 1 });
  await client.restore((await audit(client))[0].key);
  assert.deepEqual(await client.get('A', '1'), { title: 'ours', n: 2 });
});
