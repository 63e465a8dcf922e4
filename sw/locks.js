// One drain at a time over all tabs, workers and processes. The lock tells at once that its holder died, which a lease alone tells only when it runs
// out; the lease's fencing token (sw/store-rules.js) keeps out a holder that was only frozen.

/**
 * @typedef {object} Locks
 * @property {(signal: AbortSignal) => Promise<(() => void) | null | undefined>} take  waits for the lock; resolves with its release, null when `signal` aborted first, undefined where there are none
 * @property {() => Promise<() => void>} steal  takes it from a holder whose lease ran out
 */

const kLockName = 'tidegate';

/** Web Locks; where the engine has none, the lease alone decides. @param {LockManager | undefined} manager @param {string} [name] @returns {Locks} */
export function webLocks(manager, name = kLockName) {
  if (!manager) return { take: async () => undefined, steal: async () => () => {} };
  /** @param {LockOptions} options @returns {Promise<(() => void) | null | undefined>} */
  const request = (options) => new Promise((resolve) => {
    const held = () => new Promise((release) => resolve(() => release(undefined)));
    // Rejects when aborted before it was granted, where the engine allows this realm none, and when stolen afterwards (resolving again does nothing then; commits are fenced).
    manager.request(name, options, held).catch(() => resolve(options.signal?.aborted ? null : undefined));
  });
  return {
    take: (signal) => request({ signal }),
    steal: async () => (await request({ steal: true })) ?? (() => {}),
  };
}

/** The lock, or null where it is not free within `ms`, or `signal` aborted. @param {Locks} locks @param {import('./clock.js').Clock} clock @param {number} ms @param {AbortSignal} signal */
export async function lockWithin(locks, clock, ms, signal) {
  const patience = new AbortController();
  const giveUp = () => patience.abort();
  const cancel = clock.timer(ms, giveUp);
  signal.addEventListener('abort', giveUp, { signal: patience.signal });
  const release = await locks.take(patience.signal);
  cancel();
  giveUp();
  return release;
}
