// Time and what happens in it. The clock is virtual: it moves when nothing is left to do at this moment, and then to the next event. What really takes time here (a transaction
// of fake-indexeddb, gzip) counts as work of this moment, so a history is the same on every machine.
import { hash } from './chance.js';

/** Turns of the event loop without any work after which nothing more can come: a promise that resolves needs one. */
const kQuietTurns = 3;
/** An event loop that turns this often without coming to rest is a loop of the code under test. */
const kMostTurns = 200_000;

export class World {
  nowMs = 1_750_000_000_000;
  /** @type {{atMs: number, n: number, run: () => void}[]} a binary heap by time, then order */
  #events = [];
  #count = 0;
  #working = 0;
  /** @type {{order: string, go: () => void}[]} requests that left at this moment; in order of their names, because gzip ends in any order */
  #arriving = [];
  /** @type {{invariant: number, text: string, atMs: number} | null} the first one: what follows may be its consequence */
  violation = null;
  logHash = hash('');
  /** @type {((line: string) => void) | null} */
  trace = null;

  /** @param {import('./chance.js').Dice} dice */
  constructor(dice) {
    this.dice = dice;
    this.startMs = this.nowMs;
    this.counts = {
      accepted: 0, attempts: 0, requests: 0, steps: 0, commits: 0, effects: 0, conflicts: 0, refusals: 0,
      crashes: 0, freezes: 0, takeovers: 0, fenced: 0, stale: 0, lostAnswers: 0, cuts: 0, quotaAborts: 0, traps: 0,
    };
  }

  /** @param {number} invariant @param {string} text */
  fail(invariant, text) {
    this.violation ??= { invariant, text, atMs: this.nowMs - this.startMs };
    this.trace?.(`VIOLATION ${invariant}: ${text}`);
  }

  /** What has to be the same the next time. @param {string} text */
  log(text) {
    this.logHash = hash(text, this.logHash);
  }

  /** @param {number} ms @param {() => void} run */
  in(ms, run) {
    const event = { atMs: this.nowMs + Math.max(0, ms), n: this.#count++, run };
    const heap = this.#events;
    let at = heap.push(event) - 1;
    for (let up; at > 0 && before(event, heap[(up = (at - 1) >> 1)]); at = up) heap[at] = heap[up], heap[up] = event;
  }

  /** Work that takes no virtual time. @template T @param {() => Promise<T>} work @returns {Promise<T>} */
  async working(work) {
    this.#working += 1;
    try { return await work(); } finally { this.#working -= 1; }
  }

  enter() { this.#working += 1; }
  leave() { this.#working -= 1; }

  /** @param {string} order @param {() => void} go */
  arrive(order, go) {
    this.#arriving.push({ order, go });
  }

  /** Until `done`, a violation, or the end of the given time. @param {() => boolean} done @param {number} forMs @returns {Promise<boolean>} whether it was done */
  async run(done, forMs) {
    const untilMs = this.nowMs + forMs;
    for (;;) {
      await this.#rest();
      if (done() || this.violation) return done();
      const next = this.#take(untilMs);
      if (!next) return false;
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.run();
    }
  }

  async #rest() {
    for (let quiet = 0, turns = 0; quiet < kQuietTurns; turns++) {
      await new Promise((resolve) => { setImmediate(resolve); });
      quiet = this.#working === 0 ? quiet + 1 : 0;
      if (quiet === kQuietTurns && this.#arriving.length > 0) {
        const arriving = this.#arriving.splice(0).sort((a, b) => (a.order < b.order ? -1 : 1));
        for (const { go } of arriving) go();
        quiet = 0;
      }
      if (turns > kMostTurns) return this.fail(8, 'the shell is busy for ever without any time passing');
    }
  }

  /** @param {number} untilMs */
  #take(untilMs) {
    const heap = this.#events;
    const first = heap[0];
    if (!first || first.atMs > untilMs) return null;
    const last = /** @type {typeof first} */ (heap.pop());
    for (let at = 0; heap.length > 0;) {
      let down = 2 * at + 1;
      if (down + 1 < heap.length && before(heap[down + 1], heap[down])) down += 1;
      if (down >= heap.length || !before(heap[down], last)) { heap[at] = last; break; }
      heap[at] = heap[down];
      at = down;
    }
    return first;
  }
}

/** @param {{atMs: number, n: number}} a @param {{atMs: number, n: number}} b */
const before = (a, b) => a.atMs < b.atMs || (a.atMs === b.atMs && a.n < b.n);
