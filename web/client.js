// The page's half. Saving writes to the store at once, with or without a worker. Everything else is asked of whoever drains: the service worker whenever one
// is active, and this page where there is none.
import { createCalls, tell } from '../sw/calls.js';
import { clock } from '../sw/clock.js';
import { askOf, createEngine } from '../sw/engine.js';
import { webLocks } from '../sw/locks.js';
import { random } from '../sw/random.js';
import { batteryReadings, networkReadings } from '../sw/readings.js';
import { openStore } from '../sw/store.js';
import { fetchAsset } from '../sw/transport.js';
import { Waker } from '../sw/waker.js';
import { wasmFile } from '../wasm/load.js';
import { WorkerLink } from './worker-link.js';

/** @import { Client, ConnectOptions, Listener } from '../sw/index.d.ts' */
/** @import { Request } from '../sw/calls.js' */
/** @import { Turns } from '../sw/turns.js' */

/** While a page is open: how often it looks after what is due, unless the settings say otherwise. */
const kTickMs = 30_000;
/** How long news of one save waits for the answer to the news before it. */
const kPatienceMs = 1_000;

/**
 * Opens the outbox, and registers `options.worker` where one is given. A worker that cannot be registered is no error: the page drains, and
 * isSupported().serviceWorker says so.
 * @param {ConnectOptions} options @returns {Promise<Client>} throws TidegateError, StoreError
 */
export async function connect(options) {
  const store = await openStore({ clock });
  /** @type {Set<Listener>} */
  const listeners = new Set();
  const stop = new AbortController();
  const battery = await /** @type {any} */ (navigator).getBattery?.().catch(() => null);
  const readings = () => ({ ...networkReadings(navigator, clock), ...batteryReadings(battery, clock) });
  let queued = true;   // whether the last status had anything left; unknown counts as yes

  const publish = (/** @type {string} */ type, /** @type {any} */ detail) => {
    if (type === 'sync.ended') waker.arm(detail.wakeAtMs);
    if (type === 'status') queued = detail.queueSize > 0;
    tell(listeners, type, detail);
  };
  const link = await WorkerLink.open(options, { clock, publish, readings, signal: stop.signal });

  /** @type {Turns | null} */
  let own = null;
  /** @type {import('../sw/calls.js').Ask} */
  const ask = async (request, until) => {
    const worker = await link?.active();
    if (worker) return link?.ask(worker, request, until);
    own ??= createEngine(options, {
      store, clock, random, publish, readings, base: location.href, locks: webLocks(navigator.locks),
      wasm: () => fetchAsset(new URL(options.wasm ?? new URL(`../dist/${wasmFile()}`, import.meta.url), location.href)),
    });
    return askOf(own)(request, until);
  };
  /** Asks without waiting for what comes of it; a failure has been published. @param {string} type @param {string} trigger */
  const poke = (type, trigger) => ask({ event: { type: /** @type {any} */ (type), trigger } }, 'answers').catch(() => {});
  const waker = new Waker(clock, () => { poke('timer', 'periodic'); });

  const client = await createCalls(options, {
    store, clock, random, ask, listeners, accepted: once(() => Promise.race([poke('accept', 'data-change'), clock.sleep(kPatienceMs, stop.signal)])),
    supported: () => supported(link !== null),
    close: async () => {
      stop.abort();
      waker.close();
      await own?.close();
    },
  });

  const { signal } = stop;
  const tick = () => { if (queued && navigator.onLine) poke('page', 'periodic'); };
  addEventListener('online', () => { poke('online', 'connectivity'); }, { signal });
  document.addEventListener('visibilitychange', () => { if (document.visibilityState === 'visible') tick(); }, { signal });
  for (const change of ['levelchange', 'chargingchange']) battery?.addEventListener(change, tick, { signal });
  every(kTickMs, tick, signal);
  poke('start', 'start');
  return client;
}

/** Runs `work`, and once more after it when it was asked for meanwhile: a thousand saves do not make a thousand messages. @param {() => Promise<unknown>} work */
function once(work) {
  let running = false, again = false;
  return async () => {
    again = true;
    if (running) return;
    running = true;
    while (again) {
      again = false;
      await work();
    }
    running = false;
  };
}

/** @param {number} ms @param {() => void} run @param {AbortSignal} signal */
async function every(ms, run, signal) {
  for (await clock.sleep(ms, signal); !signal.aborted; await clock.sleep(ms, signal)) run();
}

/** @param {boolean} linked */
const supported = (linked) => ({
  serviceWorker: linked, backgroundSync: 'SyncManager' in globalThis, periodicSync: 'PeriodicSyncManager' in globalThis, persistentStore: true,
  webLocks: 'locks' in navigator, webAssembly: typeof WebAssembly !== 'undefined', compression: typeof CompressionStream !== 'undefined',
  battery: 'getBattery' in navigator, networkInformation: 'connection' in navigator,
});
