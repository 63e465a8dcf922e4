// A page and a worker that cannot load the core (a realm of its own: the compiled core is kept per realm).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from '../../web/client.js';
import { openPage, origin, startWorker, wipe } from './sw-harness.js';

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
    await assert.rejects(client.sync(), { code: 'core-unavailable' });
    await assert.rejects(worker.fire('sync', { tag: 'tidegate', lastChance: false }), { code: 'core-unavailable' }, 'the browser is to try again');
    assert.equal((await client.op(id)).state, 'queued');
    assert.deepEqual(await client.get('NOTE', '1'), { n: 1 });
  });
