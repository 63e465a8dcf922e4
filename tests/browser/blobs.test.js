// Large blobs in a real browser: an edit goes over the line as a VCDIFF delta, and a film in chunks, also when the browser is killed between a request and its answer.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kQuickSettings, openScene } from './harness/scene.js';
import { until } from './harness/until.js';
import { deferred } from '../../sw/deferred.js';

const kBytes = 1_000_000;

/** Bytes that do not compress; of version 1 a few places are others and ten bytes more. Runs in the page and here. @param {{size: number, version: number}} wanted */
function photo({ size, version }) {
  const bytes = new Uint8Array(size + 10 * version);
  for (let i = 0, state = 1; i < size; i++) bytes[i] = (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 24;
  if (version === 0) return bytes;
  bytes.copyWithin(size / 2 + 10, size / 2, size);
  bytes.fill(7, size / 2, size / 2 + 10);
  for (const at of [size / 10, size / 4]) bytes[at] ^= 255;
  return bytes;
}

/** Saves that version in the page. */
const save = (page, version) => page.run(`(async () => {
  const bytes = (${photo})(${JSON.stringify({ size: kBytes, version })});
  await (await client).save('MEDIA', 'p', new Blob([bytes], { type: 'image/jpeg' }));
})()`);

/** What the server has. */
const stored = async (scene) => Buffer.from(await (await fetch(`http://127.0.0.1:${scene.server.port}/api/v1/entities/MEDIA/p`)).arrayBuffer());

test('a megabyte edited a little: the browser killed before the answer, less than a twentieth of the bytes, one effect, the same bytes there', async (t) => {
  const scene = await openScene(t);
  const page = await scene.open({ worker: 'blob-sw.js' });
  await page.run(async (settings) => { await (await client).settings(settings); }, kQuickSettings);
  await save(page, 0);
  await until(() => scene.server.effects() === 1, 'the blob to arrive');
  const outbox = () => page.run(async () => (await (await client).ops()).length);
  await until(async () => (await outbox()) === 0, 'the outbox to be empty');
  scene.gateway.requests.length = 0;

  const dropped = deferred();
  let answered = 0;
  scene.gateway.watch = (place) => (place === 'answered' ? (answered++, dropped.promise) : undefined);
  const saving = save(page, 1).catch((error) => error);   // the kill may fall into its return
  await until(() => answered > 0, 'a delta to strike at', { seen: () => scene.gateway.requests.map(({ method, path, status }) => [method, path, status]) });
  await scene.browser.kill();
  await saving;
  scene.gateway.watch = null;
  dropped.resolve('drop');
  await scene.relaunch();   // the browser's own sync event brings it home, with no page
  const sent = () => scene.gateway.requests.filter(({ method, status }) => method !== 'GET' && status !== undefined);
  await until(() => sent().length >= 2, 'the delta to be sent again', { seen: () => scene.gateway.requests.map(({ method, path, status }) => [method, path, status]) });
  const again = await scene.open({ worker: 'blob-sw.js' });
  await until(async () => (await again.run(async () => (await (await client).ops()).length)) === 0, 'the outbox to be empty');

  assert.deepEqual(sent().map(({ method, status }) => [method, status]), [['PATCH', 200], ['PATCH', 200]]);
  const [first, second] = sent();
  assert.ok(second.body.equals(first.body), 'the same bytes');
  t.diagnostic(`${first.body.length} bytes of ${kBytes}, twice`);
  assert.ok(first.body.length + second.body.length < kBytes / 20, `${first.body.length} bytes of ${kBytes}`);
  assert.equal(scene.server.effects(), 2);
  assert.ok((await stored(scene)).equals(photo({ size: kBytes, version: 1 })), 'byte for byte');
  assert.deepEqual(scene.gateway.violations, []);
});

test('a film of 5 MB, the browser killed four times in the middle of a chunk, before and after the server had it: byte for byte, one effect, no chunk that was answered goes again', async (t) => {
  const size = 5_000_000;
  const scene = await openScene(t);
  const page = await scene.open();
  await page.run(async (settings) => { await (await client).settings(settings); }, kQuickSettings);
  /** Holds the next chunk at that place until the browser is dead. */
  const strike = () => {
    const reached = deferred(), dead = deferred();
    return { reached, dead, at: (/** @type {string} */ place) => { scene.gateway.watch = async (where) => { if (where === place) { reached.resolve(); await dead.promise; return 'drop'; } }; } };
  };
  let next = strike();
  next.at('answered');
  const saving = page.run(`(async () => {
    const bytes = (${photo})(${JSON.stringify({ size, version: 0 })});
    await (await client).save('MEDIA', 'p', new Blob([bytes], { type: 'video/mp4' }));
  })()`).catch((error) => error);   // the kill may fall into its return
  for (const place of ['arrived', 'answered', 'arrived', undefined]) {
    await next.reached.promise;
    await scene.browser.kill();
    await saving;
    scene.gateway.watch = null;
    next.dead.resolve();
    next = strike();
    if (place) next.at(place);
    await scene.relaunch();   // the browser's own sync event takes it up again, with no page
  }
  await until(() => scene.server.effects() === 1, 'the film to arrive', { seen: () => scene.gateway.requests.map(({ method, status, body }) => [method, status, body?.length]) });
  const again = await scene.open();
  await until(async () => (await again.run(async () => (await (await client).ops()).length)) === 0, 'the outbox to be empty');
  assert.ok((await stored(scene)).equals(Buffer.from(photo({ size, version: 0 }))), 'byte for byte');
  assert.equal(scene.server.effects(), 1);
  const taken = scene.gateway.requests.filter(({ method, status }) => method === 'PATCH' && status === 204).reduce((sum, { body }) => sum + body.length, 0);
  assert.equal(taken, size, 'the server took every byte once');
  assert.ok(scene.gateway.requests.filter(({ method, status }) => method === 'HEAD' && status === 200).length >= 4);
  assert.deepEqual(scene.gateway.violations, []);
});
