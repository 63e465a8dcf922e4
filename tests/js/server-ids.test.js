// Ids that the server gives, through the real shell and the real server: entities keep here the id they were saved under, and are sent, named and pulled under the server's.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { openClient } from '../../sw/node.js';
import { killSweep } from './mortal.js';
import { rowsOf, startServer, temporaryDirectory } from './server-harness.js';

const kModes = ['batch', 'rest'];
const kRefs = { refs: { '/customerId': 'CUSTOMER' } };
const kSweep = 400;   // more than a sweep has points

async function shop(t, mode = 'batch') {
  const world = await startServer(t, { assignIds: ['CUSTOMER', 'ORDER'] });
  const path = join(temporaryDirectory(t), 'outbox.db');
  const open = async () => {
    const client = await openClient({ path, endpoint: world.api, autoSync: false });
    t.after(() => client.close());
    return client;
  };
  const client = await open();
  await client.settings({ mode });
  const documents = () => rowsOf(world.file, 'SELECT entity, entity_id AS id, body FROM documents WHERE deleted = 0 ORDER BY entity, n').map(({ entity, id, body }) => ({ entity, id, doc: JSON.parse(Buffer.from(body).toString()) }));
  const effects = () => rowsOf(world.file, 'SELECT n FROM effects').length;
  return { ...world, client, open, documents, effects };
}

for (const mode of kModes) {
  test(`FF-15: ${mode}: an id that the server gave is kept across a restart, and what is saved then reaches the same entities`, async (t) => {
    const { client, open, documents, effects } = await shop(t, mode);
    await client.save('CUSTOMER', 'tmp-1', { name: 'Ada' });
    await client.sync();
    await client.close();

    const second = await open();
    await second.saveAll([{ entity: 'ORDER', entityId: 'tmp-2', doc: { customerId: 'tmp-1', n: 1 }, ...kRefs }, { entity: 'CUSTOMER', entityId: 'tmp-1', doc: { name: 'Bea' } }]);
    await second.close();
    const third = await open();
    await third.sync();
    await third.save('ORDER', 'tmp-2', { customerId: 'tmp-1', n: 2 }, kRefs);
    await third.sync();

    const [customer, order, ...others] = documents();
    assert.deepEqual(others, []);
    assert.deepEqual(order, { entity: 'ORDER', id: order.id, doc: { customerId: customer.id, n: 2 } });
    assert.deepEqual(customer.doc, { name: 'Bea' });
    assert.doesNotMatch(order.id + customer.id, /tmp/);
    assert.equal(effects(), 4);
    assert.deepEqual(await third.get('ORDER', 'tmp-2'), { customerId: 'tmp-1', n: 2 });
    await third.delete('CUSTOMER', 'tmp-1');
    await third.sync();
    assert.deepEqual(documents().map(({ entity }) => entity), ['ORDER']);
    assert.deepEqual(await third.ops(), []);
  });

  test(`${mode}: saved together, parent and children go in order; a create whose answer was lost gets the same id again`, async (t) => {
    const { server, client, documents, effects } = await shop(t, mode);
    await client.saveAll([
      { entity: 'CUSTOMER', entityId: 'tmp-1', doc: { name: 'Ada' } },
      ...['a', 'b'].map((entityId) => ({ entity: 'ORDER', entityId, doc: { customerId: 'tmp-1' }, ...kRefs })),
    ]);
    server.demandFaults(['resetAfter']);
    for (let i = 0; i < 20 && (await client.ops()).length > 0; i++) await client.sync();
    assert.deepEqual(await client.ops(), []);
    assert.equal(effects(), 3);
    const [customer, ...orders] = documents();
    assert.deepEqual(orders.map(({ doc }) => doc), [{ customerId: customer.id }, { customerId: customer.id }]);
  });

  test(`${mode}: what comes back under the server's id is the entity that was saved here, under the id it has here`, async (t) => {
    const { client, open, put, get, changes, documents } = await shop(t, mode);
    await client.save('CUSTOMER', 'tmp-1', { name: 'Ada' });
    await client.sync();
    const [{ id }] = documents();
    const told = [];
    client.subscribe(({ type, detail }) => { if (type === 'sync.documents') told.push(...detail.documents); });
    await client.pull();
    assert.deepEqual(told, [], 'its own write is no news');
    const { etag } = await get(`CUSTOMER/${id}`);
    await put(`CUSTOMER/${id}`, { 'if-match': etag, 'content-type': 'application/json', body: '{"name":"Eve"}' });
    await client.pull();
    assert.deepEqual(told, [{ entity: 'CUSTOMER', entityId: 'tmp-1' }]);
    assert.deepEqual(await client.list('CUSTOMER').then((all) => all.map(({ entityId, doc }) => ({ entityId, doc }))), [{ entityId: 'tmp-1', doc: { name: 'Eve' } }]);
    assert.deepEqual(await client.get('CUSTOMER', id), { name: 'Eve' }, 'by the id that other documents name it by');
    assert.equal(await client.get('CUSTOMER', 'nobody'), undefined);

    // A document that came from the server names it by that id; saved again it needs no ref any more.
    await client.save('ORDER', 'o', { customerId: id }, kRefs);
    await client.save('CUSTOMER', 'tmp-1', { name: 'Eve', age: 1 });
    await client.sync();
    assert.deepEqual(documents().map(({ doc }) => doc), [{ name: 'Eve', age: 1 }, { customerId: id }]);
    await client.close();

    // Another device knows it by the server's id alone.
    const { changes: all } = await changes();
    assert.deepEqual(all.map(({ entityId }) => /tmp|^o$/.test(entityId)), [false, false]);
    const again = await open();
    await again.pull({ operation: 'full' });
    assert.deepEqual((await again.list('CUSTOMER')).map(({ entityId, doc }) => ({ entityId, doc })), [{ entityId: 'tmp-1', doc: { name: 'Eve', age: 1 } }]);
  });
}

test('refs that lead nowhere are refused by name, and nothing is stored', async (t) => {
  const { client } = await shop(t);
  await client.save('CUSTOMER', 'tmp-1', {});
  const many = Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`/${i}`, 'CUSTOMER']));
  for (const [refs, code, path, message, doc = { customerId: 'tmp-1' }] of [
    ['/customerId', 'wrong-type', '/refs', /expected an object \{JSON Pointer: entity type\}, got "\/customerId"/],
    [['/customerId'], 'wrong-type', '/refs', /got an array/],
    [null, 'wrong-type', '/refs', /got null/],
    [many, 'limit', '/refs', /expected at most 32 pointers, got 33/],
    [{ customerId: 'CUSTOMER' }, 'out-of-range', '/refs/customerId', /expected a JSON Pointer \(RFC 6901\) of 1–512 characters, got "customerId"/],
    [{ '': 'CUSTOMER' }, 'out-of-range', '/refs/', /JSON Pointer/],
    [{ '/a~2': 'CUSTOMER' }, 'out-of-range', '/refs/~1a~02', /got "\/a~2"/],
    [{ [`/${'a'.repeat(512)}`]: 'CUSTOMER' }, 'out-of-range', `/refs/~1${'a'.repeat(512)}`, /of 1–512 characters/],
    [{ ['/a'.repeat(33)]: 'CUSTOMER' }, 'limit', `/refs/${'~1a'.repeat(33)}`, /expected at most 32 levels, got 33/],
    [{ '/customerId': 'a b' }, 'out-of-range', '/refs/~1customerId', /got "a b"/],
    [{ '/customerId': 7 }, 'wrong-type', '/refs/~1customerId', /expected a string, got 7/],
    [{ '/customer': 'CUSTOMER' }, 'wrong-type', '/refs/~1customer', /expected a document with the id of a CUSTOMER at \/customer, got undefined/],
    [{ '/customerId': 'CUSTOMER' }, 'wrong-type', '/refs/~1customerId', /got 7/, { customerId: 7 }],
    [{ '/customerId': 'CUSTOMER' }, 'out-of-range', '/refs/~1customerId', /got "a\/b"/, { customerId: 'a/b' }],
    [{ '/customerId': 'CUSTOMER' }, 'wrong-type', '/refs/~1customerId', /got undefined/, new Uint8Array(3)],
    [{ '/customerId': 'CUSTOMER' }, 'orphan', '/refs', /expected at \/customerId the id of an entity that was saved before, got "tmp-9"/, { customerId: 'tmp-9' }],
    [{ '/customerId': 'ORDER' }, 'orphan', '/refs', /got "tmp-1"/],
  ]) await assert.rejects(client.save('ORDER', 'o', doc, { refs }), { code, path, message }, JSON.stringify(refs)?.slice(0, 80));
  await assert.rejects(client.save('ORDER', 'o', { customerId: 'tmp-1' }, { ...kRefs, dependsOn: Array.from({ length: 64 }, (_, i) => `op-${i}`) }), { code: 'limit', path: '/dependsOn', message: /expected at most 64 operations and entities to wait for, got 65/ });
  await assert.rejects(client.saveAll([{ entity: 'CUSTOMER', entityId: 'tmp-2', doc: {} }, { entity: 'ORDER', doc: { customerId: 'tmp-2' }, ...kRefs }], { atomic: true }), { code: 'orphan', path: '/items/1/refs', message: /and not in this atomic group, got "tmp-2"/ });
  await client.delete('CUSTOMER', 'tmp-1');
  await assert.rejects(client.save('ORDER', 'o', { customerId: 'tmp-1' }, kRefs), { code: 'orphan' });
  assert.deepEqual((await client.ops()).map(({ entity }) => entity), ['CUSTOMER', 'CUSTOMER']);
});

test('a parent that is cancelled leaves a dead letter with the reason; nothing with its id is sent', async (t) => {
  const { client, documents } = await shop(t);
  await client.pause();
  const parent = await client.save('CUSTOMER', 'tmp-1', {});
  const { id } = await client.save('ORDER', 'o', { customerId: 'tmp-1' }, kRefs);
  assert.equal((await client.explain(id)).reason, 'blocked');
  await client.cancel(parent.id);
  await client.resume();
  await client.sync();
  const { state, reason } = await client.op(id);
  assert.deepEqual({ state, reason }, { state: 'dead', reason: 'Validation failed: the server does not have what stands at /customerId' });
  assert.deepEqual(documents(), []);
});

test('the server: an id is given once per key, told by Location and in a batch, and what comes after the create is on that entity', async (t) => {
  const { put, get, batch, effects } = await shop(t);
  const create = { key: 'k', 'if-none-match': '*', 'content-type': 'application/json', body: '{"n":1}' };
  const first = await put('CUSTOMER/tmp%201', create), location = first.headers.get('location');
  assert.equal(first.status, 201);
  assert.match(location, /^\/api\/v1\/entities\/CUSTOMER\/[0-9a-z]{4}-1$/);
  const again = await put('CUSTOMER/tmp%201', create);
  assert.deepEqual([again.status, again.etag, again.headers.get('location')], [201, first.etag, location]);
  assert.equal((await get('CUSTOMER/tmp%201')).status, 404);
  assert.equal((await get(location.slice('/api/v1/entities/'.length))).text, '{"n":1}');
  assert.equal((await put('CUSTOMER/tmp%201', { ...create, body: '{"n":2}' })).problem.type, 'urn:tidegate:key-reused');

  const lines = [
    { id: 'c', action: 'create', entity: 'CUSTOMER', entityId: 'tmp-2', ifNoneMatch: '*', codec: 'full', body: true }, '{"n":1}',
    { id: 'u', action: 'update', entity: 'CUSTOMER', entityId: 'tmp-2', after: 'c', codec: 'merge-patch', body: true }, '{"n":2}',
    { id: 'v', action: 'update', entity: 'CUSTOMER', entityId: 'tmp-2', after: 'u', codec: 'merge-patch', body: true }, '{"n":3}',
  ];
  const { results } = await batch(lines);
  const [{ entityId }] = results;
  assert.match(entityId, /^[0-9a-z]{4}-2$/);
  assert.deepEqual(results.map(({ id, status, entityId: known }) => [id, status, known]), [['c', 201, entityId], ['u', 200, entityId], ['v', 200, entityId]]);
  assert.deepEqual((await batch(lines)).results, results, 'answered again');
  const grouped = lines.map((line) => (typeof line === 'string' ? line : { ...line, group: 'g' }));
  assert.deepEqual((await batch(grouped)).results, results, 'as a group, too');
  const { results: alone } = await batch([{ id: 'u', action: 'update', entity: 'CUSTOMER', entityId, ifMatch: results[0].etag, codec: 'merge-patch', body: true }, '{"n":2}']);
  assert.deepEqual(alone.map(({ status, etag }) => [status, etag]), [[200, results[1].etag]], 'sent again alone it names the server\'s id, under the same key');
  assert.equal((await get(`CUSTOMER/${entityId}`)).text, '{"n":3}');
  assert.equal(effects(), 4);

  // What was deleted is made again under its own id.
  const { etag } = await get(`CUSTOMER/${entityId}`);
  await batch([{ id: 'd', action: 'delete', entity: 'CUSTOMER', entityId, ifMatch: etag }]);
  const made = await put(`CUSTOMER/${entityId}`, { ...create, key: 'm' });
  assert.deepEqual([made.status, made.headers.get('location')], [201, null]);
  assert.equal((await put('OTHER/a', { ...create, key: 'o' })).headers.get('location'), null);
  await assert.rejects(startServer(t, { assignIds: ['a b'] }), { name: 'TypeError', message: /assignIds\[0\] must be an entity type .*, got "a b"/ });
});

for (const mode of kModes)
  killSweep(`killed at every await while the server gives ids, ${mode}: two entities, four effects, no temporary id in either`, {
    least: 20, server: { assignIds: Array.from({ length: kSweep }, (_, i) => `KILLED${i + 1}`) },
    begin: async ({ entity, accept, drained }) => {
      await drained({ mode });
      const refs = { refs: { '/parent': entity } };
      return [
        await accept('tmp-1', { n: 1 }), await accept('tmp-2', { parent: 'tmp-1', n: 1, more: 'x'.repeat(200) }, refs),
        await accept('tmp-1', { n: 2 }, { coalesce: false }), await accept('tmp-2', { parent: 'tmp-1', n: 2, more: 'x'.repeat(200) }, { ...refs, coalesce: false }),
      ];
    },
    expect: async ({ store, entity, ids, effects, there, when }) => {
      assert.deepEqual([...effects].sort(), [...ids].sort(), when);
      const documents = Object.entries(there).map(([id, body]) => [id, JSON.parse(String(body))]).sort((a) => (a[1].parent ? 1 : -1));
      const [[parent, first], [child, second]] = documents;
      assert.deepEqual([documents.length, first, second], [2, { n: 2 }, { parent, n: 2, more: 'x'.repeat(200) }], when);
      const known = await Promise.all(['tmp-1', 'tmp-2', parent, child].map((id) => store.get('bases', `:${entity}/${id}`)));
      assert.deepEqual(known.map(({ serverId, alias }) => serverId ?? alias), [parent, child, `:${entity}/tmp-1`, `:${entity}/tmp-2`], when);
      assert.deepEqual((await store.list('docs')).map(({ key }) => key), [`:${entity}/tmp-1`, `:${entity}/tmp-2`], when);
    },
  });
