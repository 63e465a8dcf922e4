// The only file that reads a clock or sets a timer.

/**
 * @typedef {{now(): number, sleep(ms: number, signal?: AbortSignal): Promise<void>, timer(ms: number, run: () => void): () => void,
 *   utcOffsetMinutes(): number}} Clock
 */

/** Timers longer than this overflow to zero in every engine (HTML, timer initialisation steps), so we cut them. */
const kMaxTimerMs = 2 ** 31 - 1;

/** @type {Clock} */
export const clock = {
  /** Milliseconds since the epoch. */
  now: () => Date.now(),

  /** Resolves after `ms`, or at once when `signal` aborts; never rejects, so a sleeper needs no cleaning up. */
  sleep(ms, signal) {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = () => {
        cancel();
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const cancel = clock.timer(ms, done);
      signal?.addEventListener('abort', done);
    });
  },

  /** Runs `run` once after `ms`; returns what cancels it. */
  timer(ms, run) {
    const handle = setTimeout(run, Math.min(Math.max(ms, 0), kMaxTimerMs));
    return () => clearTimeout(handle);
  },

  /** Minutes to add to UTC for local time. */
  utcOffsetMinutes: () => -new Date().getTimezoneOffset(),
};

/** What `work` comes to; rejects where that takes longer than `ms`, or `signal` aborts first. @template T @param {Clock} clock @param {number} ms @param {() => T | Promise<T>} work @param {AbortSignal} [signal] @returns {Promise<T>} */
export async function within(clock, ms, work, signal) {
  let giveUp = () => {};
  const late = new Promise((_, reject) => { giveUp = () => reject(new Error(`it took longer than ${ms} ms`)); });
  const cancel = clock.timer(ms, giveUp);
  signal?.addEventListener('abort', giveUp);
  try {
    return await Promise.race([late, (async () => work())()]);
  } finally {
    cancel();
    signal?.removeEventListener('abort', giveUp);
  }
}
