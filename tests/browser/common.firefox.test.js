// The common suite in Firefox ESR, and what only there can be done from outside: ending its service worker, and taking its network away.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deferred } from '../../sw/deferred.js';
import { commonSuite } from './common-suite.js';
import { makeEdits } from './harness/edits.js';
import * as engine from './harness/firefox.js';
import { kQuickSettings, openScene } from './harness/scene.js';
import { until } from './harness/until.js';

commonSuite(engine);

test('Firefox: a worker terminated while its batch is at the server loses and doubles nothing; the page brings it home', async (t) => {
  const scene = await openScene(t, { engine });
  const page = await scene.open();
  await page.run(async (settings) => { await (await client).settings(settings); }, kQuickSettings);
  const struck = deferred();
  let held = 0;
  scene.gateway.watch = (place, batch) => (place === 'answered' && batch === 2 ? (held += 1, struck.promise) : undefined);
  const saving = scene.save(page, makeEdits({ count: 60, entities: 20, seed: 81, fold: 0 }));
  await until(() => held > 0, 'the second batch', { seen: () => scene.gateway.batches });
  await scene.browser.stopWorkers();
  struck.resolve('drop');
  await saving;
  await page.goto(`${scene.origin}/`);
  const { accepted, effects } = await scene.verify(page);
  assert.deepEqual({ accepted, effects }, { accepted: 60, effects: 60 });
});

test('Firefox: the network comes back, and what waited arrives without anybody asking', async (t) => {
  const scene = await openScene(t, { engine });
  const page = await scene.open();
  await page.run(async (settings) => { await (await client).settings(settings); }, kQuickSettings);
  await scene.browser.chrome('Services.io.offline = true');
  await scene.gateway.down();
  await until(() => page.run(() => !navigator.onLine), 'the page to be offline');
  await scene.save(page, makeEdits({ count: 10, entities: 10, seed: 82 }));
  await until(async () => (await page.run(async () => (await (await client).status()).state)) === 'offline', 'the status to say so', { seen: () => page.run(async () => (await client).status()) });
  await scene.gateway.open();
  await scene.browser.chrome('Services.io.offline = false');
  await scene.verify(page);
});

test('Firefox: the worker hears that the network is back, and drains with no page open', async (t) => {
  const scene = await openScene(t, { engine });
  const page = await scene.open();
  const other = await scene.browser.page();   // the last tab of a window would close it
  await page.run(async (settings) => { await (await client).settings(settings); }, kQuickSettings);
  await scene.browser.chrome('Services.io.offline = true');
  await scene.gateway.down();
  await until(() => page.run(() => !navigator.onLine), 'the page to be offline');
  await scene.save(page, makeEdits({ count: 10, entities: 10, seed: 83, fold: 0 }));
  await until(async () => (await page.run(async () => (await (await client).status()).state)) === 'offline', 'the worker to know of them');
  await page.close();
  await scene.gateway.open();
  assert.equal(scene.gateway.batches, 0, 'nothing could be sent yet');
  await scene.browser.chrome('Services.io.offline = false');
  await scene.arrived();
  await other.close();
  const again = await scene.open();
  const sessions = await again.run(async () => (await client).background.list());
  assert.deepEqual(sessions.filter(({ itemsSucceeded }) => itemsSucceeded > 0).map(({ trigger }) => trigger), ['connectivity']);
  await scene.verify(again);
});
