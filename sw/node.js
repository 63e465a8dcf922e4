// The headless client: the same calls and the same turn, over a SQLite file, draining in this process. `libsql` is an optional peer dependency.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { Account, ticketOf } from './account.js';
import { createCalls } from './calls.js';
import { clock } from './clock.js';
import { askOf, createEngine } from './engine.js';
import { TidegateError } from './errors.js';
import { quote } from './accept.js';
import { tell } from './listeners.js';
import { Listening } from './listening.js';
import { webLocks } from './locks.js';
import { Marker } from './marker.js';
import { supportedBy, watchingCore } from './platform.js';
import { random } from './random.js';
import { openSqliteStore, sqliteLock } from './sqlite-store.js';
import { Tasks } from './task-runs.js';
import { reaching } from './transport.js';
import { Waker, every, kTickMs, once } from './waker.js';

export { StoreError, TidegateError } from './errors.js';

/** @import { Client, NodeOptions, Listener } from './index.d.ts' */

/**
 * Opens the outbox at `path`. The client keeps the process alive only while it has something to wait for; close() leaves nothing behind.
 * @param {NodeOptions} options @returns {Promise<Client>} throws TidegateError, StoreError
 */
export async function openClient(options) {
  const { path, autoSync = true, owner = '', hints, pull = hints !== undefined, authorize, endpoint, encryption, wasm = new URL('../dist/tidegate.wasm', import.meta.url) } = options;
  if (typeof path !== 'string' || path === '')
    throw new TidegateError('wrong-type', '/path', `path: expected the path of a file, got ${quote(path)}`);
  const raw = await openSqliteStore({ path });
  /** @type {Set<Listener>} */
  const listeners = new Set();
  const publish = (/** @type {string} */ type, /** @type {any} */ detail) => {
    if (type === 'sync.ended' && autoSync) waker.arm(detail.wakeAtMs);
    if (type === 'status') listening.heed(detail);
    if (account.hears(type, detail)) tell(listeners, type, detail);
  };
  const store = encryption?.(raw, { owner, publish }) ?? raw;
  const stop = new AbortController();
  const account = new Account(owner, await ticketOf(raw, clock));
  const hint = once(() => poke({ type: 'message', trigger: 'push' }, [{ type: 'hint', value: { owner } }]));
  const listening = new Listening(autoSync ? hints : undefined, { endpoint: new URL(endpoint), owner, authorize, hint, clock, random }, { account, locks: webLocks(undefined), signal: stop.signal, publish });
  const kept = path !== ':memory:';   // else nothing of it is to lie in a file, and nobody else can open it
  const locks = sqliteLock({ path: kept ? `${path}.lock` : path, clock });
  const tasks = new Tasks();
  const turns = createEngine({ ...options, tasks: tasks.with(options.tasks) }, {
    store, clock, random, publish, locks, wasm: () => readFileSync(wasm),
    readings: () => ({ utcOffsetMinutes: clock.utcOffsetMinutes() }),
  });
  const watched = watchingCore(account.introduced(askOf(turns)));
  const { ask } = watched;
  /** Asks without waiting for what comes of it; a failure has been published. @param {import('../wasm/protocol.js').EventIn} event */
  const poke = (event, commands = /** @type {any[]} */ ([])) => ask({ event, commands }, 'end').catch(() => {});
  const waker = new Waker(clock, () => { poke({ type: 'timer', trigger: 'periodic' }); });
  const marker = new Marker(kept ? markInFile(`${path}.mark`) : null, store, clock, (loss) => publish('sync.storage-lost', loss));
  const client = await createCalls(options, {
    store, clock, random, listeners, marker, account, locks, ask,
    accepted: () => { if (autoSync) poke({ type: 'accept', trigger: 'data-change' }); },
    supported: () => supportedBy(globalThis, { persistentStore: kept, webLocks: false, battery: false, networkInformation: false, core: watched.seen.core }),
    tasks, reach: reaching(new URL(endpoint), clock),
    close: async () => {
      waker.close();
      stop.abort();
      await turns.close();
    },
  });
  const first = pull ? [{ type: 'pull', value: { owner } }] : [];
  if (autoSync) poke({ type: 'start', trigger: 'start' }, first);
  if (autoSync && pull) every(clock, kTickMs, () => { poke({ type: 'timer', trigger: 'periodic' }); }, stop.signal);
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
