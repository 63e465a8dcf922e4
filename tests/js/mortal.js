// The kill sweep: the real shell, core and transport, every await of which may be the last.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createPlanner } from '../../wasm/index.js';
import { clock } from '../../sw/clock.js';
import { webLocks } from '../../sw/locks.js';
import { random } from '../../sw/random.js';
import { createTransport } from '../../sw/transport.js';
import { Turns } from '../../sw/turns.js';
import { lockManager } from './sw-harness.js';

const kWasm = readFileSync(new URL('../../dist/tidegate.wasm', import.meta.url));

/**
 * Over `store`, with what `around` puts around it. `point` is called before and after every call and throws when that is the last; `sent` hears every request.
 * @param {{store: any, api: string, time: {ahead: number}, point?: () => void, around?: (store: any) => any, sent?: (effect: any) => void, tasks?: any}} options  tasks: stands around the transport
 */
export function mortal({ store, api, time, point = () => {}, around = (store) => store, sent = () => {}, tasks = (transport) => transport }) {
  const dying = new Proxy(store, { get: (target, name) => (typeof target[name] !== 'function' ? target[name] : async (...args) => {
    point();
    const result = await target[name](...args);
    point();
    return result;
  }) });
  const transport = tasks(createTransport({ endpoint: api, clock }), { clock, publish: () => {} });
  return new Turns({
    store: around(dying), clock: { ...clock, now: () => Date.now() + time.ahead }, random, locks: webLocks(lockManager()), publish: () => {}, readings: () => ({}),
    createPlanner: async () => { point(); return createPlanner(kWasm); },
    transport: { send: async (effect, ...rest) => { point(); sent(effect); const outcome = await transport.send(effect, ...rest); point(); return outcome; } },
  });
}

/** Drains until nothing waits any more; waits pass at once. */
export async function drainAll(turns, store, time) {
  for (let round = 0; round < 50; round++) {
    const end = await turns.ask({ event: { type: 'manual', trigger: 'manual' }, commands: [{ type: 'flush' }] }).end;
    assert.equal(end.ok, true, end.error?.message);
    if ((await store.rows(0, 1)).length === 0) return round + 1;
    time.ahead += Math.max(1000, (end.wakeAtMs ?? 0) - Date.now() - time.ahead);
  }
  assert.fail(`still queued: ${JSON.stringify(await store.rows(0, 10))}`);
}
