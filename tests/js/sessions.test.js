// A thousand sessions of 250 clients, one after the other, end in four ways; what the process holds at the end is what it held after the first hundred.
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { rowsOf, startServer, temporaryDirectory } from './server-harness.js';

const kSessions = 1000;
const kFirst = 100;
const kMaxGrowth = 2 * 2 ** 20;

test('1 000 sessions complete, fail, are cancelled and are stopped: heap, core, handles and files are what they were after the first hundred', async (t) => {
  const { server, api, file } = await startServer(t, { faults: {} });
  const child = fork(new URL('sessions-child.js', import.meta.url), [join(temporaryDirectory(t), 'outbox.db'), api, String(kFirst), String(kSessions)], { execArgv: ['--expose-gc'] });
  t.after(() => child.kill());
  const told = [];
  child.on('message', (/** @type {any} */ message) => {
    if (message.at) return told.push(message);
    if (message.faults) server.demandFaults(message.faults);
    const { hang, status500 } = server.stats().faults;
    child.send({ hangs: hang, refusals: status500 });
  });
  const [code] = await once(child, 'exit');
  assert.equal(code, 0);
  const [first, last] = told;
  t.diagnostic(`after ${first.at}: ${JSON.stringify(first)}`);
  t.diagnostic(`after ${last.at}: ${JSON.stringify(last)}`);
  assert.deepEqual(last.ended, { completes: kSessions / 4, fails: kSessions / 4, cancelled: kSessions / 4, stopped: kSessions / 4 }, 'each ended as it was meant to');
  const { faults } = server.stats();
  assert.deepEqual([faults.status500, faults.hang], [kSessions / 4, kSessions / 4]);
  assert.ok(rowsOf(file, 'SELECT * FROM effects').length > 0);
  for (const name of ['heapUsed', 'arrayBuffers']) assert.ok(last[name] <= first[name] + kMaxGrowth, `${name} grew from ${first[name]} to ${last[name]} bytes`);
  for (const name of ['things', 'files', 'coreBytes']) assert.deepEqual(last[name], first[name], name);
  for (const { cores } of told) assert.ok(cores <= 1, `${cores} cores are held by closed clients`);   // the last one may still be on its way out
});
