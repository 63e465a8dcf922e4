// A small seeded generator (mulberry32), so that a run with the same seed draws the same faults at the same places.

/**
 * @param {number} seed any integer
 * @param {string} purpose two purposes of one seed draw independently
 */
export function createRandom(seed, purpose) {
  let state = seed >>> 0;
  for (const character of purpose) state = (Math.imul(state, 31) + character.charCodeAt(0)) >>> 0;
  /** A number in [0, 1). */
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    next,
    /** An integer in [low, high]. @param {number} low @param {number} high */
    integer: (low, high) => low + Math.floor(next() * (high - low + 1)),
  };
}

/** @typedef {ReturnType<typeof createRandom>} Random */
