// Chance of a history: one stream per purpose and per kind of fault, so that leaving a fault out changes nothing else. The same seed gives the same draws everywhere.

/** Kinds of faults, and of worlds. Each is on or off for a whole history (swarm testing, Groce et al. 2012). */
export const kFaults = ['loss', 'lost-answer', 'late', 'hang', 'cut', 'portal', 'error', 'busy', 'slow', 'crash', 'freeze', 'quota', 'trap', 'foreign', 'owners', 'bad-input', 'bad-token', 'sealed'];
/** A kind that is not common would hide what the others do. */
const kSeldom = { portal: 0.25, freeze: 0.35, owners: 0.3, 'bad-token': 0.15, sealed: 0.35 };

/** FNV-1a, 32 bits. @param {string} text */
export function hash(text, from = 2166136261) {
  let out = from;
  for (let i = 0; i < text.length; i++) out = Math.imul(out ^ text.charCodeAt(i), 16777619);
  return out >>> 0;
}

/** mulberry32 (Tommy Ettinger, public domain). */
export class Stream {
  /** @param {string} name */
  constructor(name) {
    this.state = hash(name);
  }

  /** From 0 inclusive to 1 exclusive. */
  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** @param {number} n */
  below(n) { return Math.floor(this.next() * n); }
  /** @param {number} low @param {number} high */
  between(low, high) { return low + this.next() * (high - low); }
  /** @param {number} p */
  chance(p) { return this.next() < p; }
  /** @template T @param {T[]} list @returns {T} */
  of(list) { return list[this.below(list.length)]; }
}

export class Dice {
  /** @type {Map<string, Stream>} */
  #streams = new Map();
  #calm = false;

  /** @param {number} seed */
  constructor(seed) {
    this.seed = seed;
    this.classes = new Set(kFaults.filter((name) => this.of(`class ${name}`).chance(kSeldom[/** @type {keyof typeof kSeldom} */ (name)] ?? 0.45)));
  }

  /** @param {string} purpose @returns {Stream} */
  of(purpose) {
    let stream = this.#streams.get(purpose);
    if (!stream) this.#streams.set(purpose, (stream = new Stream(`${this.seed} ${purpose}`)));
    return stream;
  }

  /** @param {string} fault */
  on(fault) { return this.classes.has(fault); }

  /** Whether a fault happens now. @param {string} fault @param {number} p */
  roll(fault, p) { return this.on(fault) && this.of(`fault ${fault}`).chance(p) && !this.#calm; }

  /** Faults cease. */
  calm() { this.#calm = true; }
}
