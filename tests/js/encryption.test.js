// Encryption at rest on the real line: the real client, core and server, over SQLite and over IndexedDB. What is asked of both: nothing that a document, an entity id or a
// rule field says can be found in the database, and everything works as without.
import 'fake-indexeddb/auto';
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';
import { clock } from '../../sw/clock.js';
import { encryption, secretKeys } from '../../sw/encryption.js';
import { openClient } from '../../sw/node.js';
import { openSqliteStore } from '../../sw/sqlite-store.js';
import { openStore } from '../../sw/store.js';
import { startServer, temporaryDirectory } from './server-harness.js';
import { openPage, origin, startWorker, wipe } from './sw-harness.js';

const kStores = ['payloads', 'bases', 'docs', 'state', 'history'];
const secret = (n) => new Uint8Array(32).fill(n);
const keysOf = (...secrets) => { const [first, ...older] = secrets.map(secret); const keys = secretKeys({ secret: first, older }); return () => keys; };
const sealed = (...secrets) => encryption({ keys: keysOf(...secrets) });

/** Everything a store holds, as one text in which a secret would be found. */
async function contentOf(store) {
  const rows = await store.rows(0, 1e6);
  const parts = [JSON.stringify(rows)];
  for (const name of kStores)
    for (const { key, value } of await store.list(name, { limit: 1e6 })) {
      const bytes = [value, value?.bytes].find((part) => part instanceof Uint8Array);
      parts.push(key, JSON.stringify(value), bytes ? Buffer.from(bytes).toString('latin1') : '');
    }
  return parts.join('\n');
}

/** A client in Node over a file. */
async function overSqlite(t) {
  const path = join(temporaryDirectory(t), 'outbox.db');
  return {
    name: 'SQLite',
    open: async (options) => openClient({ path, autoSync: false, ...options }),
    raw: () => openSqliteStore({ path }),
    /** The bytes on the disk, log included. */
    bytes: async () => readdirSync(dirname(path)).filter((file) => file.startsWith(basename(path))).map((file) => readFileSync(join(dirname(path), file), 'latin1')).join('\n'),
  };
}

/** A page with a service worker, over IndexedDB. */
async function overIndexedDb(t, url) {
  await wipe();
  const world = origin(url);
  const { connect } = await import('../../web/client.js');
  t.after(wipe);
  return {
    name: 'IndexedDB',
    open: async (options) => {
      const worker = await startWorker(world, { endpoint: options.endpoint, encryption: options.encryption, allow: options.allow, blobDeltas: options.blobDeltas });
      await worker.fire('install');
      const page = openPage(world, { worker });
      const client = await connect({ worker: '/sw.js', wasm: '/tidegate.wasm', ...options });
      return { ...client, close: async () => { await client.close(); page.close(); } };
    },
    raw: () => openStore({ clock }),
    bytes: async () => { const store = await openStore({ clock }); try { return await contentOf(store); } finally { await store.close(); } },
  };
}

const kLines = { SQLite: overSqlite, IndexedDB: overIndexedDb };

/** The same test over both. @param {string} claim @param {(t: any, scene: any) => Promise<void>} body */
function onBoth(claim, body) {
  for (const [name, over] of Object.entries(kLines))
    test(`${name}: ${claim}`, async (t) => {
      const world = await startServer(t);
      const line = await over(t, world.url);
      const opened = [];
      t.after(async () => { for (const client of opened) await client.close(); });
      const open = async (options = {}) => {
        const client = await line.open({ endpoint: world.api, encryption: sealed(1), ...options });
        opened.push(client);
        return client;
      };
      /** The store as it lies there. */
      const raw = async (use) => { const store = await line.raw(); try { return await use(store); } finally { await store.close(); } };
      await body(t, { ...world, ...line, open, raw });
    });
}

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
