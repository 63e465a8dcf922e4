// Encryption at rest on the real line: the real client, core and server, over SQLite and over IndexedDB. What is asked of both: nothing that a document, an entity id or a
// rule field says can be found in the database, and everything works as without.
import assert from 'node:assert/strict';
import { onBoth } from './sealed-lines.js';

const kSecrets = { entity: 'DIAGNOSIS', id: 'patient-zero-4711', field: 'seropositive', doc: 'the quick brown fox', owner: 'dr.jekyll' };
const found = (text) => Object.entries(kSecrets).filter(([, value]) => text.includes(value)).map(([name]) => name);

onBoth('nothing of documents, entities, owners and rule fields can be read, through save, refusal, conflict, pull and restart; everything works', async (t, { open, bytes, get, put, api }) => {
  const options = { owner: kSecrets.owner, fields: { [kSecrets.entity]: ['status'] } };
  let client = await open(options);
  await client.setRules([{ name: 'status', when: { field: 'status', op: '==', value: kSecrets.field }, points: 25 }]);
  const doc = { status: kSecrets.field, text: kSecrets.doc, n: 0 };
  await client.pause();
  await client.save(kSecrets.entity, 'b', { text: kSecrets.doc });
  const { id } = await client.save(kSecrets.entity, kSecrets.id, doc);
  assert.deepEqual(found(await bytes()), []);
  assert.deepEqual((await client.get(kSecrets.entity, kSecrets.id)), doc);
  assert.deepEqual((await client.list(kSecrets.entity)).map(({ entityId }) => entityId), ['b', kSecrets.id]);
  assert.equal((await client.explain(id)).id, id);
  assert.deepEqual((await client.preview()).items.map(({ entityId }) => entityId), [kSecrets.id, 'b'], 'the rule saw its field');
  await client.close();

  client = await open(options);
  assert.equal((await client.ops()).length, 2);
  await client.resume();
  await client.sync();
  assert.deepEqual(JSON.parse((await get(`${kSecrets.entity}/${kSecrets.id}`)).text), doc);
  assert.deepEqual(await client.ops(), []);
  assert.deepEqual(found(await bytes()), []);
  // A delta against the sealed base; then a conflict with what another device wrote.
  const before = await get(`${kSecrets.entity}/${kSecrets.id}`);
  await put(`${kSecrets.entity}/${kSecrets.id}`, { 'if-match': before.etag, 'content-type': 'application/json', body: JSON.stringify({ ...doc, theirs: 1 }) });
  await client.save(kSecrets.entity, kSecrets.id, { ...doc, n: 1 });
  await client.sync();
  assert.deepEqual(JSON.parse((await get(`${kSecrets.entity}/${kSecrets.id}`)).text), { ...doc, n: 1, theirs: 1 });
  assert.deepEqual(await client.get(kSecrets.entity, kSecrets.id), { ...doc, n: 1, theirs: 1 });
  await put(`${kSecrets.entity}/c`, { 'if-none-match': '*', 'content-type': 'application/json', body: JSON.stringify({ text: kSecrets.doc }) });
  await client.pull();
  assert.deepEqual((await client.list(kSecrets.entity)).map(({ entityId }) => entityId), ['b', 'c', kSecrets.id]);
  assert.deepEqual(found(await bytes()), []);
  assert.ok((await client.history()).some(({ value }) => value.kind === 'conflict' && value.entityId === kSecrets.id));
  await client.delete(kSecrets.entity, 'c');
  await client.sync();
  assert.equal(await client.get(kSecrets.entity, 'c'), undefined);
  assert.equal((await get(`${kSecrets.entity}/c`)).status, 410);

  await client.pause();
  await client.save(kSecrets.entity, 'd', { text: kSecrets.doc });
  const queue = await (await client.exportQueue()).text();
  assert.ok(queue.includes(Buffer.from(JSON.stringify({ text: kSecrets.doc })).toString('base64')), 'the file is plain');
  const data = await (await client.exportData()).text();
  assert.deepEqual(['entity', 'id', 'owner'].filter((name) => !data.includes(kSecrets[name])), []);
  await client.erase();
  assert.deepEqual(found(await bytes()), []);
  await client.signIn();
  assert.deepEqual([await client.ops(), await client.list(kSecrets.entity), (await client.history()).filter(({ value }) => value.owner)], [[], [], []]);
  await client.pause();
  assert.deepEqual(await client.importQueue(queue), { imported: 1 });
  assert.deepEqual(await client.get(kSecrets.entity, 'd'), { text: kSecrets.doc });
  assert.deepEqual(found(await bytes()), []);
});

onBoth('without keys each of these is found, so the search is good for something', async (t, { open, bytes }) => {
  const client = await open({ owner: kSecrets.owner, encryption: undefined });
  await client.pause();
  await client.save(kSecrets.entity, kSecrets.id, { field: kSecrets.field, text: kSecrets.doc });
  assert.deepEqual(found(await bytes()), Object.keys(kSecrets));
});
