// The page's line to its service worker: registers it, asks it, hears what it tells.
import { TidegateError, closedError } from '../sw/errors.js';
import { unpackError } from '../sw/messages.js';

/** @import { Authorize, ConnectOptions } from '../sw/index.d.ts' */
/** @import { Clock } from '../sw/clock.js' */
/** @import { Request } from '../sw/calls.js' */
/** @import { ReadingsIn } from '../wasm/protocol.js' */

/** How long a worker that is being installed is waited for before the page drains by itself. */
const kInstallMs = 10_000;
/** A worker that was stopped in the middle never answers; a drain may last as long as its event. */
const kAnswerMs = { answers: 60_000, end: 300_000 };

/** @typedef {{clock: Clock, publish: (type: string, detail: any) => void, readings: () => ReadingsIn, signal: AbortSignal,
 *   signedIn: () => string | null, authorize?: Authorize}} LinkDeps  signedIn: the owner of this page, while he is signed in */

export class WorkerLink {
  /** @type {Map<number, (message: any) => void>} */
  #asked = new Map();
  #nextId = 1;
  #waited = false;

  /**
   * The link to `options.worker`; null where there is none or it could not be registered.
   * @param {ConnectOptions} options @param {LinkDeps} deps
   */
  static async open({ worker, scope }, deps) {
    if (!worker || !('serviceWorker' in navigator)) return null;
    try {
      const registration = await navigator.serviceWorker.register(worker, { type: 'module', ...(scope === undefined ? {} : { scope: String(scope) }) });
      return new WorkerLink(registration, deps);
    } catch (error) {
      deps.publish('sync.no-worker', { message: String(/** @type {any} */ (error)?.message ?? error) });
      return null;
    }
  }

  /** @param {ServiceWorkerRegistration} registration @param {LinkDeps} deps */
  constructor(registration, deps) {
    this.registration = registration;
    this.deps = deps;
    navigator.serviceWorker.addEventListener('message', (event) => this.#hear(event), { signal: deps.signal });
    navigator.serviceWorker.startMessages();
    deps.signal.addEventListener('abort', () => {
      for (const answer of this.#asked.values()) answer({ error: closedError() });
    });
  }

  /** The active worker; on the very first visit it is waited for, once. @returns {Promise<ServiceWorker | null>} */
  async active() {
    const { clock, signal } = this.deps;
    const ready = () => (this.registration.active?.state === 'activated' ? this.registration.active : null);
    const coming = this.registration.installing ?? this.registration.waiting ?? this.registration.active;
    if (ready() || !coming || this.#waited) return ready();
    const patience = new AbortController();
    const changed = () => { if (coming.state === 'activated' || coming.state === 'redundant') patience.abort(); };
    coming.addEventListener('statechange', changed);
    signal.addEventListener('abort', () => patience.abort(), { signal: patience.signal });
    changed();
    await clock.sleep(kInstallMs, patience.signal);
    patience.abort();
    coming.removeEventListener('statechange', changed);
    this.#waited = true;
    return ready();
  }

  /** @param {ServiceWorker} worker @param {Request} request @param {'answers' | 'end'} until @returns {Promise<any>} */
  ask(worker, request, until) {
    const { clock, readings, signal } = this.deps;
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(closedError());
      const cancel = clock.timer(kAnswerMs[until], () => this.#asked.get(id)?.({
        error: new TidegateError('internal', '', `the service worker did not answer within ${kAnswerMs[until]} ms`),
      }));
      this.#asked.set(id, ({ value, error }) => {
        cancel();
        this.#asked.delete(id);
        if (error) reject(error instanceof Error ? error : unpackError(error));
        else resolve(value);
      });
      worker.postMessage({ tidegate: 1, id, until, request, readings: readings() });
    });
  }

  /** @param {MessageEvent} event */
  #hear({ data, ports }) {
    if (data?.tidegate !== 1) return;
    if (data.type === 'authorize') this.#answer(data.detail, ports[0]);
    else if (data.id !== undefined) this.#asked.get(data.id)?.(data);
    else if (typeof data.type === 'string') this.deps.publish(data.type, data.detail);
  }

  /** The worker asks for an owner's headers (sw/page-credentials.js): those of our own, while he is signed in, or none. @param {any} detail @param {MessagePort | undefined} port */
  async #answer(detail, port) {
    const { authorize, signedIn } = this.deps;
    const say = (/** @type {any} */ value) => port?.postMessage({ tidegate: 1, value });
    try {
      say(detail?.owner === signedIn() ? await authorize?.(detail.owner, { refresh: detail.refresh === true }) : null);
    } catch {
      say(null);   // it has none, or what it has cannot be sent
    }
    port?.close();
  }
}
