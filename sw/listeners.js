// Who is told what is published, the same in page, worker and Node.
import { TidegateError } from './errors.js';

/** @import { Listener } from './index.d.ts' */

/** @param {Set<Listener>} listeners @param {Listener} listener @returns {() => void} what takes it away again; throws TidegateError */
export function subscribe(listeners, listener) {
  if (typeof listener !== 'function') throw new TidegateError('wrong-type', '/listener', `listener: expected a function, got ${String(listener)}`);
  listeners.add(listener);
  return () => { listeners.delete(listener); };
}

/** Calls every listener; one that throws harms nobody. @param {Set<Listener>} listeners @param {string} type @param {any} detail */
export function tell(listeners, type, detail) {
  const event = type === 'status' ? { type, status: detail } : { type, detail };
  for (const listener of [...listeners]) {
    try {
      listener(/** @type {any} */ (event));
    } catch (error) {
      console.error('tidegate: a listener threw', error);
    }
  }
}
