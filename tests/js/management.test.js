// The hands on sync: sessions that are asked for, limited, scheduled and cancelled; the endpoints, in the worker and before there is one.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { openClient } from '../../sw/node.js';
import { clock } from '../../sw/clock.js';
import { reaching } from '../../sw/transport.js';
import { connect } from '../../web/client.js';
import { rowsOf, startServer, temporaryDirectory } from './server-harness.js';
import { openPage, origin, startWorker, wipe } from './sw-harness.js';

/** @param {import('node:test').TestContext} t */
async function pair(t, options = {}) {
  const server = await startServer(t);
  const client = await openClient({ path: join(temporaryDirectory(t), 'outbox.db'), endpoint: server.api, autoSync: false, ...options });
  t.after(() => client.close());
  const events = [];
  client.subscribe(({ type, detail }) => events.push({ type, detail }));
  return { ...server, client, events, effects: () => rowsOf(server.file, 'SELECT op_id FROM effects').map(({ op_id }) => op_id) };
}
const until = async (condition) => { while (!(await condition())) await new Promise(setImmediate); };
const kBands = ['low', 'normal', 'high', 'critical'];

test('a direction, operation or minPriority that is none is refused by name, and nothing is sent', async (t) => {
  const { client } = await pair(t);
  await client.save('NOTE', '1', { n: 1 });
  const cases = { direction: [[5, '"', 'up', null, true], 'push, pull, both'], operation: [['all', 0, {}], 'delta, full'], minPriority: [['urgent', 1, null], 'critical, high, normal, low'] };
  for (const [name, [values, expected]] of Object.entries(cases))
    for (const value of values)
      for (const call of ['sync', 'start', 'scheduleSync', ...(name === 'direction' ? [] : ['pull'])])   // pull() has its own
        await assert.rejects(client[call]({ [name]: value }), ({ code, path, message }) => code === 'out-of-range' && path === `/${name}` && message.startsWith(`/${name}: expected one of ${expected}, got `), `${call} ${name} ${value}`);
  assert.equal((await client.ops()).length, 1);
});

test('sync({minPriority}) sends what is of that priority or above, and leaves the rest as it was', async (t) => {
  const { client } = await pair(t);
  for (const priority of kBands) await client.save('NOTE', priority, { priority }, { priority });
  const { itemsSucceeded, wakeAtMs } = await client.sync({ minPriority: 'high' });
  assert.equal(itemsSucceeded, 2);
  assert.deepEqual((await client.ops()).map(({ priority, attempts, state }) => [priority, attempts, state]), [['low', 0, 'queued'], ['normal', 0, 'queued']]);
  assert.ok(wakeAtMs > Date.now() + 20_000, 'and not at once by itself');
  await assert.rejects(client.sync({ minPriority: 'urgent' }), { code: 'out-of-range', path: '/minPriority' });
  assert.equal((await client.sync()).itemsSucceeded, 2);
});

test('start() begins a drain and does not wait for it; scheduleSync() begins one that is written down with its trigger', async (t) => {
  const { client, events } = await pair(t);
  await client.save('NOTE', '1', { n: 1 });
  await client.start();
  await until(() => events.some(({ type }) => type === 'sync.completed'));
  await client.save('NOTE', '2', { n: 2 });
  await client.save('NOTE', '3', { n: 3 }, { priority: 'high' });
  await client.scheduleSync({}, 'push', 'high');
  await until(() => events.filter(({ type }) => type === 'sync.completed').length === 2);
  const sessions = await client.background.list();
  assert.deepEqual(sessions.map(({ trigger, itemsSucceeded }) => [trigger, itemsSucceeded]), [['manual', 1], ['push', 1]]);
  assert.deepEqual((await client.ops()).map(({ entityId }) => entityId), ['2']);
  await assert.rejects(client.scheduleSync({}, 'whenever'), { path: '/trigger' });
  await assert.rejects(client.scheduleSync({}, 'push', 'urgent'), { path: '/priority' });
  await assert.rejects(client.scheduleSync({ direction: 'sideways' }), { path: '/direction' });
});

test('cancelSync(): what is on its way arrives, nothing more is begun, nothing is lost or doubled', async (t) => {
  const { client, events, effects } = await pair(t);
  await client.settings({ maxBatchOps: 2, maximumConcurrentOperations: 1 });
  await assert.rejects(client.cancelSync(), { code: 'unknown-session', path: '/session' });
  const ids = [];
  for (let n = 0; n < 20; n++) ids.push((await client.save('NOTE', `n${n}`, { n })).id);
  let cancelled;
  client.subscribe(({ type, detail }) => { if (type === 'sync.started') cancelled ??= client.cancelSync(detail.sessionId); });
  const session = await client.sync();
  await cancelled;
  assert.ok(session.itemsSucceeded < 20, `${session.itemsSucceeded} went`);
  assert.ok(session.errors.includes('Cancelled'));
  assert.equal((await client.ops()).length, 20 - session.itemsSucceeded);
  assert.ok(session.wakeAtMs > Date.now() + 20_000);
  assert.equal(events.filter(({ type }) => type === 'sync.started').length, 1);
  await client.sync();
  assert.deepEqual([...effects()].sort(), [...ids].sort());
});

test('background: the same hands under the names of a process, its sessions, and what was written down in each', async (t) => {
  const { client } = await pair(t);
  const { background } = client;
  await background.pause();
  assert.equal((await client.status()).state, 'paused');
  await client.save('NOTE', '1', { n: 1 });
  await client.save('NOTE', '1', { n: 2 });
  await background.resume();
  await client.sync();
  await client.save('NOTE', '2', { n: 1 });
  await client.sync();
  const [first, second] = await background.list();
  assert.deepEqual(await background.list({ after: first.sessionId }), [second]);
  assert.equal((await background.list({ limit: 1 }))[0].sessionId, first.sessionId);
  assert.deepEqual((await background.logs(first.sessionId)).map(({ value }) => value.kind), ['folded']);
  assert.deepEqual(await background.logs(second.sessionId), []);
  assert.deepEqual((await background.logs()).map(({ value }) => value.kind), ['folded']);
  await assert.rejects(background.terminate(), { code: 'unknown-session' });
});

for (const [what, answer, reachable] of [
  ['any answer of a server', (_, response) => response.writeHead(404, { 'content-type': 'application/problem+json' }).end(), true],
  ['an answer without a body', (_, response) => response.writeHead(204).end(), true],
  ['a page where nothing was asked for', (_, response) => response.writeHead(200, { 'content-type': 'text/html' }).end(), false],
  ['a redirect', (_, response) => response.writeHead(302, { location: '/login' }).end(), false],
  ['511', (_, response) => response.writeHead(511).end(), false],
  ['no answer', (request) => request.socket.destroy(), false],
])
  test(`the way to the server, tested: ${what} is ${reachable ? 'enough' : 'not the server'}`, async (t) => {
    const server = createServer(answer);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    t.after(() => { server.close(); server.closeAllConnections(); });
    const reached = await reaching(new URL(`http://127.0.0.1:${server.address().port}/api`), clock)();
    assert.equal(reached.reachable, reachable);
    assert.ok(reached.ms >= 0);
  });

test('a test that takes too long says no, and leaves no timer', async (t) => {
  const server = createServer(() => {});
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => { server.close(); server.closeAllConnections(); });
  let timers = 0;
  const hasty = { ...clock, timer: (_, run) => { timers += 1; const cancel = clock.timer(20, run); return () => { timers -= 1; cancel(); }; } };
  assert.equal((await reaching(new URL(`http://127.0.0.1:${server.address().port}/`), hasty)()).reachable, false);
  assert.equal(timers, 0);
});

test('connectivityTest(): what was reached and what is known of the network; a wait that only guessed at it is over', async (t) => {
  const { client, server } = await pair(t);
  await client.save('NOTE', '1', { n: 1 });
  const reached = await client.connectivityTest();
  assert.deepEqual([reached.reachable, reached.status, reached.isOnline], [true, 404, true]);
  assert.equal(typeof reached.connectionQuality, 'string');
  await until(async () => (await client.ops()).length === 0);   // it drains, as when the browser says that it is online
  const requests = server.stats().requests;
  await client.connectivityTest();
  assert.ok(server.stats().requests > requests);
  const away = await openClient({ path: join(temporaryDirectory(t), 'away.db'), endpoint: 'http://127.0.0.1:1/api', autoSync: false });
  t.after(() => away.close());
  assert.equal((await away.connectivityTest()).reachable, false);
});

/** A page of the origin, with a worker or not. */
async function browser(t, withWorker) {
  await wipe();
  const server = await startServer(t);
  const world = origin(server.url);
  const worker = withWorker ? await startWorker(world) : null;
  await worker?.fire('install');
  const page = openPage(world, { worker });
  t.after(() => page.close());
  const client = await connect({ worker: '/sw.js', endpoint: '/api/v1', wasm: '/tidegate.wasm' });
  t.after(() => client.close());
  return { ...server, worker, client };
}
const kCalls = [['status', 'GET', 200], ['metrics', 'GET', 200], ['settings', 'GET', 200], ['settings', 'PUT', 200, { baseDelay: 70 }], ['settings', 'PUT', 400, { baseDelay: -1 }], ['settings', 'PUT', 400, '{'],
  ['pause', 'POST', 200], ['resume', 'POST', 200], ['start', 'POST', 200], ['connectivity-test', 'POST', 200], ['connectivity-test', 'GET', 405], ['nothing', 'GET', 404], ['__proto__', 'GET', 404]];

for (const withWorker of [true, false])
  test(`the page client serves every management call ${withWorker ? 'through the worker' : 'before a worker controls the page'}, as the endpoints do`, async (t) => {
    const { client, worker } = await browser(t, withWorker);
    for (const [name, method, status, body] of kCalls) {
      const init = { method, ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }) };
      const answer = await client.manage(name, init);
      assert.equal(answer.status, status, `${method} ${name}`);
      const value = await answer.json();
      if (!worker) continue;
      const { response } = await worker.fetch(`/api/v1/sync/background/${name}`, init);
      assert.equal(response?.status, status, `${method} ${name} of the worker`);
      assert.deepEqual(Object.keys(await response.json()), Object.keys(value));
    }
  });

test('the connectivity test answers at both of its paths, and at no other of sync/', async (t) => {
  const { worker } = await browser(t, true);
  for (const path of ['sync/connectivity-test', 'sync/background/connectivity-test']) {
    const { response } = await worker.fetch(`/api/v1/${path}`, { method: 'POST' });
    const value = await response.json();
    assert.deepEqual([response.status, value.reachable, value.isOnline], [200, true, true]);
  }
  for (const path of ['sync/status', 'sync/connectivity-test/more', 'sync/background']) assert.equal((await worker.fetch(`/api/v1/${path}`, { method: 'POST' })).response, undefined, path);
  assert.equal((await worker.fetch('/api/v1/sync/connectivity-test', { method: 'POST', mode: 'navigate' })).response, undefined);
});
