// Gives the locals of the functions in a Wasm module other numbers, so that what does the same is written the same: the optimiser numbers them by how often a function uses them,
// which says nothing of what another function calls what it uses in the same way. 1.9 % of the planner. Locals change places with those of their own type, one byte for one byte, so
// every offset stays; and a number that a function has for a local is no part of what it does.
//
// Tried is every exchange of two locals of a function, and it stays where it makes the function likelier. How likely a byte is, is guessed from what follows the same one, three or
// five bytes in all other functions, about as Brotli does with its contexts and copies.
import { codesOf, entries, kSection, readerOf } from './wasm-code.mjs';

/** So many bytes are looked back at. */
const kBack = [1, 3, 5];
/** How often one of these must have been seen for what followed to count as much as what the shorter ones say. */
const kTrust = [64, 16, 8];
/** Counts are kept by so many bits of a hash. */
const kHashBits = 20;
/** The functions are gone through so often; after that next to nothing changes any more. */
const kRounds = 8;
/** Numbers from here on take two bytes of LEB128, and stay. */
const kTwoBytes = 128;

/** What has been seen after what. */
class Seen {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.before = kBack.map(() => new Int32Array(1 << kHashBits));   // how often these bytes were followed by any
    this.after = kBack.map(() => new Int32Array(1 << kHashBits));    // and by this one
  }

  /** Of the bytes before `at`. @param {number} at @param {number} back */
  hash(at, back) {
    let hash = back;
    for (let i = at - back; i < at; i++) hash = Math.imul(hash ^ this.bytes[i], 0x01000193) + (hash >>> 15);
    return Math.imul(hash, 0x85ebca6b);
  }

  /** @param {number} hash @param {number} byte */
  with(hash, byte) {
    return Math.imul(hash ^ Math.imul(byte + 1, 0xc2b2ae35), 0x27d4eb2f) >>> (32 - kHashBits);
  }

  /** @param {{from: number, to: number}} code @param {1 | -1} times */
  count({ from, to }, times) {
    for (let at = from; at < to; at++)
      kBack.forEach((back, n) => {
        const hash = this.hash(at, back);
        this.before[n][hash >>> (32 - kHashBits)] += times;
        this.after[n][this.with(hash, this.bytes[at])] += times;
      });
  }

  /** How many bits these bytes take. @param {Iterable<number>} places */
  bits(places) {
    let bits = 0;
    for (const at of places) {
      let likely = 1 / 256;
      for (let n = 0; n < kBack.length; n++) {
        const hash = this.hash(at, kBack[n]), all = this.before[n][hash >>> (32 - kHashBits)];
        likely = (Math.min(this.after[n][this.with(hash, this.bytes[at])], all) + kTrust[n] * likely) / (all + kTrust[n]);
      }
      bits -= Math.log2(likely);
    }
    return bits;
  }
}

/** @param {Uint8Array} bytes @param {{to: number, groups: number[], locals: number[]}} code @param {number} parameters @param {Seen} seen @returns {boolean} whether anything was exchanged */
function improve(bytes, { to, groups, locals }, parameters, seen) {
  /** @type {number[][]} by number, where it is named */
  const named = [];
  for (const at of locals) if (bytes[at] < kTwoBytes) (named[bytes[at]] ??= []).push(at);
  const write = (/** @type {number} */ local) => { for (const at of named[local]) bytes[at] = local; };
  const exchange = (/** @type {number} */ a, /** @type {number} */ b) => {
    [named[a], named[b]] = [named[b], named[a]];
    write(a);
    write(b);
  };
  let improved = false, first = parameters;
  for (const count of groups) {
    const end = Math.min(first + count, named.length);
    for (let a = first; a < end; a++)
      for (let b = a + 1; b < end; b++) {
        if (!named[a] || !named[b]) continue;
        const places = new Set();
        for (const at of [...named[a], ...named[b]]) for (let place = at; place < to && place <= at + kBack[kBack.length - 1]; place++) places.add(place);
        const before = seen.bits(places);
        exchange(a, b);
        if (seen.bits(places) < before) improved = true;
        else exchange(a, b);
      }
    first += count;
  }
  return improved;
}

/** @param {Uint8Array} module @returns {Buffer} the same module with other numbers for its locals; throws on what it does not know */
export function nameLocals(module) {
  const bytes = Buffer.from(module), codes = codesOf(module), seen = new Seen(bytes);
  /** @type {number[]} by type, how many parameters it has */
  const parameters = [];
  entries(readerOf(module, kSection.type), (reader) => {
    reader.byte();   // that it is a function's
    parameters.push(entries(reader, (type) => { type.byte(); }).length);
    entries(reader, (type) => { type.byte(); });
  });
  /** @type {number[]} */
  const types = [];
  entries(readerOf(module, kSection.function), (reader) => { types.push(reader.number()); });

  for (const code of codes) seen.count(code, 1);
  for (let round = 0, improved = true; round < kRounds && improved; round++) {
    improved = false;
    codes.forEach((code, n) => {
      seen.count(code, -1);   // what it says of itself is no reason
      if (improve(bytes, code, parameters[types[n]], seen)) improved = true;
      seen.count(code, 1);
    });
  }
  if (!WebAssembly.validate(bytes)) throw new Error('the module is not valid with other numbers for its locals');
  return bytes;
}
