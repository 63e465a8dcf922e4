// A page that drains by itself and is frozen in the middle, as browsers freeze tabs in the background: it keeps its lock and its lease, and hears nothing. Another tab overtakes it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kLeaseMs } from '../../sw/turn.js';
import { makeEdits } from './harness/edits.js';
import { kQuickSettings, openScene } from './harness/scene.js';
import { until } from './harness/until.js';

const kEdits = 60;

test('a page frozen in the middle of a drain is overtaken by another tab when its lease ran out, and not before; thawed it sends nothing more, and each op has one effect', async (t) => {
  const scene = await openScene(t);
  const { gateway, server } = scene;
  const page = await scene.open({ worker: 'none' });
  await page.run(async (settings) => { await (await client).settings(settings); }, { ...kQuickSettings, enabled: false });
  await scene.save(page, makeEdits({ count: kEdits, entities: kEdits, seed: 62, fold: 0 }));
  const held = [];
  gateway.watch = (place) => (place === 'answered' ? new Promise((resolve) => { held.push(resolve); }) : undefined);
  await page.run(async () => { await (await client).settings({ enabled: true }); });
  await until(() => held.length > 0, 'a batch that the server has committed');
  await page.send('Page.setWebLifecycleState', { state: 'frozen' });
  gateway.watch = null;
  const [batches, effects] = [gateway.batches, server.effects()];
  assert.ok(effects > 0 && effects < kEdits, `${effects} of ${kEdits} effects`);
  for (const goOn of held) goOn('go');   // the answers come to a page that does not hear

  const other = await scene.open({ worker: 'none' });
  await other.run(() => {
    window.looks = 0;
    const { request } = LockManager.prototype;
    LockManager.prototype.request = function (name, ...rest) {
      if (name === 'tidegate') window.looks += 1;
      return request.call(this, name, ...rest);
    };
  });
  const synced = other.run(async () => (await (await client).sync()).itemsSucceeded);
  synced.catch(() => {});
  await until(() => other.run(() => window.looks >= 2), 'the other tab to have asked for the lock in vain, looked at the lease, and asked again');
  assert.deepEqual([gateway.batches, server.effects()], [batches, effects], 'while the lease lasts nobody sends');
  await other.run((ms) => {   // that much later
    const { now } = Date;
    Date.now = () => now() + ms;
  }, kLeaseMs);
  assert.equal(await synced, kEdits, 'what was acknowledged to the frozen page as well');
  assert.equal(server.effects(), kEdits);

  const sent = gateway.batches;
  await page.send('Page.setWebLifecycleState', { state: 'active' });
  const left = () => page.run(async () => {
    try {
      return (await (await client).status()).queueSize;
    } catch (error) {
      if (error.code !== 'busy') throw error;   // asked of the drain that finds out that it was overtaken
      return 'busy';
    }
  });
  await until(async () => (await left()) === 0, 'the thawed page to know that nothing is left', { seen: left });
  assert.equal(gateway.batches, sent, 'it sent nothing more');
  await scene.verify(page);
});
