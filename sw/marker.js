// Notices a database that was emptied or cut behind our back. Browsers do both in silence: a damaged IndexedDB comes back as a new, empty one, and sometimes with
// 700 of 1 000 records (docs/architecture.md, "Storage that goes away"). So a mark lies outside of it, with the id of the installation, the highest sequence
// number ever given, and how many ops were waiting: in Cache Storage, which a page and a worker can both reach and which is not kept in the same files, and in
// Node in a file beside the database. The database carries the same in `state/totals`, written by the transactions that change it, so either kind of loss shows
// as a difference. When the browser clears everything of the origin, both go together, and nothing can tell. A worker that finds a loss may have nobody to tell: the
// mark carries it until a client with a status has shown it.
import { once } from './waker.js';

/** @import { Census, Store } from './store-contract.d.ts' */
/** @import { Clock } from './clock.js' */
/** @import { StorageLoss } from './index.d.ts' */

/** A mark follows what was saved within this time. */
const kMarkMs = 1_000;
const kCache = 'tidegate-marker';

/**
 * @typedef {{install: string, lastSeq: number, ops: number, atMs: number, loss?: StorageLoss}} Mark  `install`: "" where nothing was saved yet; `loss`: found, and not shown yet
 * @typedef {{read: () => Promise<Mark | null>, write: (mark: Mark) => Promise<void>}} Place  where the mark lies; a failure means that there is none
 */

export class Marker {
  /** @type {StorageLoss | null} what was found missing when this client opened */
  loss = null;
  #stop = new AbortController();

  /**
   * @param {Place | null} place @param {Store} store @param {Clock} clock @param {(loss: StorageLoss) => void} onLoss
   * @param {boolean} [shows]  false for a worker, which has no status: what it finds stays in the mark for the next page
   */
  constructor(place, store, clock, onLoss, shows = true) {
    this.place = place;
    this.store = store;
    this.onLoss = onLoss;
    this.clock = clock;
    this.shows = shows;
    /** Soon the mark says what is stored by then. */
    this.note = once(async () => {
      await clock.sleep(kMarkMs, this.#stop.signal);
      if (!this.#stop.signal.aborted) await this.#mark().catch(() => {});
    });
  }

  async #mark() {
    const loss = this.shows ? null : (await this.place?.read())?.loss;   // one that was shown meanwhile does not come back
    await this.#write((await this.store.census()).totals, loss);
  }

  /** Compares once, and then marks what is there. @returns {Promise<StorageLoss | null>} never rejects */
  async check() {
    try {
      const mark = await this.place?.read().catch(() => null) ?? null;
      const census = await this.store.census();
      this.loss = lossOf(mark, census, this.clock.now()) ?? mark?.loss ?? null;
      if (this.loss) this.onLoss(this.loss);
      await this.#write(census.totals, this.shows ? null : this.loss);
    } catch { /* a store that cannot be read says so to whoever asks it for something */ }
    return this.loss;
  }

  /** @param {Census['totals']} totals @param {StorageLoss | null} [loss] */
  async #write({ install = '', lastSeq = 0, ops }, loss) {
    await this.place?.write({ install, lastSeq, ops, atMs: this.clock.now(), ...(loss && { loss }) });
  }

  /** The last mark is of what is there now. */
  async close() {
    this.#stop.abort();
    await this.#mark().catch(() => {});
  }
}

/** What is missing, or null. @param {Mark | null} mark @param {Census} census @param {number} nowMs @returns {StorageLoss | null} */
export function lossOf(mark, { rows, totals }, nowMs) {
  const { install, lastSeq = 0, ops } = totals;
  if (mark?.install && install !== mark.install) return { kind: 'emptied', lostOps: mark.ops, lastSeenMs: mark.atMs, foundMs: nowMs };
  if (mark && lastSeq < mark.lastSeq) return { kind: 'truncated', lostOps: mark.lastSeq - lastSeq, lastSeenMs: mark.atMs, foundMs: nowMs };
  if (rows < ops) return { kind: 'truncated', lostOps: ops - rows, lastSeenMs: mark?.atMs ?? nowMs, foundMs: nowMs };
  return null;
}

/** The mark of a page or worker. @param {CacheStorage | undefined} caches @param {string} base @returns {Place | null} */
export function markInCache(caches, base) {
  if (!caches) return null;
  const url = new URL('tidegate-marker', base).href;
  return {
    read: async () => (await (await caches.match(url, { cacheName: kCache }))?.json()) ?? null,
    write: async (mark) => (await caches.open(kCache)).put(url, new Response(JSON.stringify(mark))),
  };
}
