// Plugins in a real worker: one that throws is counted, told to the page, and skipped; another has its say; the drain goes on.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { documentHash } from '../../headless/checker.mjs';
import { kQuickSettings, openScene } from './harness/scene.js';
import { until } from './harness/until.js';

test('plugins that throw or reject in every hook are counted and skipped; another is told of session, request, outcome and conflict, adds its header and decides; everything arrives', async (t) => {
  const scene = await openScene(t);
  const { gateway, server } = scene;
  const page = await scene.open({ worker: 'plugins-sw.js' });
  const inside = await scene.browser.worker(scene.origin);   // from now on it keeps its calls
  await page.run(async (settings) => {
    const open = await client;
    window.failed = [];
    open.subscribe(({ type, detail }) => { if (type === 'sync.plugin-failed') window.failed.push(detail); });
    await open.settings(settings);
    await open.save('NOTE', 'n1', { title: 'a' });
  }, { ...kQuickSettings, conflictStrategy: 'custom' });
  const sync = () => page.run(async () => { await (await client).sync(); });
  await sync();
  const url = `${scene.origin}/api/v1/entities/NOTE/n1`;
  const headers = { 'content-type': 'application/json', 'if-match': (await fetch(url)).headers.get('etag'), 'idempotency-key': '"other"' };
  assert.equal((await fetch(url, { method: 'PUT', headers, body: '{"title":"theirs"}' })).status, 200);
  await page.run(async () => {
    for (let n = 0; n < 30; n++) await (await client).save('NOTE', `more${n}`, { n });
    await (await client).save('NOTE', 'n1', { title: 'ours' });
  });
  await sync();
  await until(async () => (await page.run(async () => (await (await client).ops()).length)) === 0, 'an empty outbox');
  assert.equal(documentHash(server.documents().get('NOTE/n1')), documentHash('{"title":"theirs","ours":"ours"}'), 'what the plugin decided');
  assert.equal(server.documents().size, 31);
  assert.equal(server.effects(), 33, 'each save, and the change of somebody else');

  const calls = () => inside.run('self.calls');
  const of = (all, hook) => all.filter((call) => call.hook === hook).map(({ told }) => told);
  const requests = gateway.requests.filter(({ path }) => path.endsWith('/batch'));
  const all = await until(async () => {
    const found = await calls();
    return of(found, 'onOutcome').length === requests.length && of(found, 'afterSync').length === of(found, 'beforeSync').length && found;
  }, 'every hook', { seen: calls });
  assert.deepEqual(of(all, 'beforeSync').map(({ sessionId }) => sessionId), of(all, 'afterSync').map(({ sessionId }) => sessionId));
  assert.equal(of(all, 'afterSync').reduce((sum, { itemsSucceeded }) => sum + itemsSucceeded, 0), 32);
  assert.deepEqual(of(all, 'beforeSend').map(({ bytes }) => bytes).sort(), of(all, 'onOutcome').map(({ bytes }) => bytes).sort());
  assert.deepEqual([...new Set(of(all, 'onOutcome').map(({ status }) => status))], [200]);
  assert.deepEqual(of(all, 'resolveConflict').map(({ base, ours, theirs }) => [base, ours, theirs]), [[{ title: 'a' }, { title: 'ours' }, { title: 'theirs' }]]);
  assert.deepEqual([...new Set(requests.map(({ start }) => start))], ['of a plugin'], 'its header went with each');

  const failed = () => page.run(() => window.failed);
  const told = await until(async () => { const heard = await failed(); return heard.length === 2 * all.length && heard; }, 'the failure of every hook of both', { seen: failed });
  for (const name of ['throws', 'rejects']) {
    const its = told.filter(({ plugin }) => plugin === name);
    assert.deepEqual(its.map(({ hook }) => hook).sort(), all.map(({ hook }) => hook).sort());
    assert.deepEqual(its.map(({ failures }) => failures), its.map((_, n) => n + 1));
    assert.ok(its.every(({ hook, message }) => message === `${hook} ${name === 'throws' ? 'threw' : 'rejected'}`));
  }
  assert.deepEqual(page.errors, []);
});
