/**
 * Between requests and store: keeps two requests from working on one key at a time, and lets injected faults and planted bugs in where a test asked for them.
 *
 * @typedef {import('./op.js').Op} Op
 * @typedef {import('./decide.js').Result} Result
 */
import { problem } from './problem.js';

/**
 * @param {object} options
 * @param {import('./store.js').Store} options.store
 * @param {import('./decide.js').Decide} options.decide
 * @param {() => number} options.clock
 * @param {(error: unknown) => void} options.onError
 * @param {() => void} options.onChange  something was written
 * @returns {{apply: (units: Op[][]) => Promise<Result[]>}}
 */
export function createEngine({ store, decide, clock, onError, onChange }) {
  /** Keys some request is working on. Another process on the same database is kept apart by its transactions. */
  const running = new Set();

  return {
    async apply(units) {
      /** @type {string[]} */
      const taken = [];
      const admitted = units.map((unit) => unit.map((op) => {
        if (running.has(op.key)) return { ...op, refused: problem('in-progress', 'a request with this key is being processed') };
        running.add(op.key);
        taken.push(op.key);
        return op;
      }));
      try {
        const results = await store.apply(admitted, { nowMs: clock(), decide, onError });
        if (results.some(({ status }) => status < 300)) onChange();
        return results;
      } finally {
        for (const key of taken) running.delete(key);
      }
    },
  };
}
