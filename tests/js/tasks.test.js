// The app's own jobs: a run is an op like any other, executed instead of sent. The real client, core and store; the server is there only to be left alone.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildRow } from '../../sw/accept.js';
import { clock } from '../../sw/clock.js';
import { openClient } from '../../sw/node.js';
import { random } from '../../sw/random.js';
import { tasks } from '../../sw/tasks.js';
import { mortal, drainAll } from './mortal.js';
import { openSqliteStore } from '../../sw/sqlite-store.js';
import { kLimits } from './store.contract.js';
import { startServer, temporaryDirectory } from './server-harness.js';
import { openPage, origin, startWorker, wipe } from './sw-harness.js';
import { connect } from '../../web/client.js';

/** @param {import('node:test').TestContext} t */
async function pair(t, options = {}) {
  const server = await startServer(t);
  const path = join(temporaryDirectory(t), 'outbox.db');
  const open = async (more = {}) => {
    const client = await openClient({ path, endpoint: server.api, autoSync: false, ...options, ...more });
    t.after(() => client.close());
    return client;
  };
  const client = await open();
  await client.settings({ baseDelay: 1, maxDelay: 1, maxRetryAttempts: 3 });
  const events = [];
  client.subscribe(({ type, detail }) => events.push({ type, detail }));
  return { ...server, open, client, events };
}

/** Drains until nothing can go any more. */
async function rest(client) {
  for (let end; (end = await client.sync()).wakeAtMs !== null;) while (Date.now() < end.wakeAtMs) await new Promise(setImmediate);
}

test('a run gets its input, leaves the outbox when it is done, and the server hears nothing of it', async (t) => {
  const { client, server, events } = await pair(t);
  const runs = [];
  client.registerTask({ taskId: 'thumbnails', execute: async (run) => { runs.push(run); } });
  const before = server.stats().requests;
  const { id } = await client.runTask('thumbnails', { album: 7, text: 'Größe' }, { priority: 'high' });
  assert.equal((await client.op(id)).priority, 'high');
  const { itemsSucceeded } = await client.sync();
  assert.equal(itemsSucceeded, 1);
  assert.deepEqual(runs.map(({ taskId, runId, owner, input }) => ({ taskId, runId, owner, input })), [{ taskId: 'thumbnails', runId: id, owner: '', input: { album: 7, text: 'Größe' } }]);
  assert.equal(runs[0].signal.aborted, false);
  assert.deepEqual(await client.ops(), []);
  assert.ok(events.some(({ type, detail }) => type === 'op.done' && detail.id === id));
  assert.equal(server.stats().requests, before);
});

test('false or a failure is one attempt: repeated after a wait under the same runId, and given up after maxRetryAttempts', async (t) => {
  const { client, events } = await pair(t);
  const runs = [];
  client.registerTask({ taskId: 'a', execute: ({ runId }) => { runs.push(runId); if (runs.length % 2) return false; throw new Error('no disk'); } });
  const { id } = await client.runTask('a');
  await rest(client);
  assert.deepEqual(runs, [id, id, id]);
  const [op] = await client.ops({ state: 'dead' });
  assert.deepEqual([op.id, op.attempts, op.error.class], [id, 3, 'internal']);
  assert.match(op.reason, /The task failed/);
  assert.deepEqual(events.filter(({ type }) => type === 'task.failed').map(({ detail }) => detail.message), ['it answered false', 'no disk', 'it answered false']);
  await client.retry(id);
  runs.length = 1;
  client.registerTask({ taskId: 'b', execute: () => {} });
  await rest(client);
  assert.ok(runs.length > 1, 'a person gave it another chance');
});

test('dependencies hold in both directions, runs of one task go one after the other, and priorities decide between tasks', async (t) => {
  const { client } = await pair(t);
  const order = [];
  let running = 0, most = 0;
  const execute = async ({ input }) => { most = Math.max(most, ++running); await null; running -= 1; order.push(input); };
  client.registerTask({ taskId: 'one', execute });
  client.registerTask({ taskId: 'two', execute });
  await client.settings({ maximumConcurrentOperations: 1 });
  const saved = await client.save('NOTE', '1', { n: 1 }, { priority: 'low' });
  await client.runTask('one', 'after the save', { dependsOn: [saved.id], priority: 'critical' });
  await client.runTask('one', 'then this');
  const { id } = await client.runTask('two', 'critical', { priority: 'critical' });
  await client.save('NOTE', '2', { n: 2 }, { dependsOn: [id] });
  await rest(client);
  assert.deepEqual(await client.ops(), []);
  assert.ok(order.indexOf('after the save') < order.indexOf('then this'));
  assert.equal(order.length, 3);
  assert.equal(most, 1);
});

test('the gate holds runs too, and explain() says why', async (t) => {
  const { client } = await pair(t);
  let runs = 0;
  client.registerTask({ taskId: 'a', execute: () => { runs += 1; } });
  await client.pause();
  const { id } = await client.runTask('a');
  await client.sync();
  assert.equal(runs, 0);
  assert.equal((await client.explain(id)).reason, 'paused');
  await client.resume();
  await client.sync();
  assert.equal(runs, 1);
});

test('a task that nobody here knows waits without an attempt, also across a restart, until somebody does', async (t) => {
  const { client, open } = await pair(t);
  const { id } = await client.runTask('later', [1]);
  await client.sync();
  const [op] = await client.ops();
  assert.deepEqual([op.id, op.attempts, op.state], [id, 0, 'queued']);
  assert.equal(op.error.message, 'Nobody here knows how: an option is missing');
  assert.ok(op.nextAttempt >= op.lastAttempt + 10_000, 'however short the waits are set');
  await client.close();
  const inputs = [];
  const again = await open({ tasks: tasks([{ taskId: 'later', execute: ({ input }) => { inputs.push(input); } }]) });
  await again.retry(id);   // or ten seconds later
  await again.sync();
  assert.deepEqual(inputs, [[1]]);
});

test('failing tasks open no breaker: the server is not asked less for them', async (t) => {
  const { client, get } = await pair(t);
  client.registerTask({ taskId: 'bad', execute: () => false });
  for (let n = 0; n < 8; n++) await client.runTask('bad', n);
  await rest(client);
  await client.save('NOTE', '1', { n: 1 });
  await client.sync();
  assert.equal((await get('NOTE/1')).status, 200);
  assert.equal((await client.ops({ state: 'dead' })).length, 8);
});

test('killed at every await, every run is executed, and after its outcome was stored never again', async (t) => {
  const { api } = await startServer(t);
  const time = { ahead: 0 };
  let points = 0;
  for (let kill = 1, dead = true; dead; kill++) {
    const store = await openSqliteStore({ path: ':memory:' });
    const done = [];
    const runner = tasks([{ taskId: 'a', execute: ({ input }) => { done.push(input); } }]);
    const alive = (more) => mortal({ store, api, time, tasks: runner, ...more });
    for (const input of [1, 2, 3]) {
      const item = await buildRow({ entity: 'tidegate.task', entityId: 'a', action: 'create', doc: input }, { owner: '', schemaVersion: 0, maxOpBytes: 1e6, fieldNames: () => [], clock, random }, '');
      await store.accept([item], kLimits);
    }
    let calls = 0;
    dead = false;
    const point = () => { if (dead || ++calls === kill) { dead = true; throw new Error('killed'); } };
    await alive({ point }).ask({ event: { type: 'sync' } }).end;
    const left = (await store.rows(0, 10)).length;
    const before = done.length;
    await drainAll(alive(), store, time);
    assert.deepEqual((await store.rows(0, 10)).length, 0, `kill ${kill}`);
    assert.deepEqual([...new Set(done)].sort(), [1, 2, 3], `kill ${kill}`);
    assert.equal(done.length - before, left, `kill ${kill}: what was stored as done ran again`);
    await store.close();
    if (dead) points = kill;
  }
  assert.ok(points >= 10, `${points} points`);
});

test('in a browser the service worker executes them, with the tasks it was given', async (t) => {
  await wipe();
  const server = await startServer(t);
  const world = origin(server.url);
  const inputs = [];
  const worker = await startWorker(world, { tasks: tasks([{ taskId: 'a', execute: ({ input }) => { inputs.push(input); } }]) });
  await worker.fire('install');
  const page = openPage(world, { worker });
  t.after(() => page.close());
  const client = await connect({ worker: '/sw.js', endpoint: '/api/v1', wasm: '/tidegate.wasm' });
  t.after(() => client.close());
  await client.runTask('a', { n: 1 });
  await client.sync();
  assert.deepEqual(inputs, [{ n: 1 }]);
  assert.deepEqual(await client.ops(), []);
});

test('what is no task, no run, or uses the reserved name is refused by name', async (t) => {
  const { client } = await pair(t);
  const execute = () => {};
  assert.throws(() => client.registerTask({ taskId: '', execute }), { path: '/taskId' });
  assert.throws(() => client.registerTask({ taskId: 'a', execute: 'x' }), { path: '/execute' });
  const remove = client.registerTask({ taskId: 'a', execute });
  assert.throws(() => client.registerTask({ taskId: 'a', execute }), { path: '/taskId' });
  remove();
  client.registerTask({ taskId: 'a', execute });
  await assert.rejects(client.runTask('a/b'), { path: '/entityId' });
  await assert.rejects(client.runTask('a', () => {}), { path: '/doc' });
  await assert.rejects(client.save('tidegate.task', 'a', {}), { path: '/entity' });
  await assert.rejects(client.delete('tidegate.task', 'a'), { path: '/entity' });
  await assert.rejects(client.saveAll([{ entity: 'tidegate.task', entityId: 'a', doc: {}, action: 'create' }], { atomic: true }), { path: '/items/0/entity' });
  assert.deepEqual(await client.ops(), []);
});
