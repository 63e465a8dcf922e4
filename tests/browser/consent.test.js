// The person's consent: without it no request leaves the device, whoever asks; taken back in the middle of a drain, none follows those that are under way; given again, the rest goes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeEdits } from './harness/edits.js';
import { kQuickSettings, openScene } from './harness/scene.js';
import { until } from './harness/until.js';

const kEdits = 120;
const settings = (page, changes) => page.run(async (changes) => { await (await client).settings(changes); }, changes);
/** Drains, and says what the drain came to and what is left. */
const sync = (page) => page.run(async () => {
  const open = await client;
  await open.sync();
  const { state, reason, queueSize } = await open.status();
  const { reason: why } = queueSize > 0 ? await open.explain((await open.ops())[0].id) : {};
  return { state, reason, queueSize, why };
});

const kWithdrawn = { state: 'paused', reason: 'Consent to sync was withdrawn', why: 'consent' };

for (const worker of ['sw.js', 'none'])
  test(`consent${worker === 'none' ? ' without a worker' : ''}: not given, nothing leaves, whoever asks; taken back in the middle of a drain, no request follows; given again, the rest arrives, each op once`, async (t) => {
    const scene = await openScene(t);
    const { gateway } = scene;
    const page = await scene.open({ worker });
    await settings(page, { ...kQuickSettings, consent: 'withdrawn' });
    await scene.save(page, makeEdits({ count: kEdits, entities: kEdits, seed: 61, fold: 0 }));
    assert.deepEqual(await sync(page), { ...kWithdrawn, queueSize: kEdits });
    if (worker === 'sw.js') await (await scene.browser.workers()).fire(scene.origin, 'tidegate');
    await page.goto(`${scene.origin}/?worker=${worker}`);
    await page.run('client.then(() => {})');
    assert.deepEqual(await sync(page), { ...kWithdrawn, queueSize: kEdits });
    assert.deepEqual(gateway.requests, []);

    const held = [];
    gateway.watch = (place) => (place === 'answered' ? new Promise((resolve) => { held.push(resolve); }) : undefined);
    await settings(page, { consent: 'granted' });
    await until(() => held.length > 0, 'a batch under way');
    await settings(worker === 'none' ? page : await scene.open(), { consent: 'withdrawn' });   // with a worker, from whichever tab
    const underWay = gateway.requests.length;
    gateway.watch = null;
    for (const goOn of held) goOn('go');   // what was under way is heard
    const { queueSize, ...said } = await sync(page);
    assert.deepEqual(said, kWithdrawn);
    assert.equal(queueSize, kEdits - scene.server.effects());
    await page.goto(`${scene.origin}/?worker=${worker}`);
    assert.deepEqual(await sync(page), { ...kWithdrawn, queueSize });
    assert.equal(gateway.requests.length, underWay, 'none followed');
    assert.ok(queueSize > 0 && queueSize < kEdits, `${queueSize} are left`);

    await settings(page, { consent: 'granted' });
    const { effects } = await scene.verify(page);
    assert.equal(effects, kEdits);
    const trail = await page.run(async () => (await (await client).history({ prefix: 'audit/' })).filter(({ value }) => value.kind === 'consent').map(({ value }) => value.consent));
    assert.deepEqual(trail, ['withdrawn', 'granted', 'withdrawn', 'granted']);
  });

for (const [call, name] of [[{ consent: 'withdrawn' }, 'consent taken back'], [null, 'pause()']])
  test(`tabs without a worker: ${name} in one of them ends the drain of another within a step: what was under way is heard, nothing follows`, async (t) => {
    const scene = await openScene(t);
    const { gateway } = scene;
    const [page, other] = [await scene.open({ worker: 'none' }), await scene.open({ worker: 'none' })];
    await settings(page, { ...kQuickSettings, consent: 'withdrawn' });
    await scene.save(page, makeEdits({ count: kEdits, entities: kEdits, seed: 62, fold: 0 }));
    await page.run(() => {
      window.yields = 0;
      new BroadcastChannel('tidegate').onmessage = ({ data }) => { window.yields += data.type === 'yield'; };
    });
    const held = [];
    gateway.watch = (place) => (place === 'answered' ? new Promise((resolve) => { held.push(resolve); }) : undefined);
    await settings(page, { consent: 'granted' });
    await until(() => held.length > 0, 'a batch under way');
    const before = await page.run(() => window.yields);
    const said = call ? settings(other, call) : other.run(async () => { await (await client).pause(); });
    await until(async () => (await page.run(() => window.yields)) > before, 'the tab that drains to hear of it');
    await page.run(async () => { await (await client).status(); });   // after it, in the same drain
    const underWay = gateway.requests.length;
    gateway.watch = null;
    for (const goOn of held) goOn('go');
    await said;
    const left = await other.run(async () => (await (await client).status()).queueSize);
    assert.equal(gateway.requests.length, underWay, 'none followed');
    assert.ok(left > 0 && left < kEdits, `${left} are left`);
    await (call ? settings(page, { consent: 'granted' }) : page.run(async () => { await (await client).resume(); }));
    const { effects } = await scene.verify(page);
    assert.equal(effects, kEdits);
  });
