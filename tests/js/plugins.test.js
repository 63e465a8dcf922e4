// Plugins, each on its own; badge and notification; push hints and the limit on messages.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { bucket, isHint } from '../../sw/messages.js';
import { openClient } from '../../sw/node.js';
import { notifier } from '../../sw/notify.js';
import { startServer, temporaryDirectory } from './server-harness.js';

async function open(t, plugins, options = {}) {
  const server = await startServer(t, options);
  const client = await openClient({ path: join(temporaryDirectory(t), 'a.db'), endpoint: server.api, autoSync: false, plugins });
  t.after(() => client.close());
  const events = [];
  client.subscribe((event) => events.push(event));
  return { ...server, client, events };
}

test('plugins are called around a drain and around each request; headers they add go out, but not over those of the protocol', async (t) => {
  const calls = [];
  const seen = [];
  const wrap = (store) => ({ ...store, apply: (units, options) => { seen.push(units.flat().map(({ key }) => key)); return store.apply(units, options); }, read: (...args) => store.read(...args), changes: (...args) => store.changes(...args), purge: (...args) => store.purge(...args), close: () => store.close() });
  const { client } = await open(t, [{
    name: 'watch',
    beforeSync: ({ sessionId }) => { calls.push(['beforeSync', typeof sessionId]); },
    afterSync: ({ itemsSucceeded }) => { calls.push(['afterSync', itemsSucceeded]); },
    beforeSend: ({ method, url, bytes }) => { calls.push(['beforeSend', method, url, bytes > 0]); return { 'x-trace': '1', 'content-type': 'text/html' }; },
    onOutcome: ({ status, ms }) => { calls.push(['onOutcome', status, ms >= 0]); },
  }], { wrap });
  const { id } = await client.save('NOTE', '1', { n: 1 });
  await client.sync();
  assert.deepEqual(calls, [['beforeSync', 'string'], ['beforeSend', 'POST', 'batch', true], ['onOutcome', 200, true], ['afterSync', 1]]);
  assert.deepEqual(seen, [[id]]);
});

test('a plugin that throws, or answers nonsense, is counted and skipped; the others and the drain go on', async (t) => {
  const heard = [];
  const bad = { name: 'bad', beforeSync() { throw new Error('no'); }, beforeSend: async () => { throw new Error('never'); }, onOutcome: 7, afterSync: () => Promise.reject(new Error('late')) };
  const { client, events, get } = await open(t, [bad, { name: 'odd', beforeSend: () => 'text' }, { afterSync: () => { heard.push('after'); } }]);
  await client.save('NOTE', '1', { n: 1 });
  await client.sync();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal((await get('NOTE/1')).status, 200);
  assert.deepEqual(heard, ['after']);
  const failed = events.filter(({ type }) => type === 'sync.plugin-failed').map(({ detail }) => detail);
  assert.deepEqual(failed.map(({ plugin, hook, failures }) => [plugin, hook, failures]), [['bad', 'beforeSync', 1], ['bad', 'beforeSend', 2], ['bad', 'afterSync', 3]]);
  assert.ok(events.some(({ type, detail }) => type === 'sync.progress' && detail.totalItems === 1));
});

test('what a plugin does to what it is given changes nothing for the others, for who listens, or for who asked', async (t) => {
  const seen = [];
  const vandal = {
    name: 'vandal', beforeSync: (session) => { session.trigger = 'vandal'; }, afterSync: (session) => { session.itemsSucceeded = 99; session.errors.push('vandal'); },
    beforeSend: (request) => { request.url = 'vandal'; }, onOutcome: (outcome) => { outcome.status = 0; },
  };
  const hooks = ['beforeSync', 'afterSync', 'beforeSend', 'onOutcome'];
  const witness = Object.fromEntries(hooks.map((hook) => [hook, ({ trigger, itemsSucceeded, url, status }) => { seen.push([hook, trigger ?? url, status ?? itemsSucceeded]); }]));
  const { client, events } = await open(t, [vandal, witness]);
  await client.save('NOTE', '1', { n: 1 });
  const { trigger, itemsSucceeded, errors } = await client.sync();
  assert.deepEqual(seen, [['beforeSync', 'manual', 0], ['beforeSend', 'batch', undefined], ['onOutcome', 'batch', 200], ['afterSync', 'manual', 1]]);
  assert.deepEqual({ trigger, itemsSucceeded, errors }, { trigger: 'manual', itemsSucceeded: 1, errors: [] });
  const sessions = events.filter(({ detail }) => detail?.sessionId).map(({ type, detail }) => [type, detail.trigger, detail.itemsSucceeded]);
  assert.deepEqual(sessions, [['sync.started', 'manual', 0], ['sync.completed', 'manual', 1]]);
});

test('the badge follows the queue, a refused change is told once, and only with permission', () => {
  const calls = [];
  let permission = 'granted';
  const realm = {
    navigator: { setAppBadge: async (n) => { calls.push(n); } }, permission: () => permission,
    registration: { showNotification: async (title, { tag, body }) => { calls.push([title, tag, body]); } },
  };
  const tell = notifier(realm, true);
  for (const queueSize of [2, 2, 1, 0]) tell('status', { queueSize });
  tell('op.dead', { id: 'a', reason: 'Validation failed' });
  permission = 'denied';
  tell('op.dead', { id: 'b', reason: 'Validation failed' });
  assert.deepEqual(calls, [2, 1, 0, ['A change was not accepted', 'a', 'Validation failed']]);
  notifier(realm, false)('status', { queueSize: 9 });
  notifier({ navigator: {}, permission: () => undefined }, { title: 'x' })('status', { queueSize: 9 });
  notifier({ navigator: { setAppBadge: () => Promise.reject(new Error('no')) }, permission: () => 'granted' }, true)('status', { queueSize: 9 });
  assert.equal(calls.length, 4);
});

test('a text of the app for its notification that throws harms nobody, and is named on the console', async (t) => {
  const said = t.mock.method(console, 'error', () => {});
  const shown = [];
  const realm = { navigator: {}, permission: () => 'granted', registration: { showNotification: async (title, { body }) => { shown.push([title, body]); } } };
  const wrong = new Error('no such field');
  const tell = notifier(realm, { title: 'Not taken', body: ({ entity }) => { if (entity === 'NOTE') throw wrong; return `${entity} was not taken`; } });
  tell('op.dead', { id: 'a', entity: 'NOTE' });
  tell('op.dead', { id: 'b', entity: 'PHOTO' });
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(shown, [['Not taken', 'PHOTO was not taken']]);
  assert.deepEqual(said.mock.calls.map(({ arguments: [, error] }) => error), [wrong]);
});

test('a push is ours when it says so', () => {
  const push = (text) => ({ json: () => JSON.parse(text) });
  assert.equal(isHint(push('{"tidegate":"hint"}')), true);
  for (const other of [push('{"title":"News"}'), push('null'), push('no json'), null, undefined]) assert.equal(isHint(other), false);
});

test('a bucket lets a burst pass, then its rate, also over a clock that jumps back', () => {
  let nowMs = 1000;
  const may = bucket({ perSecond: 10, burst: 3 }, { now: () => nowMs });
  assert.deepEqual([may(), may(), may(), may()], [true, true, true, false]);
  nowMs += 100;
  assert.deepEqual([may(), may()], [true, false]);
  nowMs -= 5000;
  assert.equal(may(), false);
  nowMs += 100;
  assert.equal(may(), true);
});

test('plugins have a say in a conflict: one that throws is counted, one without a say is passed over, the next decides; the option comes before all', async (t) => {
  const asked = [];
  const plugins = [
    { name: 'broken', resolveConflict: (conflict) => { conflict.ours.n = 99; throw new Error('no'); } }, { name: 'silent', resolveConflict: () => {} },
    { name: 'third', resolveConflict: async ({ ours, theirs }) => { asked.push([ours, theirs]); return { n: ours.n + theirs.n }; } },
    { name: 'late', resolveConflict: () => { asked.push('too late'); return {}; } },
  ];
  for (const [resolveConflict, kept, failed] of [[undefined, { n: 7 }, [['broken', 'resolveConflict', 1]]], [() => ({ n: 0 }), { n: 0 }, []]])
    await t.test(resolveConflict ? 'with the option' : 'without', async (t) => {
      const server = await startServer(t);
      const client = await openClient({ path: join(temporaryDirectory(t), 'a.db'), endpoint: server.api, autoSync: false, plugins, resolveConflict });
      t.after(() => client.close());
      const events = [];
      client.subscribe((event) => events.push(event));
      await client.settings({ conflictStrategy: 'custom' });
      await client.save('NOTE', '1', { n: 1 });
      await client.sync();
      const { etag } = await server.get('NOTE/1');
      assert.equal((await server.put('NOTE/1', { 'if-match': etag, 'content-type': 'application/json', body: '{"n":4}' })).status, 200);
      await client.save('NOTE', '1', { n: 3 });
      await client.sync();
      assert.deepEqual(JSON.parse((await server.get('NOTE/1')).text), kept);
      assert.deepEqual(events.filter(({ type }) => type === 'sync.plugin-failed').map(({ detail: { plugin, hook, failures } }) => [plugin, hook, failures]), failed);
    });
  assert.deepEqual(asked, [[{ n: 3 }, { n: 4 }]]);
});
