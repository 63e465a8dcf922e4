// A thousand operations through the real worker and the real server: how long it takes, and what the worker needs for it over a worker that does nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeEdits } from './harness/edits.js';
import { restingBytes, watchPeak, watchProcesses } from './harness/memory.js';
import { openScene } from './harness/scene.js';

const kMaxBytes = 50e6;
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

test('1 000 operations of mixed priority need less than 50 MB over an empty worker', async (t) => {
  const scene = await openScene(t);
  const page = await scene.open();
  await page.run(async () => { await navigator.serviceWorker.register('empty.js', { scope: 'empty/' }); });
  const empty = await restingBytes(await scene.browser.worker(`${scene.origin}/empty.js`));

  const worker = await scene.browser.worker(`${scene.origin}/sw.js`);
  await restingBytes(worker);   // collects its garbage: both begin alike
  for (const session of [page, worker]) await session.network(false);
  const peak = watchPeak(worker);
  await scene.save(page, makeEdits({ count: 1000, entities: 250, seed: 71, fold: 0 }));
  assert.equal(scene.gateway.batches, 0);
  await page.close();

  const processes = await watchProcesses(scene.browser);
  const started = performance.now();
  await worker.network(true);
  await scene.arrived({ patienceMs: 120_000 });
  const seconds = (performance.now() - started) / 1000;
  const { heap, wasm, total } = await peak.stop();
  const grown = processes.peak();
  const { effects } = await scene.verify();

  assert.equal(effects, 1000);
  t.diagnostic(`1 000 operations in ${seconds.toFixed(1)} s, ${scene.gateway.batches} requests`);
  t.diagnostic(`peak ${megabytes(total - empty)} over an empty worker of ${megabytes(empty)}: JavaScript ${megabytes(heap)}, Wasm ${megabytes(wasm)}`);
  if (grown !== undefined) t.diagnostic(`while it drained, the renderer process that grew most grew by ${megabytes(grown)}`);
  assert.ok(total - empty < kMaxBytes, `${megabytes(total - empty)} over an empty worker`);
});
