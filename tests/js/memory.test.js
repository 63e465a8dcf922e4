// Ten thousand queued operations of 2 kB: the core keeps metadata only, so its Wasm memory stays small after restoring them and after sending them.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createRandom } from '../../headless/random.mjs';
import { at } from '../../scripts/lib.mjs';
import { clock } from '../../sw/clock.js';
import { Account } from '../../sw/account.js';
import { createCalls } from '../../sw/calls.js';
import { webLocks } from '../../sw/locks.js';
import { Marker } from '../../sw/marker.js';
import { random } from '../../sw/random.js';
import { openSqliteStore } from '../../sw/sqlite-store.js';
import { createTransport } from '../../sw/transport.js';
import { Turns } from '../../sw/turns.js';
import { createPlanner } from '../../wasm/index.js';
import { startServer } from '../browser/harness/server.js';

const kOps = 10_000;
const kBodyBytes = 2_000;
const kMaxHeapBytes = 64 * 2 ** 20;
const kPerCall = 500;

/** A form of about two kilobytes; hardly any two fields repeat. */
function makeDoc(chance, n) {
  const answers = {};
  while (JSON.stringify(answers).length < kBodyBytes - 60) answers[`question ${chance.integer(0, 9999)}`] = chance.next().toString(36).slice(2);
  return { n, answers };
}

test('10 000 operations of 2 kB: at most 64 MiB of Wasm memory after restoring and after draining them', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tidegate-memory-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const server = await startServer(join(folder, 'server.db'));
  t.after(() => server.stop());
  const store = await openSqliteStore({ path: join(folder, 'client.db') });
  t.after(() => store.close());
  const wasm = readFileSync(at('dist', 'tidegate.wasm'));

  /** Drains as a process does that has just started; answers the Wasm memory of its core. @param {boolean} online */
  async function drain(online) {
    const planners = [];
    const turns = new Turns({
      store, clock, random, locks: webLocks(undefined), publish: () => {}, readings: () => ({ online }),
      transport: createTransport({ endpoint: `http://127.0.0.1:${server.port}/api/v1`, clock }),
      createPlanner: async () => {
        planners.push(await createPlanner(wasm));
        return planners.at(-1);
      },
    });
    for (let end; (end = await turns.ask({ event: { type: 'manual', trigger: 'manual' } }).end);) {
      assert.ok(end.ok, end.error?.message);
      if (end.wakeAtMs === null || !online) break;
      await clock.sleep(end.wakeAtMs - clock.now(), new AbortController().signal);
    }
    await turns.close();
    assert.equal(planners.length, 1, 'the core was never restarted');
    return planners[0].heapBytes;
  }

  const chance = createRandom(8, 'documents');
  const calls = await createCalls({ endpoint: '/' }, {
    store, clock, random, listeners: new Set(), accepted() {}, supported: () => ({}), ask: async () => [], close: async () => {},
    marker: new Marker(null, store, clock, () => {}), account: new Account(''), locks: webLocks(undefined),
  });
  for (let n = 0; n < kOps; n += kPerCall)
    await calls.saveAll(Array.from({ length: kPerCall }, (_, i) => ({
      entity: 'FORM', entityId: `f${n + i}`, doc: makeDoc(chance, n + i), priority: ['critical', 'high', 'normal', 'low'][i % 4],
    })));

  const queued = await drain(false);
  assert.equal((await store.rows(0, kOps + 1)).length, kOps);
  const restored = await drain(false);
  const started = performance.now();
  const drained = await drain(true);
  t.diagnostic(`Wasm memory: ${[queued, restored, drained].map((bytes) => (bytes / 2 ** 20).toFixed(1)).join(', ')} MiB after reading the rows, after restoring a snapshot, after draining`);
  t.diagnostic(`drained in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  assert.equal(server.effects(), kOps);
  assert.equal((await store.rows(0, 1)).length, 0);
  for (const bytes of [queued, restored, drained]) assert.ok(bytes <= kMaxHeapBytes, `${bytes} bytes of Wasm memory`);
});
