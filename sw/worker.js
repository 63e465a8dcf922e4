// The service worker's half: listens, reads, drains. Call createSyncWorker() while the worker's script is evaluated, never later: a browser that starts a
// worker for an event looks for its listener then. The only file that names `self`.
import { clock } from './clock.js';
import { createEngine } from './engine.js';
import { TidegateError } from './errors.js';
import { webLocks } from './locks.js';
import { subscribe, tell } from './listeners.js';
import { Marker, markInCache } from './marker.js';
import { answerManagement, managementCall } from './management.js';
import { bucket, isHint, packError, readRequest } from './messages.js';
import { persisted, statusWithoutCore, supportedBy } from './platform.js';
import { random } from './random.js';
import { notifier } from './notify.js';
import { networkReadings } from './readings.js';
import { ShellCache } from './shell-cache.js';
import { openStore } from './store.js';
import { fetchAsset, reaching } from './transport.js';

/** @import { Listener, SyncWorker, WorkerOptions } from './index.d.ts' */
/** @import { EventIn, ReadingsIn } from '../wasm/protocol.js' */
/** @import { Request as Asking } from './calls.js' */
/** @import { Turns } from './turns.js' */

/** The one tag. Two tags would fire at once and gain nothing. */
export const kSyncTag = 'tidegate';
/** Chromium ends a sync event after three minutes and any other after five; we stop well before, so that nothing is cut in the middle. */
const kSyncEventMs = 165_000;
const kOtherEventMs = 240_000;

/** At the end of its event the tag is not registered again more often than this. */
const kRearmMs = 1_000;

/** What the browser is asked for as the pace of periodic sync. It grants less: twelve hours at best, and nothing unless the app is installed. */
const kPeriodicMs = 900_000;

/** Messages of all pages together; one that comes beyond is refused. A page sends one per call and one per burst of saves. */
const kMessages = { perSecond: 100, burst: 500 };
const kTooMany = new TidegateError('limit', '', `expected at most ${kMessages.perSecond} messages per second, got more`);

/** @type {any} */
const scope = self;

/** @param {WorkerOptions} options @returns {SyncWorker} */
export function createSyncWorker(options) {
  const base = scope.registration.scope;
  const { syncEventMs = kSyncEventMs } = options;
  const endpoint = new URL(options.endpoint, base);
  const wasm = new URL(options.wasm ?? new URL('../dist/tidegate.wasm', import.meta.url), base);
  const shell = new ShellCache({ caches: scope.caches, scope: base, options: options.shell, wasm, fetchAsset });
  /** @type {ReadingsIn} what pages told us last; a worker has no battery */
  let told = {};
  /** @type {boolean | undefined} whether a page is open, seen or not: one in the background still waits for what it saved; unknown where the browser does not say */
  let foreground;
  let firing = 0;
  /** Messages about new ops that came while the tag fired, and whose drains go on. */
  let unarmed = 0, rearmedAtMs = 0;
  const allowed = bucket(kMessages, clock);

  const notify = notifier({ navigator: scope.navigator, registration: scope.registration, permission: () => scope.Notification?.permission }, options.notify);
  const pages = () => scope.clients.matchAll({ type: 'window', includeUncontrolled: true });
  /** @type {Set<Listener>} */
  const listeners = new Set();
  const publish = (/** @type {string} */ type, /** @type {any} */ detail) => {
    notify(type, detail);
    tell(listeners, type, detail);
    const told = (/** @type {any[]} */ pages) => { for (const page of pages) page.postMessage({ tidegate: 1, type, detail }); };
    pages().then(told, () => {});
  };

  /** @type {Promise<Turns> | null} opened by the first event that needs it; a failure is not remembered */
  let opening = null;
  const open = () => {
    if (opening) return opening;
    opening = openStore({ clock }).then((raw) => {
      const store = options.encryption?.(raw, { publish }) ?? raw;
      const marker = new Marker(markInCache(scope.caches, base), store, clock, (loss) => publish('sync.storage-lost', loss), false);
      marker.check();
      return createEngine({ ...options, endpoint }, {
        store, clock, random, base, pages, marker, locks: webLocks(scope.navigator.locks), wasm: () => shell.core(),
        publish: (type, detail) => {
          if (type === 'sync.ended') marker.note();
          publish(type, detail);
        },
        readings: () => ({ ...told, ...networkReadings(scope.navigator, clock), foreground }),
      });
    });
    opening.catch(() => { opening = null; });
    return opening;
  };

  /** Hands a request to the drain, with the time this event may last. @param {Asking} request @param {number} [forMs] */
  const begin = async (request, forMs = kOtherEventMs) => {
    const look = pages().then((/** @type {any[]} */ all) => { foreground = all.length > 0; }, () => {});
    const [turns] = await Promise.all([open(), look]);
    return turns.ask({ ...request, event: { ...(request.event ?? { type: 'message' }), deadlineMs: clock.now() + forMs } });
  };

  /** Rejects when the core wants the browser to fire this event again, and when nothing could be drained at all. @param {EventIn} event */
  const drain = async (event) => {
    const end = await (await begin({ event }, syncEventMs)).end;
    if (end.reject && !event.lastChance) throw end.error ?? new Error('operations are left to send');
  };

  /** Answers who asks at once and stays alive for the drain. @param {any} source @param {NonNullable<ReturnType<typeof readRequest>>} message */
  const serve = async (source, { id, request, until }) => {
    const answer = (/** @type {any} */ content) => source.postMessage({ tidegate: 1, id, ...content });
    try {
      const asked = await begin(request);
      if (until === 'answers') answer({ value: await asked.answers });
      const end = await asked.end;
      if (until === 'end') answer(end.error ? { error: packError(end.error) } : { value: end });
      if (end.reject) await armSync();
    } catch (error) {
      answer({ error: packError(error) });
    }
  };

  /**
   * Never while the tag fires: Chromium would fire it again at once, for ever. Where the tag is registered already nothing happens; getTags() is not asked, because
   * it names a tag whose event has just ended and that goes the next moment.
   */
  const armSync = async () => {
    if (firing === 0) await scope.registration.sync?.register(kSyncTag);   // throws without a window or permission: then pages and their timers must do
  };

  /** @type {Promise<unknown> | undefined} asked for once in the life of a worker, because the app may have been installed since the last */
  let periodic;
  const armPeriodic = () => (periodic ??= scope.registration.periodicSync?.register(kSyncTag, { minInterval: kPeriodicMs }).catch(() => {}));

  /** The tag goes with its event; whose drain goes on is without one. The browser fires this one at once, so that it is not done for each of a row of saves. */
  const rearm = async () => {
    if (unarmed === 0 || clock.now() - rearmedAtMs < kRearmMs) return;
    rearmedAtMs = clock.now();
    await armSync().catch(() => {});
  };

  /**
   * What a page asks, or the worker's own client (sw/worker-client.js). Resolves when all that it began is over.
   * @param {any} source @param {NonNullable<ReturnType<typeof readRequest>>} message
   */
  const hear = (source, message) => {
    const accepted = message.request.event?.type === 'accept';
    const late = accepted && firing > 0 ? 1 : 0;
    unarmed += late;
    return Promise.allSettled([accepted && armSync(), accepted && armPeriodic(), serve(source, message).finally(() => { unarmed -= late; })]);
  };

  scope.addEventListener('install', (/** @type {any} */ event) => {
    event.waitUntil(shell.fill().then(() => options.skipWaiting && scope.skipWaiting()));
  });

  scope.addEventListener('activate', (/** @type {any} */ event) => {
    event.waitUntil(Promise.all([shell.dropOlder(), scope.clients.claim(), armPeriodic()]));
  });

  scope.addEventListener('sync', (/** @type {any} */ event) => {
    if (event.tag !== kSyncTag) return;
    firing += 1;
    const drained = drain({ type: 'sync', trigger: 'connectivity', tag: event.tag, lastChance: event.lastChance }).finally(() => { firing -= 1; });
    event.waitUntil(drained.then(rearm));
  });

  scope.addEventListener('periodicsync', (/** @type {any} */ event) => {
    if (event.tag === kSyncTag) event.waitUntil(drain({ type: 'periodicsync', trigger: 'periodic', tag: event.tag }));
  });

  scope.addEventListener('push', (/** @type {any} */ event) => {   // the app's own pushes are its own affair
    if (isHint(event.data)) event.waitUntil(drain({ type: 'push', trigger: 'push' }).catch(() => {}));
  });

  scope.addEventListener('online', (/** @type {any} */ event) => {   // Firefox and WebKit; Chromium never fires it in a worker
    const drained = drain({ type: 'online', trigger: 'connectivity' }).catch(() => {});
    event.waitUntil?.(drained);
  });

  scope.addEventListener('message', (/** @type {any} */ event) => {
    const message = event.origin === scope.location.origin && event.source?.type === 'window' ? readRequest(event.data) : null;
    if (!message) return;
    if (!allowed()) return event.source.postMessage({ tidegate: 1, id: message.id, error: packError(kTooMany) });
    told = message.readings;
    event.waitUntil(hear(event.source, message));
  });

  scope.addEventListener('fetch', (/** @type {any} */ event) => {
    const { request } = event;
    const call = managementCall(request, endpoint);
    if (call !== null) {
      return event.respondWith(answerManagement(call, request, async (asking) => {
        const asked = await begin(asking);
        event.waitUntil(asked.end);
        return asked.answers;
      }, reaching(endpoint, clock), async (reason) => {
        const { store, marker } = (await open()).deps;
        const supported = supportedBy(scope, { serviceWorker: true, persistentStore: true, core: !reason, persisted: await persisted(scope.navigator) });
        return { ...(reason && await statusWithoutCore(reason, store)), supported, storage: marker?.loss };
      }));
    }
    if (request.url.startsWith(endpoint.href.replace(/\/?$/, '/'))) return;
    const file = shell.match(request);
    if (file) event.respondWith(shell.answer(file, request));
  });

  return { subscribe: (listener) => subscribe(listeners, listener), options, endpoint, open, hear };
}
