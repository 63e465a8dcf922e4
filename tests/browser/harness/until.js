// Waiting for a condition, never for a time.
import { setTimeout as pause } from 'node:timers/promises';

const kPatienceMs = 30_000;
const kLookEveryMs = 25;

/**
 * Resolves with the first truthy answer of `condition`. When there is none in time, the error names what was waited for and what was seen instead.
 * @template T @param {() => T | Promise<T>} condition @param {string} what @param {{patienceMs?: number, seen?: () => any}} [options] @returns {Promise<T>}
 */
export async function until(condition, what, { patienceMs = kPatienceMs, seen } = {}) {
  const giveUpAt = performance.now() + patienceMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > giveUpAt)
      throw new Error(`waited ${patienceMs} ms for ${what}${seen ? `; seen instead: ${JSON.stringify(await seen())}` : ''}`);
    await pause(kLookEveryMs);
  }
}
