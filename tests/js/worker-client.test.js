// The client that lives in the service worker: the worker's scope is a fake, the shell, the core and the server are real. The real browser runs in tests/browser.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encryption, secretKeys } from '../../sw/encryption.js';
import { uploads } from '../../sw/uploads.js';
import { workerClient } from '../../sw/worker-client.js';
import { connect } from '../../web/client.js';
import { rowsOf, startServer } from './server-harness.js';
import { openPage, origin, startWorker, wipe } from './sw-harness.js';

/** A server, its origin and a worker of it; no page. */
async function inWorker(t, { worker: workerOptions, ...originOptions } = {}) {
  await wipe();
  const server = await startServer(t);
  const world = origin(server.url, originOptions);
  const worker = await startWorker(world, workerOptions);
  await worker.fire('install');
  const opened = async (options) => {
    const client = await workerClient(worker.handle, options);
    t.after(() => client.close());
    return client;
  };
  const effects = () => rowsOf(server.file, 'SELECT count(*) AS n FROM effects')[0].n;
  return { ...server, world, worker, opened, effects };
}

/** The app's own fetch listener, which saves what is posted to /inside. */
const savePosts = (worker, opened, options) => worker.scope.addEventListener('fetch', (event) => {
  if (new URL(event.request.url).pathname !== '/inside') return;
  const saved = async () => {
    const client = await opened(options);
    const { id, n } = await event.request.json();
    return Response.json(await client.during(event).save('NOTE', id, { n }));
  };
  event.respondWith(saved());
});

test('what the worker\'s own fetch listener saves is on the disk when it is answered, and on the server, once, when the event is over; the tag is armed', async (t) => {
  const { worker, opened, get, world, effects } = await inWorker(t);
  savePosts(worker, opened);
  const { response } = await worker.fetch('/inside', { method: 'POST', body: '{"id":"n1","n":1}' });
  const { entityId } = await response.json();
  assert.equal(entityId, 'n1');
  assert.equal((await get('NOTE/n1')).text, '{"n":1}');
  assert.equal(effects(), 1);
  assert.deepEqual(world.tags, ['tidegate']);
  const client = await opened();
  assert.deepEqual(await client.ops(), []);
  assert.deepEqual((await client.list('NOTE')).map(({ doc }) => doc), [{ n: 1 }]);
});

test('offline it is kept as a page\'s save is: a worker started anew sends it on the sync event, once', async (t) => {
  const { worker, opened, get, world, effects } = await inWorker(t, { online: false });
  savePosts(worker, opened);
  await worker.fetch('/inside', { method: 'POST', body: '{"id":"n1","n":1}' });
  assert.equal((await get('NOTE/n1')).status, 404);
  const [op] = await (await opened()).ops();
  assert.deepEqual({ state: op.state, attempts: op.attempts }, { state: 'queued', attempts: 0 });
  world.navigator.onLine = true;
  const again = await startWorker(world);
  await again.fire('sync', { tag: 'tidegate', lastChance: false });
  assert.equal((await get('NOTE/n1')).text, '{"n":1}');
  assert.equal(effects(), 1);
});

test('many saves of one event are drained before it is over, whichever of them began a drain', async (t) => {
  const { worker, opened, effects } = await inWorker(t);
  worker.scope.addEventListener('push', (event) => event.waitUntil((async () => {
    const client = (await opened()).during(event);
    for (let n = 0; n < 12; n++) await client.save('NOTE', `n${n}`, { n });
  })()));
  await worker.fire('push', { data: { json: () => ({}) } });
  assert.equal(effects(), 12);
});

test('a call during an event that is over is refused as the browser does it, and does nothing; one that is refused itself ends the wait', async (t) => {
  const { worker, opened } = await inWorker(t, { online: false });
  const client = await opened();
  let ended;
  worker.scope.addEventListener('push', (event) => {
    ended = event;
    assert.throws(() => client.during(event).registerTask({}), { code: 'unsupported' });
    event.waitUntil(assert.rejects(client.during(event).save('NOTE', 'n1', NaN), { code: 'out-of-range' }));
  });
  await worker.fire('push', { data: { json: () => ({}) } });
  assert.throws(() => client.during(ended).save('NOTE', 'n1', { n: 1 }), { name: 'InvalidStateError' });
  assert.deepEqual(await client.ops(), []);
});

test('the worker hears every event as a client does, whoever saved; a listener that throws harms nobody, one that left hears nothing', async (t) => {
  const { worker, opened, world } = await inWorker(t);
  const heard = [], left = [];
  t.mock.method(console, 'error', () => {});
  worker.handle.subscribe(() => { throw new Error('a bad listener'); });
  worker.handle.subscribe((event) => heard.push(event));
  worker.handle.subscribe((event) => left.push(event))();
  const page = openPage(world, { worker });
  t.after(() => page.close());
  const client = await connect({ worker: '/sw.js', endpoint: '/api/v1', wasm: '/tidegate.wasm' });
  t.after(() => client.close());
  const { id } = await client.save('NOTE', 'n1', { n: 1 });
  await client.sync();
  const types = heard.map(({ type }) => type);
  for (const type of ['status', 'sync.started', 'sync.completed', 'op.done', 'sync.ended']) assert.ok(types.includes(type), `${type} is not among ${types}`);
  assert.equal(heard.find(({ type }) => type === 'op.done').detail.id, id);
  assert.equal(typeof heard.find(({ type }) => type === 'status').status.queueSize, 'number');
  assert.ok(console.error.mock.callCount() >= heard.length);
  assert.deepEqual(left, []);
  for (const wrong of [undefined, null, 'name', {}])
    assert.throws(() => worker.handle.subscribe(wrong), { name: 'TidegateError', code: 'wrong-type', path: '/listener' });
  assert.equal((await (await opened()).status()).supported.serviceWorker, true);
});

test('a page hears what the worker saves', async (t) => {
  const { worker, opened, world } = await inWorker(t, { online: false });
  const page = openPage(world, { worker });
  t.after(() => page.close());
  const client = await connect({ worker: '/sw.js', endpoint: '/api/v1', wasm: '/tidegate.wasm' });
  t.after(() => client.close());
  const told = new Promise((resolve) => { client.subscribe(({ type, detail }) => { if (type === 'sync.documents') resolve(detail); }); });
  const { id } = await (await opened()).save('NOTE', 'n1', { n: 1 });
  assert.deepEqual(await told, { owner: '', documents: [{ entity: 'NOTE', entityId: 'n1' }] });
  assert.equal((await client.op(id)).entityId, 'n1');
});

test('the calls are those of a page: steering, asking, refusing', async (t) => {
  const { opened, get } = await inWorker(t);
  const client = await opened();
  await client.pause();
  assert.equal((await client.status()).state, 'paused');
  const { id } = await client.save('NOTE', '1', { n: 1 });
  const { id: second } = await client.save('NOTE', '2', { n: 2 });
  await client.cancel(second);
  assert.equal((await client.explain(id)).reason, 'paused');
  await assert.rejects(client.cancel('nobody'), { name: 'TidegateError', code: 'unknown-op', path: '/id' });
  await assert.rejects(client.settings({ maxRetryAttempts: -1 }), { name: 'TidegateError', code: 'out-of-range' });
  assert.throws(() => client.registerTask({ taskId: 'a', execute: () => {} }), { name: 'TidegateError', code: 'unsupported' });
  await client.resume();
  assert.equal((await client.sync()).reject, false);
  assert.equal((await get('NOTE/1')).text, '{"n":1}');
  assert.equal((await get('NOTE/2')).status, 404);
  assert.equal((await client.connectivityTest()).reachable, true);
});

test('opening it signs its owner in, as everywhere; nothing of another is shown, and closing it leaves the worker at work', async (t) => {
  const { worker, opened, effects } = await inWorker(t);
  const ann = await opened({ owner: 'ann' });
  const heardByAnn = [];
  ann.subscribe(({ type, detail }) => { if (type === 'sync.owner') heardByAnn.push(detail.signedIn); });
  await ann.pause();
  await ann.save('NOTE', 'a', { n: 1 });
  const ben = await opened({ owner: 'ben' });
  assert.deepEqual(await ben.ops(), []);
  await ben.status();
  assert.equal(heardByAnn.at(-1), 'ben');
  await assert.rejects(ann.list('NOTE'), { name: 'TidegateError', code: 'signed-out' });
  await ben.save('NOTE', 'b', { n: 2 });
  await ben.resume();
  await Promise.all([ann.close(), ben.close()]);
  await assert.rejects(ben.save('NOTE', 'c', { n: 3 }), { name: 'TidegateError', code: 'closed' });
  await worker.fire('sync', { tag: 'tidegate', lastChance: false });
  assert.equal(effects(), 1);
});

test('sealed, or larger than one op, it goes as from a page', async (t) => {
  const keys = () => secretKeys({ secret: new Uint8Array(32).fill(7) });
  const { opened, get, effects } = await inWorker(t, { worker: { encryption: encryption({ keys }), uploads: uploads() } });
  const client = await opened();
  await client.save('NOTE', 'n1', { finding: 'seropositive' });
  await client.save('MEDIA', 'film', new Blob([new Uint8Array(2 * 2 ** 20)]));
  await client.sync();
  assert.deepEqual(await client.ops(), []);
  assert.equal((await get('NOTE/n1')).text, '{"finding":"seropositive"}');
  assert.equal((await get('MEDIA/film')).bytes.length, 2 * 2 ** 20);
  assert.equal(effects(), 2);
});

test('what is no worker is refused by name', async () => {
  for (const wrong of [undefined, null, {}, 'sw.js'])
    await assert.rejects(workerClient(wrong), { name: 'TidegateError', code: 'wrong-type', path: '/worker' });
});
