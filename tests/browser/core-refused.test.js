// The core's file is missing, cut, or the engine has no WebAssembly: what is saved is kept, calls say why, and when the core can be loaded again everything arrives, each op
// once. (A policy that refuses WebAssembly: drain.test.js.)
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeEdits } from './harness/edits.js';
import { kQuickSettings, openScene } from './harness/scene.js';

const kCore = '/tidegate.wasm';
/** What the app's server answers for the core's file, from the whole of it, and what the app is told then. */
const kFaults = [
  ['is not there', () => undefined, /^the core could not be loaded: the server answered 404 for http:\/\/127\.0\.0\.1:\d+\/tidegate\.wasm$/],
  ['is cut', ({ type, body }) => ({ type, body: body.subarray(0, body.length >> 1) }), /^the core could not be loaded: WebAssembly\.compileStreaming\(\): .+$/],
];

/** From now on the app's server answers `fault` for the core's file; what is answered here makes it good again. */
function spoil(scene, fault) {
  const whole = scene.gateway.files;
  scene.gateway.files = (path) => (path === kCore ? fault(whole(path)) : whole(path));
  return () => { scene.gateway.files = whole; };
}

/** Saves, and says what the app is told of it. */
async function saveWithoutCore(scene, page, count) {
  await scene.save(page, makeEdits({ count, entities: count, seed: 31, fold: 0 }));
  const told = await page.run(async (entity) => {
    const open = await client;
    const refused = async (call) => { try { await call(); return {}; } catch ({ code, message, status }) { return { code, message, status }; } };
    const { status, ...why } = await refused(() => open.status());
    return {
      why, sync: (await refused(() => open.sync())).code, states: (await open.ops()).map(({ state }) => state), core: open.isSupported().core,
      status: { state: status.state, queueSize: status.queueSize, reason: status.reason }, answered: (({ state, queueSize, reason }) => ({ state, queueSize, reason }))(await (await open.manage('status')).json()),
    };
  });
  const status = { state: 'failed', queueSize: count, reason: told.why.message };
  assert.deepEqual(told, { why: { code: 'core-unavailable', message: told.why.message }, sync: 'core-unavailable', states: Array(count).fill('queued'), core: false, status, answered: status });
  assert.equal(scene.gateway.batches, 0);
  return told.why.message;
}

for (const [what, fault, why] of kFaults)
  for (const worker of ['sw.js', 'none'])
    test(`where the core's file ${what} from the first visit on${worker === 'none' ? ', without a worker,' : ''} what is saved is kept and calls say why; with the file there and the page loaded again it arrives`, async (t) => {
      const scene = await openScene(t);
      const mend = spoil(scene, fault);
      const page = await scene.browser.page(`${scene.origin}/?worker=${worker}`);
      await page.run('client.then(() => {})');
      assert.match(await saveWithoutCore(scene, page, 10), why);
      mend();
      await page.goto(`${scene.origin}/?worker=${worker}`);
      await page.run('client.then(() => {})');
      const { effects } = await scene.verify(page);
      assert.equal(effects, 10);
    });

/** A worker that was installed while all was well, and whose copy of the core is gone or spoilt, as its next start finds it. */
for (const [what, fault, why] of kFaults)
  test(`where the core's file ${what} for a worker that was installed long ago, what is saved is kept and calls say why; with the file there it arrives with no page open`, async (t) => {
    const scene = await openScene(t);
    const page = await scene.open();
    await page.run(async (settings) => { await (await client).settings(settings); }, kQuickSettings);
    const mend = spoil(scene, fault);
    await page.run(async (core) => {
      for (const name of await caches.keys()) if (name !== 'tidegate-marker') await (await caches.open(name)).delete(core);
    }, kCore);
    await (await scene.browser.workers()).stop();
    assert.match(await saveWithoutCore(scene, page, 10), why);
    await page.close();
    assert.deepEqual(await scene.browser.targets({ type: 'page', url: scene.origin }), []);
    mend();
    await scene.arrived();
    assert.deepEqual(await scene.browser.targets({ type: 'page', url: scene.origin }), [], 'no page took part');
    const { effects } = await scene.verify();
    assert.equal(effects, 10);
  });

/** As an administrator or a hardened browser sets it: no machine code is made at run time, and V8 has no WebAssembly then. */
for (const worker of ['inner-sw.js', 'none'])
  test(`where the engine has no WebAssembly${worker === 'none' ? ', without a worker,' : ''} what is saved is kept and calls say why; in one that has it everything arrives`, async (t) => {
    const scene = await openScene(t, { flags: ['--js-flags=--jitless'] });
    const page = await scene.open({ worker });
    assert.equal(await page.run('typeof WebAssembly'), 'undefined');
    assert.equal(await saveWithoutCore(scene, page, 10), 'this engine has no WebAssembly');
    await scene.browser.close();
    scene.options = {};
    await scene.relaunch();
    const { effects } = await scene.verify(await scene.open({ worker }));
    assert.equal(effects, 10);
  });
