// Group commit: saves issued together share one strict transaction, in the order they were issued. A strict transaction costs a flush to the disk
// whatever its size, so fifty of them at once cost fifty times less this way.
import { closedError } from './errors.js';

/** @import { AcceptItem, AcceptLimits, Store } from './store-contract.d.ts' */

/** What one transaction takes at most; the rest goes into the next. */
const kGroupItems = 500;

export class Appender {
  /** @type {{items: AcceptItem[], resolve: (seqs: number[]) => void, reject: (error: unknown) => void}[]} */
  #queue = [];
  /** @type {Promise<void> | null} */
  #running = null;
  #closed = false;

  /** @param {Store} store @param {AcceptLimits} limits */
  constructor(store, limits) {
    this.store = store;
    this.limits = limits;
  }

  /** Resolves when `items` are on the disk, all of them in one transaction. @param {AcceptItem[]} items @returns {Promise<number[]>} */
  append(items) {
    if (this.#closed) return Promise.reject(closedError());
    return new Promise((resolve, reject) => {
      this.#queue.push({ items, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** What was handed in is still stored. */
  async close() {
    this.#closed = true;
    await this.#running;
  }

  async #run() {
    await null;
    while (this.#queue.length > 0) {
      let size = 0, count = 0;
      for (const { items } of this.#queue) {
        size += items.length;
        if (count > 0 && size > kGroupItems) break;
        count += 1;
      }
      await this.#store(this.#queue.splice(0, count));
    }
    this.#running = null;
  }

  /** A group that fails is tried one by one, so that each caller hears of his own failure only. @param {any[]} group */
  async #store(group) {
    try {
      const seqs = await this.store.accept(group.flatMap(({ items }) => items), this.limits);
      for (const { items, resolve } of group) resolve(seqs.splice(0, items.length));
    } catch (error) {
      if (group.length === 1) return group[0].reject(error);
      for (const one of group) await this.#store([one]);
    }
  }
}
