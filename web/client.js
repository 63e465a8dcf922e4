// The page's half. Saving writes to the store at once, with or without a worker. Everything else is asked of whoever drains: the service worker whenever one
// is active, and this page where there is none.
import { createCalls } from '../sw/calls.js';
import { clock } from '../sw/clock.js';
import { random } from '../sw/random.js';
import { Waker, every, kTickMs, once } from '../sw/waker.js';
import { batteryReadings, idleReadings, networkReadings, pressureReadings } from '../sw/readings.js';
import { webLocks } from '../sw/locks.js';
import { tell } from '../sw/listeners.js';
import { fetchAsset, reaching } from '../sw/transport.js';
import { openStore } from '../sw/store.js';
import { noPlatform, persisted, supportedBy, watchingCore } from '../sw/platform.js';
import { Listening } from '../sw/listening.js';
import { Account, ticketOf } from '../sw/account.js';
import { WorkerLink } from './worker-link.js';
import { Marker, markInCache } from '../sw/marker.js';
import { Tasks } from '../sw/task-runs.js';
import { askOf, createEngine } from '../sw/engine.js';

/** @import { Client, ConnectOptions, Listener } from '../sw/index.d.ts' */
/** @import { Request } from '../sw/calls.js' */
/** @import { Turns } from '../sw/turns.js' */

/** How long news of one save waits for the answer to the news before it. */
const kPatienceMs = 1_000;
/** Who did nothing for this long is away; the shortest that browsers grant. */
const kIdleMs = 60_000;

/**
 * Opens the outbox, and registers `options.worker` where one is given. A worker that cannot be registered is no error: the page drains, and
 * isSupported().serviceWorker says so. Where nothing can be kept at all (no IndexedDB: a page that is rendered on a server) every call of the client rejects "unsupported".
 * @param {ConnectOptions} options @returns {Promise<Client>} throws TidegateError, StoreError
 */
export async function connect(options) {
  if (!globalThis.indexedDB) return noPlatform();
  const raw = await openStore({ clock });
  /** @type {Set<Listener>} */
  const listeners = new Set();
  const stop = new AbortController();
  const battery = await /** @type {any} */ (navigator).getBattery?.().catch(() => null);
  const idle = await idleDetector(stop.signal).catch(() => null);
  const pressure = watchPressure(stop.signal);
  const readings = () => ({ ...networkReadings(navigator, clock), ...batteryReadings(battery, clock), ...idleReadings(idle, clock), ...pressureReadings(pressure, document) });
  const { storage } = navigator;
  let kept = await persisted(navigator);
  if (!kept && options.persist !== false) storage?.persist?.().then((granted) => { kept = granted; }, () => {});
  let queued = true;   // whether the last status had anything left; unknown counts as yes

  const { owner = '', hints, encryption, pull = hints !== undefined } = options;
  const account = new Account(owner, await ticketOf(raw, clock));
  const tasks = new Tasks();
  const locks = webLocks(navigator.locks);
  const { signal } = stop;
  const endpoint = new URL(options.endpoint, location.href);
  const waker = new Waker(clock, () => { poke('timer', 'periodic'); });
  const hint = once(() => poke('message', 'push', [{ type: 'hint', value: { owner } }]));
  const listening = new Listening(hints, { endpoint, owner, authorize: options.authorize, hint, clock, random }, { account, signal, locks: webLocks(navigator.locks, `tidegate-hints:${owner}`), publish: (type, detail) => publish(type, detail) });
  /** @type {Turns | null} */
  let own = null;
  const publish = (/** @type {string} */ type, /** @type {any} */ detail) => {
    // Another tab has something to say that may stop this one's drain, and waits for its turn.
    if (type === 'yield') return void (own?.status?.isActive && own.ask({ commands: [{ type: 'cancelSync' }] }));
    if (type === 'sync.ended') waker.arm(detail.wakeAtMs);
    if (type === 'status') {
      queued = detail.queueSize > 0;
      listening.heed(detail);
    }
    if (account.hears(type, detail)) tell(listeners, type, detail);
  };
  const store = encryption?.(raw, { owner, publish }) ?? raw;
  const tabs = openTabs(publish);
  const link = await WorkerLink.open(options, { clock, publish, readings, signedIn: () => (account.away ? null : owner), authorize: options.authorize, signal });

  const watched = watchingCore(account.introduced(async (request, until) => {
    const worker = await link?.active();
    if (worker) return link?.ask(worker, request, until);
    if (request.commands?.some(({ type, value }) => type === 'pause' || type === 'signOut' || (type === 'settings' && value))) tabs.tell('yield');
    own ??= createEngine({ ...options, tasks: tasks.with(options.tasks) }, {
      store, clock, random, readings, base: location.href,
      publish: (type, detail) => {
        publish(type, detail);
        tabs.tell(type, detail);
      }, locks,
      wasm: () => fetchAsset(new URL(options.wasm ?? new URL('../dist/tidegate.wasm', import.meta.url), location.href)),
    });
    return askOf(own)(request, until);
  }));
  const { ask } = watched;
  /** Asks without waiting for what comes of it; a failure has been published. @param {string} type @param {string} trigger */
  const poke = (type, trigger, commands = /** @type {any[]} */ ([])) => ask({ event: { type: /** @type {any} */ (type), trigger }, commands }, 'answers').catch(() => {});

  const marker = new Marker(markInCache(globalThis.caches, location.href), store, clock, (loss) => publish('sync.storage-lost', loss));
  const drainSoon = once(() => Promise.race([poke('accept', 'data-change'), clock.sleep(kPatienceMs, signal)]));

  const client = await createCalls(options, {
    store, clock, random, ask, account, locks, listeners, marker,
    accepted: (documents) => {
      queued = true;   // also where nobody hears of it
      tabs.tell('sync.documents', { owner, documents });
      drainSoon();
    },
    supported: () => supportedBy(globalThis, { serviceWorker: link !== null, persistentStore: true, persisted: kept, core: watched.seen.core }),
    tasks, reach: reaching(endpoint, clock),
    close: async () => {
      stop.abort();
      waker.close();
      await own?.close();
      tabs.close();
    },
  });

  for (const type of ['freeze', 'resume']) document.addEventListener(type, () => { listening.freeze(type === 'freeze'); }, { signal });
  const tick = () => { if ((queued || pull) && navigator.onLine) poke('page', 'periodic'); };
  addEventListener('online', () => { poke('online', 'connectivity'); }, { signal });
  document.addEventListener('visibilitychange', () => { if (document.visibilityState === 'visible') tick(); }, { signal });
  for (const change of ['levelchange', 'chargingchange']) battery?.addEventListener(change, tick, { signal });
  idle?.addEventListener('change', tick, { signal });
  every(clock, kTickMs, tick, signal);
  poke('start', 'start', [...(pull ? [{ type: 'pull', value: { owner } }] : []), { type: 'status' }]).then((answers) => { if (answers) listening.heed(answers.at(-1).value); });
  return client;
}

/**
 * The other pages of this origin: what one saves, or drains without a worker, the others hear. (A worker tells all pages itself.)
 * @param {(type: string, detail: any) => void} hear
 */
function openTabs(hear) {
  const channel = typeof BroadcastChannel === 'undefined' ? null : new BroadcastChannel('tidegate');
  channel?.addEventListener('message', ({ data }) => { if (data?.tidegate === 1 && typeof data.type === 'string') hear(data.type, data.detail); });
  return {
    /** @param {string} type @param {any} [detail] */
    tell: (type, detail) => channel?.postMessage({ tidegate: 1, type, detail }),
    close: () => channel?.close(),
  };
}

/** What is known of the processor's load from now on; nothing where the engine does not tell it, or the page's policy refuses it. @param {AbortSignal} signal */
function watchPressure(signal) {
  /** @type {{state?: string}} */
  const seen = {};
  const { PressureObserver } = /** @type {any} */ (globalThis);
  if (PressureObserver) {
    const observer = new PressureObserver((/** @type {any[]} */ records) => { seen.state = records.at(-1).state; });
    signal.addEventListener('abort', () => observer.disconnect());
    observer.observe('cpu').catch(() => {});
  }
  return seen;
}

/** Where the person was asked before and agreed; nobody is asked here. Rejects where the engine knows nothing of it. @param {AbortSignal} signal */
async function idleDetector(signal) {
  const { state } = await navigator.permissions.query({ name: /** @type {any} */ ('idle-detection') });
  if (state !== 'granted') return null;
  const detector = new /** @type {any} */ (globalThis).IdleDetector();
  await detector.start({ threshold: kIdleMs, signal });
  return detector;
}
