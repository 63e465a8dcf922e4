// Large blobs: kept in pieces, sent by tus. The real client, core, store and server; what goes wrong on the way is put in between.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildRow } from '../../sw/accept.js';
import { clock } from '../../sw/clock.js';
import { deferred } from '../../sw/deferred.js';
import { webLocks } from '../../sw/locks.js';
import { openClient } from '../../sw/node.js';
import { random } from '../../sw/random.js';
import { openSqliteStore } from '../../sw/sqlite-store.js';
import { createTransport } from '../../sw/transport.js';
import { kLeaseMs } from '../../sw/turn.js';
import { Turns } from '../../sw/turns.js';
import { kPieceBytes, uploads } from '../../sw/uploads.js';
import { createPlanner } from '../../wasm/index.js';
import { contentOf, sealed } from './sealed-lines.js';
import { rowsOf, startServer, temporaryDirectory } from './server-harness.js';
import { proxy } from './upload-harness.js';

const kSize = 1_300_000;
const kWasm = readFileSync(new URL('../../dist/tidegate.wasm', import.meta.url));

/** @param {import('node:test').TestContext} t */
async function pair(t, { server: serverOptions = {}, ...options } = {}) {
  const server = await startServer(t, serverOptions);
  const between = await proxy(t, server.url);
  const path = join(temporaryDirectory(t), 'outbox.db');
  const open = async (more = {}) => {
    const client = await openClient({ path, endpoint: `${between.url}/api/v1`, autoSync: false, uploads: uploads(), ...options, ...more });
    t.after(() => client.close());
    return client;
  };
  const client = await open();
  await client.settings({ baseDelay: 1, maxDelay: 1 });
  const events = [];
  client.subscribe(({ type, detail }) => events.push({ type, detail }));
  const effects = () => rowsOf(server.file, 'SELECT key, entity_id FROM effects ORDER BY n');
  const payloads = () => rowsOf(path, 'SELECT key FROM payloads ORDER BY key').map(({ key }) => key);
  return { ...server, between, path, open, client, events, effects, payloads };
}

/** Drains until nothing can go any more. */
async function rest(client) {
  for (let end; (end = await client.sync()).wakeAtMs !== null;) while (Date.now() < end.wakeAtMs) await new Promise(setImmediate);
}
const film = (bytes) => new Blob([bytes], { type: 'video/mp4' });
const steps = (between) => between.requests.map(({ method, status }) => `${method} ${status}`);
/** What the server has of it is what was saved, once. */
async function arrived({ client, get, effects, payloads, between }, id, bytes, entityId = 'film') {
  assert.deepEqual(await client.ops(), []);
  assert.deepEqual(effects(), [{ key: id, entity_id: entityId }]);
  assert.ok((await get(`MEDIA/${entityId}`)).bytes.equals(bytes), 'byte for byte');
  assert.deepEqual(payloads(), []);
  for (const { method, status, headers } of between.requests) if (method !== 'GET') assert.equal(headers['idempotency-key'], `"${id}"`, `${method} ${status}`);
}

test('a blob above maxOpBytes goes by itself in chunks: POST, PATCH after PATCH, one effect under the op\'s key, byte for byte, every byte once', async (t) => {
  const all = await pair(t);
  const { client, between, payloads, get, events } = all;
  const bytes = randomBytes(kSize);
  const { id } = await client.save('MEDIA', 'film', film(bytes));
  assert.equal(payloads().length, Math.ceil(kSize / kPieceBytes));
  const shown = await client.get('MEDIA', 'film');
  assert.equal(shown.type, 'video/mp4');
  assert.ok(Buffer.from(await shown.arrayBuffer()).equals(bytes));
  assert.deepEqual((({ sizeBytes, sentBytes, state }) => ({ sizeBytes, sentBytes, state }))(await client.op(id)), { sizeBytes: kSize, sentBytes: 0, state: 'queued' });
  await rest(client);
  await arrived(all, id, bytes);
  assert.equal((await get('MEDIA/film')).headers.get('content-type'), 'video/mp4');
  const [first, ...others] = steps(between);
  assert.equal(first, 'POST 201');
  assert.ok(others.length >= 3 && others.every((step) => step === 'PATCH 204'), others.join());
  assert.equal(between.requests.reduce((sum, { bytes: sent }) => sum + sent, 0), kSize);
  const progress = events.filter(({ type }) => type === 'upload.progress').map(({ detail }) => detail);
  assert.deepEqual(progress.at(-1), { id, owner: '', entity: 'MEDIA', entityId: 'film', sentBytes: kSize, sizeBytes: kSize });
  assert.equal(progress.length, others.length);
  assert.equal(await client.get('MEDIA', 'film'), undefined, 'the server has it');
});

test('what cannot be uploaded is refused by name, and nothing is stored: no option, over its limit, JSON, in an atomic group, over maxQueuedBytes', async (t) => {
  const { client, open, payloads } = await pair(t, { uploads: uploads({ maxBytes: kSize }), maxQueuedBytes: 2_000_000 });
  const without = await open({ uploads: undefined });
  const large = new Uint8Array(kSize);
  await assert.rejects(without.save('MEDIA', 'film', large), { code: 'limit', path: '/doc', message: '/doc: expected at most 1048576 bytes (maxOpBytes; larger blobs need the option uploads), got 1300000' });
  await assert.rejects(client.save('MEDIA', 'film', new Uint8Array(kSize + 1)), { code: 'limit', message: '/doc: expected at most 1300000 bytes (maxBytes of uploads), got 1300001' });
  await assert.rejects(client.save('MEDIA', 'film', 'x'.repeat(kSize)), { code: 'limit', message: '/doc: expected at most 1048576 bytes (maxOpBytes), got 1300002' });
  await assert.rejects(client.saveAll([{ entity: 'MEDIA', doc: large }], { atomic: true }), { code: 'limit', message: '/items/0/doc: expected at most 1048576 bytes (maxOpBytes) in an atomic group, got 1300000' });
  await assert.rejects(client.save('MEDIA', 'film', film(large), { contentType: 'no type' }), { code: 'out-of-range', path: '/contentType' });
  await assert.rejects(client.save('MEDIA', 'film', large, { dependsOn: ['never'] }), { code: 'orphan' });
  await client.save('MEDIA', 'small', new Uint8Array(1_000_000));
  await assert.rejects(client.save('MEDIA', 'film', large), { code: 'full' });
  assert.equal((await client.ops()).length, 1);
  assert.equal(payloads().length, 1);
  for (const maxBytes of [0, -1, 1.5, 2 ** 40, '5']) assert.throws(() => uploads({ maxBytes }), { code: 'out-of-range', path: '/maxBytes' });
});

test('of a Blob only pieces are read, and where the disk is full nothing is accepted and no piece stays', async (t) => {
  class Film extends Blob {
    async arrayBuffer() { throw new Error('the whole blob was read'); }
  }
  const { client } = await pair(t);
  await client.save('MEDIA', 'film', new Film([randomBytes(kSize)], { type: 'video/mp4' }));
  assert.equal((await client.ops()).length, 1);

  const store = await openSqliteStore({ path: join(temporaryDirectory(t), 'full.db'), maxPages: 200 });
  t.after(() => store.close());
  const row = { id: 'a', lane: ':MEDIA/a', owner: '', entity: 'MEDIA', entityId: 'a', action: 'create', sizeBytes: kSize };
  const kept = uploads().keeping(store, [{ row, bytes: null, source: new Uint8Array(kSize) }], { maxOps: 10, maxBytes: 1e9 }, () => assert.fail('it was accepted'));
  await assert.rejects(kept, { code: 'quota' });
  assert.deepEqual([await store.list('payloads'), (await store.census()).rows], [[], 0]);
});

test('pieces of a save that did not come to its end are taken away at a later start; those of an op, and of a save under way, stay', async (t) => {
  const { client, open, path, payloads } = await pair(t);
  const { id } = await client.save('MEDIA', 'film', film(randomBytes(kSize)));
  const store = await openSqliteStore({ path });
  t.after(() => store.close());
  const idAt = (ms) => `${ms.toString(16).padStart(12, '0').replace(/^(.{8})/, '$1-')}-7000-8000-000000000000`;
  const old = idAt(Date.now() - 25 * 3600 * 1000), young = idAt(Date.now());
  for (const of of [old, young]) for (const n of ['00000', '00001']) await store.stage({ store: 'payloads', key: `up:${of}:${n}`, bytes: new Uint8Array(9) });
  await open();
  while (payloads().some((key) => key.startsWith(`up:${old}:`))) await new Promise(setImmediate);
  assert.deepEqual([...new Set(payloads().map((key) => key.split(':')[1]))].sort(), [id, young].sort());
});

test('a more urgent op that is saved during a long upload goes between two chunks', async (t) => {
  const all = await pair(t);
  const { client, between, get } = all;
  await client.settings({ maximumConcurrentOperations: 1 });
  const bytes = randomBytes(kSize);
  await client.save('MEDIA', 'film', film(bytes));
  let saved;
  between.before = async ({ method }, n) => { if (method === 'PATCH' && n === 2) {
    saved = await client.save('NOTE', 'now', { n: 1 }, { priority: 'critical' });
    client.sync().catch(() => {});   // as an open page tells of a save
  } };
  await rest(client);
  assert.deepEqual(steps(between).slice(0, 5), ['POST 201', 'PATCH 204', 'PATCH 204', 'POST 200', 'PATCH 204']);
  assert.equal(between.requests[3].url, '/api/v1/batch');
  assert.ok(saved && (await get('NOTE/now')).text === '{"n":1}');
  assert.ok((await get('MEDIA/film')).bytes.equals(bytes));
});

test('paused between two chunks nothing more leaves; taken up again it goes on where it was', async (t) => {
  const all = await pair(t);
  const { client, between } = all;
  const bytes = randomBytes(kSize);
  const { id } = await client.save('MEDIA', 'film', film(bytes));
  const asked = deferred();
  between.before = async ({ method }, n) => { if (method === 'PATCH' && n === 1) asked.resolve(client.pause()); };
  await client.sync();
  await asked.promise;
  assert.deepEqual(steps(between), ['POST 201', 'PATCH 204']);
  const { sentBytes } = await client.op(id);
  assert.ok(sentBytes > 0 && sentBytes < kSize);
  await client.resume();
  await rest(client);
  assert.ok(!steps(between).some((step) => step.startsWith('HEAD')), 'nothing was in doubt');
  await arrived(all, id, bytes);
});

test('a client that is closed in the middle of a chunk asks how far it came, and sends no byte twice that the server has', async (t) => {
  const all = await pair(t);
  const { client, between, open } = all;
  const bytes = randomBytes(kSize);
  const { id } = await client.save('MEDIA', 'film', film(bytes));
  const cut = deferred();
  between.before = async ({ method }, n) => {
    if (method !== 'PATCH' || n !== 2) return undefined;
    cut.resolve();
    return 'hang';
  };
  const draining = client.sync().catch((error) => error);
  await cut.promise;
  await client.close();
  await draining;
  between.before = undefined;
  const again = await open();
  const [op] = await again.ops();
  assert.deepEqual([op.id, op.state], [id, 'sending']);
  await rest(again);
  assert.deepEqual(steps(between).slice(3, 5), ['HEAD 200', 'PATCH 204']);
  await arrived({ ...all, client: again }, id, bytes);
});

for (const [name, demand] of [
  ['after it was carried out', ['resetAfter', null, 'resetAfter', null, 'resetAfter', null, 'resetAfter']],
  ['before it was', ['resetBefore', null, 'resetBefore', null, 'resetBefore', null, 'resetBefore']],
  ['with 500 after it was carried out', ['status500After', null, 'status500After', null, 'status500After', null, null, 'status500After']],
])
  test(`requests cut off ${name}: the offset is asked for, what has no answer counts as no attempt, one effect`, async (t) => {
    const all = await pair(t);
    const bytes = randomBytes(kSize);
    const { id } = await all.client.save('MEDIA', 'film', film(bytes));
    all.server.demandFaults(demand);
    let attempts = 0;
    all.client.subscribe(async ({ type }) => { if (type === 'status') attempts = Math.max(attempts, (await all.client.op(id))?.attempts ?? 0); });
    await rest(all.client);
    await arrived(all, id, bytes);
    if (!name.startsWith('with 500')) assert.equal(attempts, 0);
    assert.ok(steps(all.between).filter((step) => step === 'HEAD 200').length >= 1, steps(all.between).join());
  });

test('a network that is away, and timeouts, count no attempt; the upload goes on when it is back', async (t) => {
  const all = await pair(t);
  const bytes = randomBytes(kSize);
  const { id } = await all.client.save('MEDIA', 'film', film(bytes));
  all.between.before = async (_, n) => (n % 2 ? 'reset' : { status: 408 });
  for (let n = 0; n < 6; n++) await all.client.sync();
  assert.ok(all.between.requests.length >= 3);
  all.between.before = undefined;
  const { attempts, state } = await all.client.op(id);
  assert.deepEqual([attempts, ['queued', 'unknown'].includes(state)], [0, true], state);
  await rest(all.client);
  await arrived(all, id, bytes);
});

/** What a PATCH in the middle is answered, once, in place of the server's own answer; `applied`: although the server took the chunk. */
const kOdd = [
  ['409 because it is elsewhere', { status: 409 }], ['423 because somebody else writes it', { status: 423 }], ['460 because the bytes were damaged', { status: 460 }],
  ['409 although the chunk was taken', { status: 409, applied: true }],
  ['a success that says no offset', { status: 204, applied: true }], ['an offset that is no number', { status: 204, headers: { 'upload-offset': '12e3' }, applied: true }],
  ['an offset behind the end', { status: 204, headers: { 'upload-offset': String(kSize + 1) } }], ['an offset that does not move', { status: 204, headers: { 'upload-offset': '0' } }],
  ['the page of a hotel', { status: 200, headers: { 'content-type': 'text/html' }, body: '<h1>Welcome</h1>' }],
  ['429', { status: 429, headers: { 'retry-after': '0' } }], ['503', { status: 503 }], ['999', { status: 999 }],
];
for (const [name, odd] of kOdd)
  test(`a chunk answered ${name}: no harm is done, and it arrives once`, async (t) => {
    const all = await pair(t);
    const bytes = randomBytes(kSize);
    const { id } = await all.client.save('MEDIA', 'film', film(bytes));
    all.between.before = async ({ method }, n) => (method === 'PATCH' && n === 2 ? odd : undefined);
    await rest(all.client);
    await arrived(all, id, bytes);
  });

test('a proxy that takes no chunk above 100 kB (413): smaller ones go from then on, and it arrives once', async (t) => {
  const all = await pair(t);
  const bytes = randomBytes(kSize);
  const { id } = await all.client.save('MEDIA', 'film', film(bytes));
  all.between.before = async ({ bytes: sent }) => (sent > 100_000 ? { status: 413 } : undefined);
  await rest(all.client);
  await arrived(all, id, bytes);
});

for (const status of [404, 410])
  test(`an upload that the server gave up (${status}) begins anew under the same key`, async (t) => {
    const all = await pair(t);
    const bytes = randomBytes(kSize);
    const { id } = await all.client.save('MEDIA', 'film', film(bytes));
    all.between.before = async ({ method, url }, n) => {
      if (method !== 'PATCH' || n !== 3) return undefined;
      await all.send('DELETE', url.replace('/api/v1', ''), { 'tus-resumable': '1.0.0' });
      return status === 410 ? { status } : undefined;
    };
    await rest(all.client);
    assert.equal(steps(all.between).filter((step) => step === 'POST 201').length, 2, steps(all.between).join());
    await arrived(all, id, bytes);
  });

for (const [name, odd, reason] of [
  ['400', { status: 400, headers: { 'content-type': 'application/problem+json' }, body: '{"title":"no films here"}' }, /no films here/], ['403', { status: 403 }, /Not allowed/],
  ['of another version of tus', { status: 412, headers: { 'tus-version': '2.0.0' } }, /the server speaks tus 2\.0\.0, not 1\.0\.0/],
])
  for (const method of ['POST', 'PATCH'])
    test(`a ${method} refused (${name}): a dead letter with its bytes, which a person can send again or drop`, async (t) => {
      const all = await pair(t);
      const bytes = randomBytes(kSize);
      const { id } = await all.client.save('MEDIA', 'film', film(bytes));
      all.between.before = async (request) => (request.method === method ? odd : undefined);
      await rest(all.client);
      const [op] = await all.client.ops({ state: 'dead' });
      assert.equal(op.id, id);
      assert.match(op.reason, reason);
      assert.equal(all.payloads().filter((key) => key.startsWith('up:')).length, Math.ceil(kSize / kPieceBytes), 'its bytes are kept');
      all.between.before = undefined;
      await all.client.retry(id);
      await rest(all.client);
      await arrived(all, id, bytes);
    });

test('a server without uploads (404 to POST) makes a dead letter, for a new entity and for one that is there; dropped, its pieces go', async (t) => {
  const { client, between, payloads, get } = await pair(t);
  await client.save('MEDIA', 'film', new Uint8Array([1]));
  await rest(client);
  between.before = async ({ url }) => (url.endsWith('/uploads') ? { status: 404 } : undefined);
  const ids = [await client.save('MEDIA', 'film', film(randomBytes(kSize))), await client.save('MEDIA', 'new', film(randomBytes(kSize)))].map(({ id }) => id);
  await rest(client);
  assert.deepEqual((await client.ops({ state: 'dead' })).map(({ id }) => id), ids);
  for (const id of ids) await client.drop(id);
  assert.deepEqual([await client.ops(), payloads().filter((key) => key.startsWith('up:'))], [[], []]);
  assert.equal((await get('MEDIA/film')).bytes.length, 1);
});

test('an address on another origin is not spoken to: a dead letter that says so', async (t) => {
  const { client, between } = await pair(t);
  const { id } = await client.save('MEDIA', 'film', film(randomBytes(kSize)));
  between.before = async ({ method }) => (method === 'POST' ? { status: 201, headers: { location: 'https://elsewhere.example/uploads/1' } } : undefined);
  await rest(client);
  assert.match((await client.op(id)).reason, /its address is refused: origin https:\/\/elsewhere\.example is not one of those allowed/);
});

test('somebody else changed the entity meanwhile: 412 at the last chunk, the conflict is decided, and no byte goes a second time', async (t) => {
  const all = await pair(t);
  const { client, between, put, get } = all;
  await client.save('MEDIA', 'film', new Uint8Array([1]));
  await rest(client);
  const { etag } = await get('MEDIA/film');
  const bytes = randomBytes(kSize);
  await client.save('MEDIA', 'film', film(bytes));
  between.before = async ({ method }, n) => { if (method === 'PATCH' && n === 2) await put('MEDIA/film', { 'if-match': etag, 'content-type': 'text/plain', body: 'theirs' }); };
  between.requests.length = 0;
  await rest(client);
  assert.deepEqual(await client.ops(), []);
  assert.ok(steps(between).includes('PATCH 412'));
  assert.ok((await get('MEDIA/film')).bytes.equals(bytes), 'ours goes over theirs, as with every blob');
  assert.equal(between.requests.filter(({ method }) => method === 'PATCH').reduce((sum, { bytes: sent }) => sum + sent, 0) <= kSize + 262_144, true);
  const patches = between.requests.filter(({ method }) => method === 'PATCH');
  assert.equal(patches.reduce((sum, { bytes: sent }) => sum + sent, 0), kSize, 'every byte once');
  assert.deepEqual(steps(between).slice(-3), ['PATCH 412', 'HEAD 200', 'PATCH 204'], 'it is asked where it is; nothing is tried on the chance');
  assert.deepEqual([patches.at(-1).bytes, patches.filter(({ bytes: sent }) => sent === 0).length], [0, 1]);
  assert.equal((await client.history({ prefix: 'audit/' })).filter(({ value }) => value.kind === 'conflict').length, 1);
});

/** A film of which the server has a chunk, and whose op was cancelled then; sync stays paused. @param {any} client @param {any} between */
async function cancelledHalfWay(client, between) {
  const { id } = await client.save('MEDIA', 'film', film(randomBytes(kSize)));
  let paused;
  between.before = async ({ method }, n) => { if (method === 'PATCH' && n === 1) paused = client.pause(); };
  await client.sync();
  await paused;
  await client.cancel(id);
}

test('cancelled between two chunks it leaves with its pieces; the next save of the entity goes', async (t) => {
  const all = await pair(t);
  const { client, between, payloads, effects } = all;
  await cancelledHalfWay(client, between);
  assert.deepEqual([await client.ops(), payloads()], [[], []]);
  await client.resume();
  const bytes = randomBytes(kSize);
  const next = await client.save('MEDIA', 'film', film(bytes));
  await rest(client);
  assert.deepEqual(effects().map(({ key }) => key), [next.id]);
});

test('where nobody drains with uploads it waits, and says what is missing; no attempt counts', async (t) => {
  const { client, open, effects } = await pair(t);
  const { id } = await client.save('MEDIA', 'film', film(randomBytes(kSize)));
  await client.save('NOTE', 'other', { n: 1 });
  await client.close();
  const without = await open({ uploads: undefined });
  await without.sync();
  const { state, attempts, reason, sentBytes } = await without.op(id);
  assert.deepEqual([state, attempts, sentBytes], ['queued', 0, 0]);
  assert.match(reason, /Nobody here knows how: an option is missing/);
  assert.equal(effects().length, 1, 'the others go');
});

test('exportData has the pieces and erase takes them away; a queue file brings an upload to another device', async (t) => {
  const all = await pair(t, { owner: 'ann' });
  const { client, payloads, open, path, effects, get } = all;
  const bytes = randomBytes(kSize);
  const { id } = await client.save('MEDIA', 'film', film(bytes));
  const lines = (await (await client.exportData()).text()).trimEnd().split('\n').map((line) => JSON.parse(line));
  const pieces = lines.filter(({ store, key }) => store === 'payloads' && key.startsWith(`up:${id}:`));
  assert.ok(Buffer.concat(pieces.map(({ bytes: piece }) => Buffer.from(piece, 'base64'))).equals(bytes));
  const file = await client.exportQueue();
  await client.erase();
  assert.deepEqual(payloads(), []);
  await client.close();
  const other = await open({ path: `${path}.other`, owner: 'ann' });
  assert.deepEqual(await other.importQueue(file), { imported: 1 });
  await rest(other);
  assert.deepEqual(effects(), [{ key: id, entity_id: 'film' }]);
  assert.ok((await get('MEDIA/film')).bytes.equals(bytes));
  const plain = await open({ path: `${path}.third`, owner: 'ann', uploads: undefined });
  await assert.rejects(plain.importQueue(file), { message: /line 2: it is an upload, which needs the option uploads/ });
});

test('with encryption the pieces are sealed, too, and arrive as they were', async (t) => {
  const all = await pair(t, { encryption: sealed(1) });
  const { client, path } = all;
  const bytes = Buffer.from('every piece says so. '.repeat(kSize / 21 + 1)).subarray(0, kSize);
  const { id } = await client.save('MEDIA', 'film', film(bytes));
  assert.ok(Buffer.from(await (await client.get('MEDIA', 'film')).arrayBuffer()).equals(bytes));
  const store = await openSqliteStore({ path });
  t.after(() => store.close());
  const content = await contentOf(store);
  assert.deepEqual(['says so', 'film', 'MEDIA'].filter((word) => content.includes(word)), []);
  await rest(client);
  await arrived(all, id, bytes);
});

test('list() has a large blob on its way without its bytes, beside the small ones with theirs; once the server has it, or it was cancelled, no more', async (t) => {
  const { client } = await pair(t, { encryption: sealed(1) });
  const { id, seq } = await client.save('MEDIA', 'film', film(randomBytes(kSize)));
  const small = await client.save('MEDIA', 'photo', new Blob(['tiny'], { type: 'image/png' }));
  const [large, other, ...more] = await client.list('MEDIA');
  assert.deepEqual(large, { entity: 'MEDIA', entityId: 'film', contentType: 'video/mp4', opId: id, seq, doc: undefined, sizeBytes: kSize });
  assert.deepEqual([other.entityId, other.opId, await other.doc.text(), 'sizeBytes' in other, more], ['photo', small.id, 'tiny', false, []]);
  assert.deepEqual((await client.list('MEDIA', { limit: 1 })).map(({ entityId }) => entityId), ['film']);
  await client.save('MEDIA', 'gone', film(randomBytes(kSize)));
  await client.delete('MEDIA', 'gone');
  const again = await client.save('MEDIA', 'again', film(randomBytes(kSize)));
  assert.deepEqual((await client.list('MEDIA')).map(({ entityId }) => entityId), ['again', 'film', 'photo']);
  await client.cancel(again.id);
  await rest(client);
  assert.deepEqual((await client.list('MEDIA')).map(({ entityId }) => entityId), ['photo']);
});

/** What the server keeps of uploads that have not ended. */
const unfinished = ({ server, file }) => {
  assert.ok(server);
  return rowsOf(file, 'SELECT (SELECT count(*) FROM uploads WHERE etag IS NULL) AS uploads, (SELECT count(*) FROM pieces) AS pieces')[0];
};

test('cancelled in the middle, the server takes its bytes away as soon as it hears of it: one DELETE, under nobody else\'s op', async (t) => {
  const all = await pair(t);
  const { client, between, open } = all;
  const { id } = await client.save('MEDIA', 'film', film(randomBytes(kSize)));
  let paused;
  between.before = async ({ method }, n) => { if (method === 'PATCH' && n === 1) paused = client.pause(); };
  await client.sync();
  await paused;
  assert.deepEqual([unfinished(all).uploads, unfinished(all).pieces > 0], [1, true]);
  await client.cancel(id);
  assert.deepEqual([await client.ops(), all.payloads(), steps(between).filter((step) => step.startsWith('DELETE'))], [[], [], []], 'paused: nothing leaves');
  await client.close();
  const again = await open();
  await again.resume();
  await rest(again);
  await again.sync();
  assert.deepEqual(steps(between).filter((step) => step.startsWith('DELETE')), ['DELETE 204']);
  assert.equal(between.requests.at(-1).headers['idempotency-key'], undefined, 'it is no op');
  assert.deepEqual(unfinished(all), { uploads: 0, pieces: 0 });
  assert.deepEqual(all.effects(), []);
});

test('a server that does not answer the DELETE holds nobody up: drop() resolves, the next save goes, and in the next drain it is told again', async (t) => {
  const all = await pair(t);
  const { client, between, open, effects } = all;
  const { id } = await client.save('MEDIA', 'film', film(randomBytes(kSize)));
  between.before = async ({ method }, n) => (method === 'DELETE' ? 'hang' : method === 'PATCH' && n === 2 ? { status: 403 } : undefined);
  await rest(client);
  assert.equal((await client.op(id)).state, 'dead');
  await client.drop(id);
  assert.deepEqual([await client.ops(), all.payloads()], [[], []]);
  const next = await client.save('NOTE', 'next', { n: 1 });
  const draining = client.sync().catch((error) => error);
  while (effects().length === 0) await new Promise(setImmediate);
  assert.equal(steps(between).filter((step) => step.startsWith('DELETE')).length, 1);
  await client.close();
  await draining;
  between.before = undefined;
  const again = await open();
  await rest(again);
  assert.deepEqual(steps(between).filter((step) => step.startsWith('DELETE')), ['DELETE none', 'DELETE 204']);
  assert.deepEqual([unfinished(all), effects().map(({ key }) => key)], [{ uploads: 0, pieces: 0 }, [next.id]]);
});

test('what a server is still to be told of an owner\'s cancelled uploads goes with everything else of him', async (t) => {
  const { client, between, path } = await pair(t, { owner: 'ann' });
  await cancelledHalfWay(client, between);
  const store = await openSqliteStore({ path });
  t.after(() => store.close());
  while ((await store.get('state', 'core')).abandoned.length === 0) await new Promise(setImmediate);
  await client.erase();
  assert.deepEqual((await store.get('state', 'core')).abandoned, []);
  assert.ok(!(await contentOf(store)).includes('/uploads/'));
});

/**
 * Drains of `store` by a process of its own, with a clock that is set ahead by hand and no lock but the lease.
 * @param {any} store @param {string} api @param {{ahead: number, frozen?: boolean}} time
 */
function processOver(store, api, time) {
  const own = { ...clock, now: () => Date.now() + time.ahead, timer: (ms, run) => clock.timer(ms, () => { if (!time.frozen) run(); }) };
  const published = [];
  const publish = (type, detail) => { published.push({ type, detail }); };
  const turns = new Turns({
    store, clock: own, random, locks: webLocks(undefined), publish, readings: () => ({}), createPlanner: async () => createPlanner(kWasm),
    transport: uploads().around(createTransport({ endpoint: api, clock: own }), { store, clock: own, publish }),
  });
  return { turns, published };
}

/** A store with one film in it, and a server behind a proxy. @param {import('node:test').TestContext} t */
async function filmAlone(t) {
  const server = await startServer(t);
  const between = await proxy(t, server.url);
  const store = await openSqliteStore({ path: ':memory:' });
  t.after(() => store.close());
  const context = { owner: '', schemaVersion: 0, fieldNames: () => [], clock, random, maxOpBytes: 1000, maxUploadBytes: 1e9 };
  const bytes = randomBytes(kSize);
  const item = await buildRow({ entity: 'MEDIA', entityId: 'film', doc: bytes }, /** @type {any} */ (context), '');
  await uploads().keeping(store, [item], { maxOps: 10, maxBytes: 1e9 }, (items) => store.accept(items, { maxOps: 10, maxBytes: 1e9 }));
  return { ...server, between, store, bytes, id: item.row.id, api: `${between.url}/api/v1` };
}

for (const [reads, what] of [['rowById', 'how far an upload is'], ['get', 'the bytes of a chunk']])
  test(`a worker that is frozen while it reads ${what} sends nothing when it thaws and another has gone on: there was a commit in between`, async (t) => {
    const { between, store, api, get, bytes, file, id } = await filmAlone(t);
    const reading = deferred(), thawed = deferred();
    const time = { ahead: 0, frozen: false };
    let patches = 0;
    between.before = async ({ method }) => { patches += method === 'PATCH' ? 1 : 0; };
    const freezing = new Proxy(store, { get: (target, name) => (typeof target[name] !== 'function' ? target[name] : async (...args) => {
      const found = await target[name](...args);
      if (name === reads && patches === 1 && (name === 'rowById' || String(args[1]).startsWith('up:')) && !time.frozen) {
        time.frozen = true;
        reading.resolve();
        await thawed.promise;
      }
      return found;
    }) });
    const frozen = processOver(freezing, api, time).turns.ask({ event: { type: 'sync' } });
    await reading.promise;
    const other = { ahead: kLeaseMs + 1 };
    const { turns } = processOver(store, api, other);
    assert.equal((await turns.ask({ commands: [{ type: 'pause' }] }).end).ok, true, 'the other has the lease, and stores that it is paused');
    const sent = between.requests.length;
    time.ahead = other.ahead;
    time.frozen = false;
    thawed.resolve();
    assert.equal((await frozen.end).ok, false, 'it finds itself fenced');
    assert.equal(between.requests.length, sent, 'and nothing left after the pause');
    await turns.ask({ commands: [{ type: 'resume' }] }).end;
    for (let end = { wakeAtMs: 0 }; end.wakeAtMs !== null; other.ahead += Math.max(0, (end.wakeAtMs ?? 0) - Date.now() - other.ahead)) end = await turns.ask({ event: { type: 'manual' } }).end;
    assert.deepEqual(rowsOf(file, 'SELECT key FROM effects').map(({ key }) => key), [id]);
    assert.ok((await get('MEDIA/film')).bytes.equals(bytes));
  });

test('sync.progress tells how much of an upload the server has', async (t) => {
  const { between, store, api } = await filmAlone(t);
  const time = { ahead: 0 };
  const { turns, published } = processOver(store, api, time);
  const there = [0];   // percent, after each chunk
  between.before = async ({ method, bytes }) => {
    time.ahead += 300;   // no status is told more often than that
    if (method === 'PATCH') there.push(there.at(-1) + 100 * bytes / kSize);
  };
  assert.equal((await turns.ask({ event: { type: 'sync' } }).end).ok, true);
  const told = published.filter(({ type }) => type === 'sync.progress').map(({ detail }) => detail.currentOperation).filter(Boolean);
  assert.ok(told.length >= 3);
  for (const { type, entityId, progress } of told) {
    assert.deepEqual([type, entityId], ['create MEDIA', 'film']);
    assert.ok(there.some((percent) => Math.abs(percent - progress) < 1e-6), `${progress} of ${there}`);
  }
  const shares = told.map(({ progress }) => progress);
  assert.deepEqual(shares, [...shares].sort((a, b) => a - b));
  assert.ok(new Set(shares).size >= there.length - 1, `${shares} of ${there}`);
});
