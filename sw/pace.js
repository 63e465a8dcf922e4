// The pace of whatever keeps one connection open: soon again after one that held, slower and slower where none does.

/** @import { HintContext } from './index.d.ts' */

const kFirstWaitMs = 1_000;
const kLongestWaitMs = 60_000;
/** A connection that held for this long was a good one: the next is tried soon. */
const kSteadyMs = 10_000;

/**
 * Connects again whenever a connection ends, after a random part of a wait that doubles (full jitter), until the signal aborts.
 * @param {HintContext} context @param {() => Promise<unknown>} connection never rejects
 */
export async function reconnecting({ clock, random, signal }, connection) {
  let waitMs = kFirstWaitMs;
  while (!signal.aborted) {
    const openedAtMs = clock.now();
    await connection();
    if (clock.now() - openedAtMs > kSteadyMs) waitMs = kFirstWaitMs;
    await clock.sleep((random.seed() / 2 ** 53) * waitMs, signal);
    waitMs = Math.min(2 * waitMs, kLongestWaitMs);
  }
}
