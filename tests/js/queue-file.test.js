// The outbox as a file: out of one device, into another, and nothing twice.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildRow } from '../../sw/accept.js';
import { clock } from '../../sw/clock.js';
import { openClient } from '../../sw/node.js';
import { random } from '../../sw/random.js';
import { openSqliteStore } from '../../sw/sqlite-store.js';
import { rowsOf, startServer, temporaryDirectory } from './server-harness.js';

async function world(t) {
  const server = await startServer(t);
  const directory = temporaryDirectory(t);
  const path = (name) => join(directory, `${name}.db`);
  const open = async (name, options = {}) => {
    const client = await openClient({ path: path(name), endpoint: server.api, autoSync: false, ...options });
    t.after(() => client.close());
    return client;
  };
  return { ...server, path, open, effects: () => rowsOf(server.file, 'SELECT op_id FROM effects').map(({ op_id }) => op_id) };
}

test('what waits on one device goes from another, in order, with its priority and its ids; a second import adds nothing', async (t) => {
  const { open, get, effects } = await world(t);
  const [lost, found] = [await open('lost'), await open('found')];
  const ids = [];
  ids.push((await lost.save('NOTE', 'a', { text: 'größe', n: 1 }, { priority: 'high' })).id);
  ids.push((await lost.save('NOTE', 'a', { text: 'größe', n: 2 }, { coalesce: false })).id);
  ids.push((await lost.save('MEDIA', 'p', Uint8Array.from([0, 255, 7]), { contentType: 'image/png' })).id);
  const file = await lost.exportQueue();
  assert.deepEqual(await found.importQueue(file), { imported: 3 });
  assert.deepEqual((await found.ops()).map(({ id, priority }) => [id, priority]), ids.map((id, i) => [id, i === 0 ? 'high' : 'normal']));
  assert.deepEqual(await found.get('NOTE', 'a'), { text: 'größe', n: 2 });
  assert.deepEqual(await found.importQueue(await file.text()), { imported: 0 });
  await found.sync();
  assert.deepEqual(JSON.parse((await get('NOTE/a')).text), { text: 'größe', n: 2 });
  assert.deepEqual([...(await get('MEDIA/p')).bytes], [0, 255, 7]);
  await lost.sync();   // the device is found again
  assert.deepEqual(await lost.ops(), []);
  assert.equal(new Set(effects()).size, effects().length);
});

test('an op whose answer was lost is not applied a second time by the device that takes it over', async (t) => {
  const { open, effects, server, get } = await world(t);
  const [lost, found] = [await open('lost'), await open('found')];
  await lost.save('NOTE', 'a', { n: 1, text: 'x'.repeat(300) });
  await lost.sync();
  await lost.save('NOTE', 'a', { n: 2, text: 'x'.repeat(300) });   // a frozen delta
  await lost.save('NOTE', 'b', { n: 1 });
  server.demandFaults(['resetAfter']);
  await lost.sync();
  assert.equal((await lost.ops()).length, 2);
  const before = effects().length;
  await found.importQueue(await lost.exportQueue());
  await found.sync();
  await found.sync();
  assert.deepEqual(await found.ops(), []);
  assert.equal(effects().length, before, 'no second effect');
  assert.equal(JSON.parse((await get('NOTE/a')).text).n, 2);
});

test('what a newer release put into an op is there after a drain that failed, in the file, and on the device that takes it over', async (t) => {
  const { open, path, effects, server } = await world(t);
  const futureThing = { since: 'N', more: [1, null] };
  const { row, bytes } = await buildRow({ entity: 'NOTE', entityId: 'a', doc: { n: 1 } }, { owner: '', maxOpBytes: 1e6, schemaVersion: 0, fieldNames: () => [], clock, random }, '');
  const [lost, found] = await Promise.all(['lost', 'found'].map(async (name) => {
    const store = await openSqliteStore({ path: path(name) });
    t.after(() => store.close());
    return { store, client: await open(name) };
  }));
  await lost.store.accept([{ row: /** @type {any} */ ({ ...row, futureThing }), bytes }], { maxOps: 100, maxBytes: 1e6 });
  server.demandFaults(['resetBefore']);
  await lost.client.sync();
  const [failed] = await lost.store.rows(0, 10);
  assert.deepEqual([failed.sends, failed.state, failed.futureThing], [1, 'unknown', futureThing]);
  await found.client.importQueue(await lost.client.exportQueue());
  assert.deepEqual((await found.store.rows(0, 10)).map(({ id, futureThing }) => [id, futureThing]), [[row.id, futureThing]]);
  await found.client.sync();
  assert.deepEqual(await found.client.ops(), []);
  assert.deepEqual(effects(), [row.id]);
});

test('another owner\'s file, a cut one, a foreign lane and anything else are refused, and nothing of them is stored', async (t) => {
  const { open } = await world(t);
  const ann = await open('ann', { owner: 'ann' });
  await ann.save('NOTE', 'a', { n: 1 });
  await ann.save('NOTE', 'b', { n: 1 });
  const text = await (await ann.exportQueue()).text();
  const bob = await open('bob', { owner: 'bob' });
  const lines = text.split('\n');
  const other = await open('other', { owner: 'ann' });
  for (const [client, file, path] of [
    [bob, text, '/file/0'], [other, text.slice(0, -5), '/file/2'], [other, text.replace('ann:NOTE/b', 'bob:NOTE/b'), '/file/2'],
    [other, `${lines[0]}\n${lines[1].replace(/"bytes":"[^"]*"/, '"bytes":"?"')}\n`, '/file/1'], [other, '{}\n', '/file/0'], [other, '', '/file/0'], [other, 7, '/file'],
  ]) {
    await assert.rejects(client.importQueue(file), (error) => error.name === 'TidegateError' && error.path === path, path);
    assert.deepEqual(await client.ops(), []);
  }
  assert.equal(await (await bob.exportQueue()).text().then((all) => all.split('\n').length), 2, 'a head and nothing of ann');
});
