// The headless client: the same calls and the same turn, over a SQLite file, draining in this process. `libsql` is an optional peer dependency.
import { readFileSync } from 'node:fs';
import { createCalls, tell } from './calls.js';
import { clock } from './clock.js';
import { askOf, createEngine } from './engine.js';
import { TidegateError } from './errors.js';
import { quote } from './accept.js';
import { random } from './random.js';
import { openSqliteStore, sqliteLock } from './sqlite-store.js';
import { Waker } from './waker.js';
import { wasmFile } from '../wasm/load.js';

export { StoreError, TidegateError } from './errors.js';

/** @import { Client, NodeOptions, Listener } from './index.d.ts' */

/**
 * Opens the outbox at `path`. The client keeps the process alive only while it has something to wait for; close() leaves nothing behind.
 * @param {NodeOptions} options @returns {Promise<Client>} throws TidegateError, StoreError
 */
export async function openClient(options) {
  const { path, autoSync = true, wasm = new URL(`../dist/${wasmFile()}`, import.meta.url) } = options;
  if (typeof path !== 'string' || path === '')
    throw new TidegateError('wrong-type', '/path', `path: expected the path of a file, got ${quote(path)}`);
  const store = await openSqliteStore({ path });
  /** @type {Set<Listener>} */
  const listeners = new Set();
  const publish = (/** @type {string} */ type, /** @type {any} */ detail) => {
    if (type === 'sync.ended' && autoSync) waker.arm(detail.wakeAtMs);
    tell(listeners, type, detail);
  };
  const turns = createEngine(options, {
    store, clock, random, publish, locks: sqliteLock({ path: `${path}.lock`, clock }), wasm: () => readFileSync(wasm),
    readings: () => ({ utcOffsetMinutes: clock.utcOffsetMinutes() }),
  });
  const waker = new Waker(clock, () => turns.ask({ event: { type: 'timer', trigger: 'periodic' } }));
  const client = await createCalls(options, {
    store, clock, random, listeners, ask: askOf(turns),
    accepted: () => { if (autoSync) turns.ask({ event: { type: 'accept', trigger: 'data-change' } }); },
    supported: () => ({ serviceWorker: false, backgroundSync: false, periodicSync: false, persistentStore: true, webAssembly: typeof WebAssembly !== 'undefined' }),
    close: async () => {
      waker.close();
      await turns.close();
    },
  });
  if (autoSync) turns.ask({ event: { type: 'start', trigger: 'start' } });
  return client;
}
