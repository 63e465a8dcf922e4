// Faults on purpose (server/faults.js): each does what its name says, is counted when it happens, and a client that repeats its ops comes through.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rowsOf, startServer } from './server-harness.js';

const op = (id, more = {}) => [{ id, action: 'create', entity: 'A', entityId: id, ifNoneMatch: '*', codec: 'full', body: true, ...more }, JSON.stringify({ id })];
const effects = (file) => rowsOf(file, 'SELECT * FROM effects').length;
const faultsOf = (server) => Object.fromEntries(Object.entries(server.stats().faults).filter(([, count]) => count > 0));

test('status500 refuses a REST write with nothing applied', async (t) => {
  const { server, put, file } = await startServer(t, { faults: { status500: 1 } });
  const { status, problem } = await put('A/a', { body: 'x' });
  assert.deepEqual([status, problem.type, effects(file), faultsOf(server)], [500, 'urn:tidegate:internal', 0, { status500: 1 }]);
});

test('status500 refuses a batch as a whole or by ops, and then what follows an op that failed', async (t) => {
  const { server, batch, file } = await startServer(t, { faults: { status500: 1 }, seed: 3 });
  let single = 0;
  let whole = 0;
  for (let n = 0; n < 20; n += 1) {
    const before = effects(file);
    const { status, results } = await batch([...op(`${n}a`), ...op(`${n}b`), ...op(`${n}c`, { entityId: `${n}b`, after: `${n}b`, ifNoneMatch: undefined })]);
    if (status === 500) whole += 1;
    else {
      const failed = results.filter((result) => result.status === 500);
      assert.ok(failed.length >= 1);
      single += failed.length;
      if (results[1].status === 500) assert.ok([424, 500].includes(results[2].status));
      assert.equal(effects(file) - before, results.filter((result) => result.status < 300).length);
    }
  }
  assert.ok(whole > 0 && single > 0);
  assert.deepEqual(faultsOf(server), { status500: whole, opStatus500: single });
});

for (const [fault, applied] of [['resetBefore', 0], ['resetAfter', 1], ['truncate', 1]])
  test(`${fault} cuts the connection with ${applied} op applied`, async (t) => {
    const { server, batch, file } = await startServer(t, { faults: { [fault]: 1 } });
    await assert.rejects(batch(op('a')));
    assert.deepEqual([effects(file), faultsOf(server)], [applied, { [fault]: 1 }]);
  });

test('status500After says 500 although everything was applied', async (t) => {
  const { server, put, batch, file } = await startServer(t, { faults: { status500After: 1 } });
  const answer = await put('A/a', { body: 'x' });
  assert.deepEqual([answer.status, answer.problem.type, answer.etag], [500, 'urn:tidegate:internal', null]);
  assert.equal((await batch(op('b'))).status, 500);
  assert.deepEqual([effects(file), faultsOf(server)], [2, { status500After: 2 }]);
});

test('hang never answers, applies nothing, and does not keep the server from closing', async (t) => {
  const { server, api, file } = await startServer(t, { faults: { hang: 1 } });
  const asked = assert.rejects(fetch(`${api}/entities/A/a`, { method: 'PUT', headers: { 'idempotency-key': '"k"' }, body: 'x' }));
  while (server.stats().faults.hang === 0) await new Promise((resolve) => { setImmediate(resolve); });
  assert.equal(effects(file), 0);
  await server.close();
  await asked;
});

test('faults leave the management paths alone', async (t) => {
  const { send } = await startServer(t, { faults: { resetBefore: 1 } });
  assert.equal((await send('GET', '/sync/background/status')).status, 503);
});

test('the same seed gives the same faults', async (t) => {
  const run = async (seed) => {
    const { put } = await startServer(t, { faults: { status500: 0.3, status500After: 0.3 }, seed });
    const statuses = [];
    for (let n = 0; n < 20; n += 1) statuses.push((await put(`A/${n}`, { body: 'x' })).status);
    return statuses.join(' ');
  };
  const first = await run(7);
  assert.equal(await run(7), first);
  assert.notEqual(await run(8), first);
});

test('demanded faults strike the next requests, in order, before chance', async (t) => {
  const { server, put, file } = await startServer(t);
  server.demandFaults([null, 'status500After', 'resetBefore']);
  assert.equal((await put('A/1', { body: 'x' })).status, 201);
  assert.equal((await put('A/2', { body: 'x' })).status, 500);
  await assert.rejects(put('A/3', { body: 'x' }));
  assert.equal((await put('A/4', { body: 'x' })).status, 201);
  assert.deepEqual([effects(file), faultsOf(server)], [3, { status500After: 1, resetBefore: 1 }]);
  for (const wrong of [['flood'], 'resetAfter', [1]]) assert.throws(() => server.demandFaults(wrong), TypeError);
});

/** Sends ops in batches, one op each entity, and repeats what has no 2xx; gives how many attempts that took. */
async function sendAll({ batch }, ops) {
  let attempts = 0;
  for (let left = ops; left.length > 0; attempts += 1) {
    assert.ok(attempts < 500, 'it does not come to an end');
    const results = await batch(left.slice(0, 10).flat()).then((answer) => answer.results, () => []);
    const done = new Set(results.filter(({ status }) => status < 300).map(({ id }) => id));
    left = left.filter(([{ id }]) => !done.has(id));
  }
  return attempts;
}
const RATES = { status500: 0.2, status500After: 0.1, resetBefore: 0.1, resetAfter: 0.1, truncate: 0.1 };

test('through all faults, each op that is repeated until it is answered has exactly one effect', async (t) => {
  const { server, batch, file } = await startServer(t, { faults: RATES, seed: 11 });
  const attempts = await sendAll({ batch }, Array.from({ length: 300 }, (_, n) => op(`op-${n}`)));
  assert.ok(attempts > 30);
  for (const [name, count] of Object.entries(server.stats().faults)) assert.ok(name === 'hang' || count > 0, name);
  const counts = rowsOf(file, 'SELECT op_id, count(*) AS n FROM effects GROUP BY op_id');
  assert.deepEqual([counts.length, Math.max(...counts.map(({ n }) => n))], [300, 1]);
});

test('planted no-dedupe: the same run has ops with two effects', async (t) => {
  const { batch, file } = await startServer(t, { faults: RATES, seed: 11, plant: 'no-dedupe' });
  await sendAll({ batch }, Array.from({ length: 300 }, (_, n) => op(`op-${n}`)));
  const counts = rowsOf(file, 'SELECT op_id, count(*) AS n FROM effects GROUP BY op_id');
  assert.equal(counts.length, 300);
  assert.ok(Math.max(...counts.map(({ n }) => n)) >= 2);
});
