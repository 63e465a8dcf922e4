// The main job in a real browser: what was saved offline reaches the server by itself, each operation exactly once, whatever the line does.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeEdits } from './harness/edits.js';
import { kPolicyWithoutWasm } from './harness/gateway.js';
import { kQuickSettings, openScene } from './harness/scene.js';
import { until } from './harness/until.js';

const kEdits = { count: 200, entities: 50, seed: 1 };

/** Cuts the browser off. The worker's part goes back to normal when its session is detached, and then no debugger keeps the worker alive. */
async function goOffline(scene, page) {
  const worker = await scene.browser.worker(scene.origin);
  for (const session of [page, worker]) await session.network(false);
  return { backOnline: () => worker.detach() };
}

test('200 edits saved offline are drained by the sync event with no page open, each op exactly once', async (t) => {
  const scene = await openScene(t);
  const page = await scene.open();
  const { backOnline } = await goOffline(scene, page);
  await scene.save(page, makeEdits({ ...kEdits, fold: 0.7 }));
  assert.equal(await page.run(async () => (await (await client).ops({ limit: 1000 })).length), 200);
  await page.close();
  assert.equal((await scene.browser.targets({ type: 'page', url: scene.origin })).length, 0);
  assert.equal(scene.gateway.batches, 0, 'nothing could be sent yet');

  await backOnline();
  await scene.arrived();
  assert.equal((await scene.browser.targets({ type: 'page', url: scene.origin })).length, 0);
  const { accepted, effects, folded } = await scene.verify();
  assert.equal(accepted, 200);
  assert.equal(effects + folded, 200, 'every op took effect or was folded into one that did');
  assert.ok(folded > 50 && effects > 50, `both happened: ${effects} effects, ${folded} folded`);
  t.diagnostic(`200 edits: ${effects} effects, ${folded} folded, ${scene.gateway.batches} requests`);
});

test('edits saved while the worker drains arrive too, each op exactly once', async (t) => {
  const scene = await openScene(t);
  const page = await scene.open();
  await page.run(async (settings) => { await (await client).settings(settings); }, kQuickSettings);
  const edits = makeEdits({ count: 120, entities: 30, seed: 2, fold: 0.3 });
  let savedDuring = 0;
  // A batch is answered only after more was saved: so saving and draining overlap however fast either is.
  const held = [];
  const goOn = () => { for (const resolve of held.splice(0)) resolve('go'); };
  scene.gateway.watch = (place) => (place === 'answered' && scene.saves.length < edits.length ? new Promise((resolve) => { held.push(resolve); }) : undefined);
  for (let at = 0; at < edits.length; at += 20) {
    await scene.save(page, edits.slice(at, at + 20));
    if (held.length > 0) savedDuring += 20;
    goOn();
    await until(() => held.length > 0 || scene.saves.length === edits.length, 'the next batch');
  }
  goOn();
  const { accepted } = await scene.verify(page);
  assert.equal(accepted, 120);
  assert.ok(savedDuring >= 100, `${savedDuring} were saved while a batch was under way`);
});

test('deleting, and saving again what was deleted, reaches the server in that order', async (t) => {
  const scene = await openScene(t);
  const page = await scene.open();
  const edits = makeEdits({ count: 12, entities: 12, seed: 3 });
  await scene.save(page, edits);
  await scene.arrived();
  await scene.save(page, edits.slice(0, 8).map(({ entity, entityId }) => ({ entity, entityId, options: { coalesce: false } })));
  await scene.save(page, edits.slice(0, 4).map((edit) => ({ ...edit, doc: { ...edit.doc, again: true } })));
  const { accepted, effects } = await scene.verify(page);
  assert.deepEqual({ accepted, effects }, { accepted: 24, effects: 24 });
});

test('resets and 500s, before and after the server committed, and cut answers double nothing and lose nothing', async (t) => {
  const scene = await openScene(t);
  const page = await scene.open();
  await page.run(async (settings) => { await (await client).settings(settings); }, kQuickSettings);
  const faults = ['reset-before', 'reset-after', '500-before', '500-after', 'cut-after'];
  scene.gateway.faults = [...faults, null, ...faults, null, null, ...faults];
  await scene.save(page, makeEdits({ count: 150, entities: 40, seed: 4, fold: 0.2 }));
  await scene.verify(page);
  assert.deepEqual(Object.keys(scene.gateway.happened).sort(), [...faults].sort());
  // Chromium itself may send a POST again whose reused connection broke before any answer came, and takes a fault more than the core saw.
  assert.ok(scene.gateway.faults.length === 0, 'every fault happened');
  t.diagnostic(`faults: ${JSON.stringify(scene.gateway.happened)}, requests: ${scene.gateway.batches}`);
});

test('a page without service worker drains by itself', async (t) => {
  const scene = await openScene(t);
  const page = await scene.open({ worker: 'none' });
  assert.equal(await page.run(async () => (await navigator.serviceWorker.getRegistrations()).length), 0);
  assert.equal(await page.run(async () => (await client).isSupported().serviceWorker), false);
  scene.gateway.faults = ['reset-before', null, 'reset-after'];
  await page.run(async (settings) => { await (await client).settings(settings); }, kQuickSettings);
  await scene.save(page, makeEdits({ count: 60, entities: 20, seed: 5, fold: 0.3 }));
  const { accepted } = await scene.verify(page);
  assert.equal(accepted, 60);
  assert.deepEqual(await scene.browser.targets({ type: 'service_worker' }), []);
});

test('the shell opens and saves with the server down, and the edits arrive when it is back', async (t) => {
  const scene = await openScene(t);
  const first = await scene.open();
  await first.close();
  await scene.gateway.down();
  const page = await scene.open();
  await scene.save(page, makeEdits({ count: 20, entities: 10, seed: 6 }));
  const shown = await page.run(async () => (await (await client).list('ASSESSMENT')).length);
  assert.ok(shown > 0, 'what was saved offline is shown offline');
  await scene.gateway.open();
  await scene.verify(page);
});

/** The app's caches: the mark that tells a lost database is one too, and holds no answer of the API. @param {any} page */
const shells = async (page) => (await page.run(() => caches.keys())).filter((/** @type {string} */ name) => name !== 'tidegate-marker');

test('a new version of the worker removes the older shell, and no cache ever holds an answer of the API', async (t) => {
  const scene = await openScene(t);
  const page = await scene.open();
  assert.deepEqual(await shells(page), ['tidegate-shell-1']);
  await scene.save(page, makeEdits({ count: 10, entities: 10, seed: 7 }));
  await scene.arrived();
  await page.run(async () => { for (let i = 0; i < 2; i++) await (await fetch('/api/v1/changes')).text(); });
  assert.equal(scene.gateway.requests.filter(({ path }) => path === '/api/v1/changes').length, 2, 'each reading went to the server');

  scene.site.version = '2';
  await page.run(async () => { await (await navigator.serviceWorker.getRegistration()).update(); });
  await until(async () => (await shells(page)).join() === 'tidegate-shell-2', 'only the new shell', { seen: () => shells(page) });
  const cached = await page.run(async () => {
    const urls = [];
    for (const name of await caches.keys())
      if (name !== 'tidegate-marker') for (const { url } of await (await caches.open(name)).keys()) urls.push(new URL(url).pathname);
    return urls.sort();
  });
  assert.deepEqual(cached, ['/index.html', '/page.js', cached.at(-1)]);
  assert.match(cached.at(-1), /^\/tidegate(\.simd)?\.wasm$/);
  await scene.save(page, makeEdits({ count: 10, entities: 10, seed: 8 }));
  await scene.verify(page);
});

/** The sessions in which something arrived, by what began them. @param {any} page */
const triggers = async (page) => (await page.run(async () => (await client).background.list())).filter(({ itemsSucceeded }) => itemsSucceeded > 0).map(({ trigger }) => trigger);

/** What nothing has sent yet arrives by one event of the browser. @param {any} scene @param {string} trigger @param {(workers: any) => Promise<void>} fire */
async function drainsWithNoPage(scene, trigger, fire) {
  const workers = await scene.browser.workers();
  assert.equal(scene.gateway.batches, 0, 'nothing was sent yet');
  await fire(workers);
  await scene.arrived();
  assert.deepEqual(await scene.browser.targets({ type: 'page', url: scene.origin }), [], 'no page took part');
  const again = await scene.open();
  assert.deepEqual(await triggers(again), [trigger]);
  return await scene.verify(again);
}

test('where periodic sync is permitted the browser has its tag by itself, and its event drains with no page open', async (t) => {
  const scene = await openScene(t, { syncParameters: { skip_permissions_check_for_testing: 'true' } });
  const page = await scene.open();
  const tags = () => page.run(async () => (await navigator.serviceWorker.ready).periodicSync.getTags());
  await until(async () => (await tags()).join() === 'tidegate', 'the tag', { seen: tags });
  const worker = await scene.browser.worker(scene.origin);
  await worker.run(() => { SyncManager.prototype.register = async () => { throw new Error('denied'); }; });   // else its event comes first
  await worker.detach();
  await scene.saveForLater(page, makeEdits({ count: 10, entities: 10, seed: 10, fold: 0 }));
  await scene.gateway.open();
  const { accepted } = await drainsWithNoPage(scene, 'periodic', (workers) => workers.firePeriodic(scene.origin, 'tidegate'));
  assert.equal(accepted, 10);
});

test('a push that says "hint" drains with no page open', async (t) => {
  const scene = await openScene(t);
  const page = await scene.open();
  await page.run(async () => {
    await (await client).status();   // what the page asks when it opens is over
    ServiceWorker.prototype.postMessage = () => {};   // the worker hears of no save
  });
  await scene.save(page, makeEdits({ count: 10, entities: 10, seed: 11, fold: 0 }));
  await page.close();
  const { effects } = await drainsWithNoPage(scene, 'push', (workers) => workers.push(scene.origin, '{"tidegate":"hint"}'));
  assert.equal(effects, 10);
});

test('where the person denies background sync, what is saved online and offline arrives all the same', async (t) => {
  const scene = await openScene(t);
  await scene.browser.send('Browser.setPermission', { origin: scene.origin, permission: { name: 'background-sync' }, setting: 'denied' });
  const page = await scene.open();
  const asked = await page.run(async () => (await navigator.serviceWorker.ready).sync.register('tidegate').then(() => '', ({ name }) => name));
  assert.equal(asked, 'NotAllowedError');
  await scene.save(page, makeEdits({ count: 10, entities: 10, seed: 12, fold: 0 }));
  await scene.arrived();
  const { backOnline } = await goOffline(scene, page);
  await scene.save(page, makeEdits({ count: 10, entities: 10, seed: 13, fold: 0 }));
  await until(async () => (await page.run(async () => (await client).ops())).length === 10, 'ten that wait');
  await backOnline();
  await page.network(true);
  await scene.arrived();
  await scene.verify(page);
});

for (const worker of ['sw.js', 'none'])
  test(`under a policy that refuses WebAssembly${worker === 'none' ? ', without a worker,' : ''} saving works, everything is kept, and calls say why`, async (t) => {
    const scene = await openScene(t);
    scene.gateway.policy = kPolicyWithoutWasm;
    const page = await scene.open({ worker });
    const found = await page.run(async () => {
      const open = await client;
      const failed = new Promise((resolve) => { open.subscribe(({ type, detail }) => { if (type === 'sync.failed') resolve(detail.message); }); });
      const { id } = await open.save('NOTE', 'n1', { n: 1 });
      const refused = async (call) => { try { await call(); return null; } catch ({ code, message }) { return { code, message }; } };
      return { status: await refused(() => open.status()), sync: await refused(() => open.sync()), failed: await failed, state: (await open.op(id)).state, doc: await open.get('NOTE', 'n1'), core: open.isSupported().core };
    });
    assert.deepEqual([found.status.code, found.sync.code, found.state, found.doc, found.core], ['core-unavailable', 'core-unavailable', 'queued', { n: 1 }, false]);
    assert.match(found.status.message, /could not be loaded.*Content Security Policy/i);
    assert.match(found.failed, /could not be loaded/);
    const told = await page.run(async () => {
      const open = await client;
      const { status } = await open.status().catch((error) => error);
      return [status, await (await open.manage('status')).json()].map(({ state, queueSize, reason, supported }) => ({ state, queueSize, reason, core: supported.core }));
    });
    for (const status of told) assert.deepEqual(status, { state: 'failed', queueSize: 1, reason: found.status.message, core: false });
    assert.equal(scene.gateway.batches, 0);
  });

test('how busy the processor is goes with what a page asks of the worker, as the browser observes it', async (t) => {
  const scene = await openScene(t);
  const page = await scene.open();
  const override = (method, params) => page.send(`Emulation.setPressure${method}`, { source: 'cpu', ...params });
  await override('SourceOverrideEnabled', { enabled: true });
  await page.goto(scene.origin);   // the client that opens now is told by the override
  await page.send('Page.bringToFront');
  await page.run(async () => {
    await client;
    await navigator.serviceWorker.ready;
    const { postMessage } = ServiceWorker.prototype;
    ServiceWorker.prototype.postMessage = function (message, ...rest) {
      window.told = message.readings?.pressure;
      return postMessage.call(this, message, ...rest);
    };
  });
  for (const state of ['critical', 'nominal']) {
    await override('StateOverride', { state });
    await until(() => page.run(async (wanted) => {
      await (await client).status();
      return window.told === wanted;
    }, state), `the reading "${state}" in a message to the worker`);
  }
  await override('SourceOverrideEnabled', { enabled: false });
});

test('the policy is strict, and its violations would be seen', async (t) => {
  const scene = await openScene(t);
  const page = await scene.open();
  await scene.save(page, makeEdits({ count: 5, entities: 5, seed: 9 }));
  await scene.arrived();
  assert.deepEqual(scene.gateway.violations, []);
  await page.run(() => {
    const script = document.createElement('script');
    script.textContent = 'window.ran = true';
    document.head.append(script);
  });
  await until(() => scene.gateway.violations.length > 0, 'the report of an inline script');
  assert.equal(await page.run('window.ran'), undefined);
});
