// A client that lives inside the service worker, an entry of its own: for an app that writes where no page is, as when a push comes or a form is posted to its own
// fetch listener. It stands on the worker's own store and drain, and asks as a page asks, so a save of it is accepted, announced and drained as a page's is.
//
//     const worker = createSyncWorker({ endpoint: '/api/v1' });
//     let opened;   // one serves all events: until close() it goes on hearing
//     const client = () => (opened ??= workerClient(worker, { owner: 'ann' }));
//     self.addEventListener('push', (event) => event.waitUntil(client().then((ann) => ann.during(event).save('ALERT', null, event.data.json()))));
//
// It opens no connection, sets no timer and takes no lock of its own, so close() ends nothing but itself.
import { Account, ticketOf } from './account.js';
import { createCalls } from './calls.js';
import { deferred } from './deferred.js';
import { TidegateError } from './errors.js';
import { tell } from './listeners.js';
import { unpackError } from './messages.js';
import { persisted, supportedBy, watchingCore } from './platform.js';
import { reaching } from './transport.js';
import { once } from './waker.js';

/** @import { Client, Listener, SyncWorker } from './index.d.ts' */
/** @import { Ask } from './calls.js' */
/** @import { WorkerClient, WorkerClientOptions } from './worker-client.d.ts' */

/**
 * Opens a client inside the worker, and signs its owner in as every client does. Not while the script is evaluated: it opens the store.
 * @param {SyncWorker} worker what createSyncWorker() answered @param {WorkerClientOptions} [options] @returns {Promise<WorkerClient>} throws TidegateError, StoreError
 */
export async function workerClient(worker, options = {}) {
  if (typeof worker?.hear !== 'function') throw new TidegateError('wrong-type', '/worker', `worker: expected what createSyncWorker() answered, got ${String(worker)}`);
  const { deps } = await worker.open();
  const { store, clock, random, locks, marker, publish } = deps;
  const { owner = '' } = options;
  const account = new Account(owner, await ticketOf(store, clock));
  const kept = await persisted(globalThis.navigator);
  /** @type {Set<Listener>} */
  const listeners = new Set();
  const leave = worker.subscribe(({ type, status, detail = status }) => { if (account.hears(type, detail)) tell(listeners, type, detail); });

  /** @type {Promise<unknown>} what this client has begun so far is over */
  let begun = Promise.resolve();
  const following = (/** @type {Promise<unknown>} */ work) => { begun = Promise.all([begun, work]).then(() => {}); };   // else each would hold what all before it came to
  const watched = watchingCore(account.introduced((request, until) => new Promise((resolve, reject) => {
    const source = { postMessage: (/** @type {any} */ { value, error }) => { error ? reject(unpackError(error)) : resolve(value); } };
    following(worker.hear(source, { id: 0, request, until }));
  })));
  /** News of many saves is one, as from a page. */
  const drainSoon = once(() => watched.ask({ event: { type: 'accept', trigger: 'data-change' } }, 'answers').catch(() => {}));   // a failure has been published

  const client = await createCalls({ ...worker.options, ...options }, {
    store: { ...store, close: async () => {} }, clock, random, account, locks, listeners, ask: watched.ask,
    // The worker itself looked, and marks what is stored with the end of each drain.
    marker: /** @type {any} */ ({ check: async () => {}, note: () => {}, close: async () => {}, get loss() { return marker.loss; } }),
    accepted: (documents) => {
      publish('sync.documents', { owner, documents });
      following(drainSoon());
    },
    supported: () => supportedBy(globalThis, { serviceWorker: true, persistentStore: true, persisted: kept, core: watched.seen.core }),
    tasks: /** @type {any} */ ({ register: () => { throw new TidegateError('unsupported', '/registerTask', 'registerTask: the tasks of a worker are given to createSyncWorker(), as its option `tasks`'); } }),
    reach: reaching(worker.endpoint, clock),
    close: async () => leave(),
  });

  const drained = async () => { for (let seen; seen !== begun;) await (seen = begun); };
  return Object.assign(client, { during: (/** @type {any} */ event) => during(client, event, drained) });
}

/**
 * `client`, each call of which keeps `event` alive (waitUntil) until what it began is drained. After the event's end a call throws what the browser throws, and does nothing.
 * @param {Client} client @param {any} event @param {() => Promise<void>} drained
 */
const during = (client, event, drained) => new Proxy(client, {
  get: (_, name) => {
    const call = Reflect.get(client, name);
    if (typeof call !== 'function') return call;
    return (/** @type {any[]} */ ...args) => {
      const called = deferred();
      event.waitUntil(called.promise.then(drained, drained));
      let answer;
      try {
        return (answer = call(...args));
      } finally {
        called.resolve(answer);
      }
    };
  },
});
