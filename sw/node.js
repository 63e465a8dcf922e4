// The headless client: the same calls and the same turn, over a SQLite file, draining in this process. `libsql` is an optional peer dependency.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createCalls, isFor, tell } from './calls.js';
import { clock } from './clock.js';
import { askOf, createEngine } from './engine.js';
import { TidegateError } from './errors.js';
import { quote } from './accept.js';
import { Marker } from './marker.js';
import { random } from './random.js';
import { openSqliteStore, sqliteLock } from './sqlite-store.js';
import { Waker, every, kTickMs, once } from './waker.js';

export { StoreError, TidegateError } from './errors.js';

/** @import { Client, NodeOptions, Listener } from './index.d.ts' */

/**
 * Opens the outbox at `path`. The client keeps the process alive only while it has something to wait for; close() leaves nothing behind.
 * @param {NodeOptions} options @returns {Promise<Client>} throws TidegateError, StoreError
 */
export async function openClient(options) {
  const { path, autoSync = true, owner = '', hints, pull = hints !== undefined, authorize, endpoint, wasm = new URL('../dist/tidegate.wasm', import.meta.url) } = options;
  if (typeof path !== 'string' || path === '')
    throw new TidegateError('wrong-type', '/path', `path: expected the path of a file, got ${quote(path)}`);
  const store = await openSqliteStore({ path });
  /** @type {Set<Listener>} */
  const listeners = new Set();
  const publish = (/** @type {string} */ type, /** @type {any} */ detail) => {
    if (type === 'sync.ended' && autoSync) waker.arm(detail.wakeAtMs);
    if (isFor(owner, detail)) tell(listeners, type, detail);
  };
  const stop = new AbortController();
  const turns = createEngine(options, {
    store, clock, random, publish, locks: sqliteLock({ path: `${path}.lock`, clock }), wasm: () => readFileSync(wasm),
    readings: () => ({ utcOffsetMinutes: clock.utcOffsetMinutes() }),
  });
  const waker = new Waker(clock, () => turns.ask({ event: { type: 'timer', trigger: 'periodic' } }));
  const marker = new Marker(markInFile(`${path}.mark`), store, clock, (loss) => publish('sync.storage-lost', loss));
  const client = await createCalls(options, {
    store, clock, random, listeners, marker, ask: askOf(turns),
    accepted: () => { if (autoSync) turns.ask({ event: { type: 'accept', trigger: 'data-change' } }); },
    supported: () => ({ serviceWorker: false, backgroundSync: false, periodicSync: false, persistentStore: true, webAssembly: typeof WebAssembly !== 'undefined' }),
    close: async () => {
      waker.close();
      stop.abort();
      await turns.close();
    },
  });
  /** @type {any[]} */
  const first = pull ? [{ type: 'pull', value: { owner } }] : [];
  if (autoSync) turns.ask({ event: { type: 'start', trigger: 'start' }, commands: first });
  if (autoSync && pull) every(clock, kTickMs, () => { turns.ask({ event: { type: 'timer', trigger: 'periodic' } }); }, stop.signal);
  const hint = once(() => turns.ask({ event: { type: 'message', trigger: 'push' }, commands: [{ type: 'hint', value: { owner } }] }).end);
  if (autoSync) hints?.({ endpoint: new URL(endpoint), owner, authorize, hint, signal: stop.signal, clock, random });
  return client;
}

/** The mark of a headless client: a file beside the database. @param {string} file @returns {import('./marker.js').Place} */
const markInFile = (file) => ({
  read: async () => JSON.parse(readFileSync(file, 'utf8')),
  write: async (mark) => {
    writeFileSync(`${file}.new`, JSON.stringify(mark));
    renameSync(`${file}.new`, file);
  },
});
