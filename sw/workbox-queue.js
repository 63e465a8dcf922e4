// Queue and BackgroundSyncPlugin of workbox-background-sync 7.4.1, with what it loses kept: an entry stays in the store while it is sent and goes only when the
// server took it. docs/workbox.md lists every difference one can see, and a test reads that list.
//
// No WebAssembly here: the answer classes are workbox's order ("one after the other, stop at the first failure"), which leaves nothing to plan.
import { clock } from './clock.js';
import { random } from './random.js';
import { bury } from './workbox-dead.js';
import { WorkboxError, assertInstance, assertType } from './workbox-errors.js';
import { StorableRequest } from './workbox-request.js';
import { QueueStore, ownOf } from './workbox-store.js';

/** @typedef {import('./workbox.d.ts').QueueOptions} QueueOptions */
/** @typedef {import('./workbox.d.ts').QueueEntry} QueueEntry */
/** @typedef {import('./workbox-store.js').StoredEntry} StoredEntry */
/** @typedef {import('./workbox-dead.js').DeadLetter} DeadLetter */

const kTagPrefix = 'workbox-background-sync';
const kMaxRetentionMinutes = 60 * 24 * 7;
/** A server that never answers must not take the three minutes that a sync event has. workbox waits for ever. */
export const kRequestTimeoutMs = 60_000;
/** Answers that say "not now": RFC 9110 (408), RFC 8470 (425), RFC 6585 (429). */
const kNotNow = [408, 425, 429];

/** @type {any} */
const scope = self;
/** @type {Map<string, Queue>} */
const queues = new Map();
/** @type {Set<string>} */
const queueNames = new Set();

export class Queue {
  _syncInProgress = false;
  _requestsAddedDuringSync = false;
  /** @type {Promise<void> | null} the replay that runs in this worker */
  _replaying = null;

  /** @param {string} name @param {QueueOptions} [options] */
  constructor(name, { forceSyncFallback, onSync, maxRetentionTime, idempotencyOrigins = [] } = {}) {
    if (queueNames.has(name)) throw new WorkboxError('duplicate-queue-name', { name });
    queueNames.add(name);
    queues.set(name, this);
    this._name = name;
    this._onSync = onSync || this.replayRequests;
    this._maxRetentionTime = maxRetentionTime || kMaxRetentionMinutes;
    this._forceSyncFallback = Boolean(forceSyncFallback);
    this._idempotencyOrigins = [scope.location?.origin, ...idempotencyOrigins.map((origin) => new URL(origin).origin)];
    this._queueStore = new QueueStore(name);
    this._addSyncListener();
  }

  get name() {
    return this._name;
  }

  /** @param {QueueEntry} entry */
  async pushRequest(entry) {
    await this._addRequest(entry, 'push');
  }

  /** @param {QueueEntry} entry */
  async unshiftRequest(entry) {
    await this._addRequest(entry, 'unshift');
  }

  /** Removes the last entry and returns it. @returns {Promise<QueueEntry | undefined>} */
  async popRequest() {
    return this._removeRequest('pop');
  }

  /** Removes the first entry and returns it: whoever takes it must put it back when it could not be sent. @returns {Promise<QueueEntry | undefined>} */
  async shiftRequest() {
    return this._removeRequest('shift');
  }

  /** @returns {Promise<QueueEntry[]>} */
  async getAll() {
    const live = [];
    for (const entry of await this._queueStore.getAll()) {
      if (this._isExpired(entry)) {
        await this._bury(entry, 'expired');
        await this._queueStore.deleteEntry(entry.id);
      } else {
        live.push(toQueueEntry(entry));
      }
    }
    return live;
  }

  async size() {
    return this._queueStore.size();
  }

  /**
   * Sends everything, in order, one after the other. Rejects with "queue-replay-failed" at the first request that could not be delivered; it and all after it
   * stay where they are. Called while a replay runs, here or in another worker of the origin, it waits for that one.
   */
  replayRequests() {
    this._replaying ??= alone(`${kTagPrefix}:${this._name}`, () => this._replay()).finally(() => { this._replaying = null; });
    return this._replaying;
  }

  async registerSync() {
    if (!this._hasSync()) return;
    try {
      await scope.registration.sync.register(`${kTagPrefix}:${this._name}`);
    } catch {
      void this._replayUnasked();   // denied, or no window: nothing would ever wake us, so now is as good as any time
    }
  }

  static get _queueNames() {
    return queueNames;
  }

  /** @param {QueueEntry} entry @param {'push' | 'unshift'} operation */
  async _addRequest(entry, operation) {
    assertType(entry, 'object', `Queue.${operation}Request(entry)`);
    const { request, metadata, timestamp = clock.now() } = entry;
    assertInstance(request, Request, `Queue.${operation}Request(entry.request)`);
    const requestData = (await StorableRequest.fromRequest(request.clone())).toObject();
    await this._queueStore[`${operation}Entry`]({ requestData, timestamp, ...(metadata ? { metadata } : {}) });
    await this._askForSync();
  }

  /** Never while the tag fires: the browser would fire it again at once, for ever. The end of the event does it. */
  async _askForSync() {
    if (this._syncInProgress) this._requestsAddedDuringSync = true;
    else await this.registerSync();
  }

  /** @param {'pop' | 'shift'} operation @returns {Promise<QueueEntry | undefined>} */
  async _removeRequest(operation) {
    const entry = await this._queueStore[`${operation}Entry`]();
    if (!entry) return undefined;
    if (!this._isExpired(entry)) return toQueueEntry(entry);
    await this._bury(entry, 'expired');
    return this._removeRequest(operation);
  }

  async _replay() {
    const db = this._queueStore._queueDb;
    const next = (/** @type {number} */ doneId) => db.advance(this._name, doneId, random.uuid(clock.now()));
    for (let entry = await db.advance(this._name, undefined, random.uuid(clock.now())); entry; entry = await next(entry.id)) {
      if (this._isExpired(entry)) await this._bury(entry, 'expired');
      else await this._send(entry);
    }
  }

  /** Resolves when the entry may go: delivered, or kept among the dead letters. @param {StoredEntry & {tidegate: {key: string, attempts: number}}} entry */
  async _send(entry) {
    let request;
    try {
      request = this._dress(new StorableRequest(entry.requestData).toRequest(), entry.tidegate.key);
    } catch {
      return this._bury(entry, 'unreadable');
    }
    let response;
    try {
      response = await fetch(request);
    } catch (error) {
      return this._failReplay({ name: this._name }, error);
    }
    const { status, type, ok } = response;
    if (ok || type === 'opaque') return undefined;   // an opaque answer cannot be read; it is one
    if (status >= 400 && status < 500 && !kNotNow.includes(status)) return this._bury(entry, 'refused', status);
    return this._failReplay({ name: this._name, status });
  }

  /** Asks for another sync first: the last event of the browser's series would else be the last for ever. @param {object} details @param {unknown} [cause] @returns {Promise<never>} */
  async _failReplay(details, cause) {
    await this._askForSync();
    throw new WorkboxError('queue-replay-failed', details, cause);
  }

  /**
   * The stored request as it leaves. A redirect is not followed: it turns POST into GET, and a login page would pass for success.
   * The key makes a preflight necessary across origins, so that other origins get it only when asked. @param {Request} request @param {string} key
   */
  _dress(request, key) {
    const signal = AbortSignal.timeout(kRequestTimeoutMs);
    if (request.mode === 'no-cors') return new Request(request, { signal });   // may neither carry the header nor refuse redirects
    const wanted = this._idempotencyOrigins.includes(new URL(request.url).origin) && !request.headers.has('idempotency-key');
    if (wanted) request.headers.set('idempotency-key', `"${key}"`);   // draft-ietf-httpapi-idempotency-key-header: a structured string, quoted
    return new Request(request, { signal, redirect: 'manual' });
  }

  /** @param {StoredEntry} entry @param {DeadLetter['reason']} reason @param {number} [status] */
  async _bury(entry, reason, status) {
    const { key = random.uuid(clock.now()), attempts = 0 } = ownOf(entry) ?? {};
    const letter = { key, queueName: this._name, reason, attempts, entry, ...(status === undefined ? {} : { status }) };
    const gone = await bury(letter);
    tellOf(letter, reason === 'refused' ? 'server' : 'internal', kSentences[reason]);
    for (const old of gone) tellOf(old, 'quota', 'It was the oldest of too many dead letters, and is forgotten');
  }

  /** @param {{timestamp: number}} entry */
  _isExpired({ timestamp }) {
    return clock.now() - timestamp > this._maxRetentionTime * 60_000;
  }

  _hasSync() {
    return 'sync' in scope.registration && !this._forceSyncFallback;
  }

  _addSyncListener() {
    if (this._hasSync()) {
      scope.addEventListener('sync', (/** @type {any} */ event) => {
        if (event.tag === `${kTagPrefix}:${this._name}`) event.waitUntil(this._sync(event.lastChance));
      });
      return;
    }
    void this._replayUnasked();   // each start of the worker is a chance
    scope.addEventListener('online', (/** @type {any} */ event) => {   // Firefox and WebKit fire it in a worker
      const done = this._replayUnasked();
      event.waitUntil?.(done);
    });
  }

  /** One sync event. @param {boolean} lastChance */
  async _sync(lastChance) {
    this._syncInProgress = true;
    let failed = true;
    try {
      await this._onSync({ queue: this });
      failed = false;
    } finally {
      // What came during the event needs an event of its own. After a failure the browser retries by itself, except after the last time.
      if (this._requestsAddedDuringSync && (!failed || lastChance)) await this.registerSync();
      this._syncInProgress = false;
      this._requestsAddedDuringSync = false;
    }
  }

  /** A sync without its event, where there are none. Never rejects: nobody would hear it. */
  async _replayUnasked() {
    if (this._syncInProgress) return;
    this._syncInProgress = true;
    try {
      await this._onSync({ queue: this });
    } catch {
      // What could not be sent is in the store, for the next chance.
    } finally {
      this._syncInProgress = false;
      this._requestsAddedDuringSync = false;
    }
  }
}

export class BackgroundSyncPlugin {
  /** @param {string} name @param {QueueOptions} [options] */
  constructor(name, options) {
    this._queue = new Queue(name, options);
    this.fetchDidFail = async (/** @type {{request: Request}} */ { request }) => { await this._queue.pushRequest({ request }); };
  }
}

/** Replays every queue of this worker: for a page's message, a push, an app that came to the front. Resolves when all came to their end, however it was. */
export const replayAll = async () => { await Promise.all([...queues.values()].map((queue) => queue._replayUnasked())); };

/** @param {string} name */
export const queueOf = (name) => queues.get(name);

const kSentences = { refused: 'The server refused the request', expired: 'The request was kept too long', unreadable: 'The stored request cannot be made again' };

/** @param {StoredEntry} entry @returns {QueueEntry} */
function toQueueEntry({ requestData, timestamp, metadata }) {
  return { request: new StorableRequest(requestData).toRequest(), timestamp, ...(metadata ? { metadata } : {}) };
}

/** Tells every page, as the worker of Tidegate does. @param {Omit<DeadLetter, 'diedAt'>} letter @param {string} errorClass @param {string} message */
function tellOf({ queueName, key, status, entry: { requestData: { url, method = 'GET' } } }, errorClass, message) {
  const told = { tidegate: 1, type: 'sync.failed', detail: { class: errorClass, message, queueName, key, url, method, status } };
  const post = (/** @type {any[]} */ pages) => { for (const page of pages) page.postMessage(told); };
  scope.clients?.matchAll({ type: 'window', includeUncontrolled: true }).then(post, () => {});
}

/** One at a time over all workers of the origin: during an update two of them run. @template T @param {string} name @param {() => Promise<T>} work @returns {Promise<T>} */
const alone = (name, work) => (scope.navigator?.locks ? scope.navigator.locks.request(name, work) : work());
