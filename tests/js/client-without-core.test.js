// A page and a worker that cannot load the core (a realm of its own: the compiled core is kept per realm).
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { connect } from '../../web/client.js';
import { openPage, origin, startWorker, wipe } from './sw-harness.js';

/** What a status says of the one change that is kept, to who asks the client and to who asks by fetch. */
async function says(client, why) {
  const { status } = await client.status().catch((error) => error);
  assert.deepEqual({ ...status, supported: status.supported.core, reason: why.test(status.reason) }, {
    state: 'failed', isActive: false, reason: true, queueSize: 1,
    supported: false, storage: null,
  });
  assert.deepEqual(await shown(await client.manage('status'), why), { http: 200, state: 'failed', queueSize: 1, core: false, loaded: true });
  assert.equal((await client.manage('metrics')).status, 500, 'what only the core knows');
}

const shown = async (response, why = /could not be loaded/) => {
  const { state, queueSize, supported, reason } = await response.json();
  return { http: response.status, state, queueSize, core: supported.core, loaded: why.test(reason) };
};

for (const [what, file] of [['is no Wasm', 'not wasm'], ['is cut off', new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1])]])
  test(`when the core's file ${what}, saving works, everything is kept, and calls say why`, async (t) => {
    await wipe();
    const world = origin('http://127.0.0.1:1', { files: { '/core.wasm': file } });
    const worker = await startWorker(world, { wasm: '/core.wasm' });
    await worker.fire('install');
    const page = openPage(world, { worker });
    const client = await connect({ worker: '/sw.js', endpoint: '/api/v1' });
    t.after(async () => { await client.close(); page.close(); });
    const { id } = await client.save('NOTE', '1', { n: 1 });
    await assert.rejects(client.status(), { name: 'TidegateError', code: 'core-unavailable', message: /could not be loaded/ });
    await says(client, /could not be loaded/);
    const asked = await worker.fetch('/api/v1/sync/background/status');
    assert.deepEqual(await shown(asked.response), { http: 200, state: 'failed', queueSize: 1, core: false, loaded: true });
    await assert.rejects(client.sync(), { code: 'core-unavailable' });
    assert.equal(client.isSupported().core, false);
    await assert.rejects(worker.fire('sync', { tag: 'tidegate', lastChance: false }), { code: 'core-unavailable' }, 'the browser is to try again');
    assert.equal((await client.op(id)).state, 'queued');
    assert.deepEqual(await client.get('NOTE', '1'), { n: 1 });
  });

/** A worker that was installed while all was well, started anew; then a page of it, and a page without it. */
for (const [what, why, before] of [
  ['is not there any more', /could not be loaded: .*404/, () => () => {}],
  ['cannot be understood, because the engine has no WebAssembly,', /no WebAssembly/, () => {
    const own = Object.getOwnPropertyDescriptor(globalThis, 'WebAssembly');
    delete globalThis.WebAssembly;
    return () => Object.defineProperty(globalThis, 'WebAssembly', own);
  }],
])
  for (const withWorker of [true, false])
    test(`when the core's file ${what} saving works${withWorker ? '' : ' without a worker'}, everything is kept, and calls, events and isSupported() say why`, async (t) => {
      await wipe();
      const site = createServer((_, response) => response.writeHead(404).end()).listen(0, '127.0.0.1');
      await once(site, 'listening');
      t.after(() => site.close());
      const world = origin(`http://127.0.0.1:${site.address().port}`);
      const worker = withWorker ? await startWorker(world, { wasm: '/core.wasm' }) : null;
      const page = openPage(world, { worker });
      const client = await connect({ worker: '/sw.js', endpoint: '/api/v1', wasm: '/core.wasm' });
      t.after(async () => { await client.close(); page.close(); });
      t.after(before());
      const failures = [];
      client.subscribe(({ type, detail }) => { if (type === 'sync.failed') failures.push(detail.message); });
      const { id } = await client.save('NOTE', '1', { n: 1 });
      await assert.rejects(client.status(), { code: 'core-unavailable', message: why });
      await says(client, why);
      await assert.rejects(client.sync(), { code: 'core-unavailable' });
      assert.equal(client.isSupported().core, false);
      assert.ok(failures.length > 0 && failures.every((message) => why.test(message)), failures.join());
      assert.equal((await client.op(id)).state, 'queued');
      assert.deepEqual(await client.get('NOTE', '1'), { n: 1 });
    });

test('a drain that could not load the core is told as failed, and is no session to a plugin', async (t) => {
  await wipe();
  const world = origin('http://127.0.0.1:1', { files: { '/core.wasm': 'not wasm' } });
  const called = [];
  const worker = await startWorker(world, { wasm: '/core.wasm', plugins: [{ beforeSync: () => { called.push('beforeSync'); }, afterSync: () => { called.push('afterSync'); } }] });
  await worker.fire('install');
  const page = openPage(world, { worker });
  const client = await connect({ worker: '/sw.js', endpoint: '/api/v1' });
  t.after(async () => { await client.close(); page.close(); });
  const failed = new Promise((resolve) => { client.subscribe(({ type, detail }) => { if (type === 'sync.failed') resolve(detail); }); });
  await client.save('NOTE', '1', { n: 1 });
  await assert.rejects(client.sync(), { code: 'core-unavailable' });
  assert.deepEqual(Object.keys(await failed), ['class', 'message']);
  assert.deepEqual(called, []);
});
