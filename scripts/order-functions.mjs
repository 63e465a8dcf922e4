// Puts the functions of a Wasm module into an order that compresses better: each next to those it shares most bytes with. Brotli pays for how far back a repetition lies, and
// the linker's order (by use) says nothing of that: 1.5 % of the planner. A function whose index takes one byte stays where it is, and all others keep indices of two, so nothing
// changes its length and every offset stays. What each instruction is followed by: WebAssembly Core Specification 2.0, section 5.4.
import { brotliCompressSync } from 'node:zlib';

/** Indices from here on take two bytes of LEB128, below kThreeBytes. */
const kTwoBytes = 128, kThreeBytes = 16384;
/** Functions are alike by the runs of so many bytes that they share, unless so many functions have them that they say nothing. */
const kRun = 5, kMostShare = 60;
/** How far back in the new order is looked, with less weight for what is farther. */
const kBack = 10;
/** What a function's length counts for beside its own bytes. */
const kSmall = 15;
/** So many functions are tried as the first in the order; the one that makes the module smallest stays. */
const kBegins = 32;

const kSection = { import: 2, function: 3, export: 7, start: 8, element: 9, code: 10 };
/** By opcode: l: a LEB128 number, f: that of a function, b: a byte, 4 and 8: so many bytes, t: a vector of labels and one more, v: a vector of types. All others have none. */
const kImmediates = new Map([
  ...[0x02, 0x03, 0x04, 0x0c, 0x0d, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x41, 0x42, 0xd0].map((code) => /** @type {[number, string]} */ ([code, 'l'])),
  [0x0e, 't'], [0x10, 'f'], [0x11, 'll'], [0x1c, 'v'], [0x3f, 'b'], [0x40, 'b'], [0x43, '4'], [0x44, '8'], [0xd2, 'f'],
  ...Array.from({ length: 0x3e - 0x28 + 1 }, (_, i) => /** @type {[number, string]} */ ([0x28 + i, 'll'])),
]);
/** The same behind the prefix 0xfc. */
const kAfterPrefix = ['', '', '', '', '', '', '', '', 'lb', 'l', 'bb', 'b', 'll', 'l', 'll', 'l', 'l', 'l'];
const kIsKnown = (/** @type {number} */ code) => kImmediates.has(code) || code <= 0x01 || [0x05, 0x0b, 0x0f, 0x1a, 0x1b, 0xd1].includes(code) || (code >= 0x45 && code <= 0xc4);

class Reader {
  /** @param {Uint8Array} bytes @param {number} at */
  constructor(bytes, at) {
    this.bytes = bytes;
    this.at = at;
  }

  byte() {
    return this.bytes[this.at++];
  }

  /** Of 32 bits; longer ones are passed over as well. */
  number() {
    let value = 0, byte, shift = 0;
    do {
      byte = this.byte();
      value += (byte & 127) * 2 ** shift;
      shift += 7;
    } while (byte & 128);
    return value;
  }

  skip() {
    const size = this.number();
    this.at += size;
  }
}

/** @param {Uint8Array} module @returns {{id: number, start: number, from: number, to: number}[]} */
function sectionsOf(module) {
  const found = [], reader = new Reader(module, 8);
  while (reader.at < module.length) {
    const start = reader.at, id = reader.byte(), size = reader.number();
    found.push({ id, start, from: reader.at, to: reader.at + size });
    reader.at += size;
  }
  return found;
}

/** The entries of a vector, each passed over by `skip`. @param {Reader} reader @param {(reader: Reader) => void} skip @returns {[number, number][]} from and to */
function entries(reader, skip) {
  return Array.from({ length: reader.number() }, () => {
    const from = reader.at;
    skip(reader);
    return [from, reader.at];
  });
}

/** @param {Reader} reader @returns {boolean} whether it is of a function */
function skipImport(reader) {
  reader.skip();
  reader.skip();
  const kind = reader.byte();
  if (kind === 0) return reader.number() >= 0;
  if (kind === 1) reader.byte();
  if (kind === 3) reader.at += 2;
  else if (reader.number() & 1) { reader.number(); reader.number(); } else reader.number();
  return false;
}

/** Where the instructions of a function name another. @param {Uint8Array} module @param {number} from @param {number} to @param {number[]} found */
function namesIn(module, from, to, found) {
  const reader = new Reader(module, from);
  reader.number();   // its size
  for (let groups = reader.number(); groups > 0; groups--) { reader.number(); reader.byte(); }
  while (reader.at < to) {
    const code = reader.byte();
    const kinds = code === 0xfc ? kAfterPrefix[reader.number()] : kIsKnown(code) ? kImmediates.get(code) ?? '' : undefined;
    if (kinds === undefined) throw new Error(`an instruction that this does not know: 0x${code.toString(16)} at ${reader.at - 1}`);
    for (const kind of kinds) {
      if (kind === 'f') found.push(reader.at);
      if (kind === 'l' || kind === 'f') reader.number();
      else if (kind === 't') { for (let left = reader.number() + 1; left > 0; left--) reader.number(); }
      else if (kind === 'v') { for (let left = reader.number(); left > 0; left--) reader.byte(); }
      else reader.at += kind === 'b' ? 1 : Number(kind);
    }
  }
  if (reader.at !== to) throw new Error(`a function that ends at ${reader.at} instead of ${to}`);
}

/** How much two functions are alike, at [a * count + b]. @param {Uint8Array[]} bodies */
function likeness(bodies) {
  /** @type {Map<number, Map<number, number>>} run → function → how often */
  const having = new Map();
  bodies.forEach((body, n) => {
    for (let at = 0; at + kRun < body.length; at++) {
      let run = 0;
      for (let i = 0; i < kRun; i++) run = run * 256 + body[at + i];
      let those = having.get(run);
      if (!those) having.set(run, (those = new Map()));
      those.set(n, (those.get(n) ?? 0) + 1);
    }
  });
  const count = bodies.length, alike = new Float64Array(count * count);
  for (const those of having.values()) {
    if (those.size < 2 || those.size > kMostShare) continue;
    const weight = 1 / Math.log(1 + those.size);
    for (const a of those.keys()) for (const b of those.keys()) if (a !== b) alike[a * count + b] += weight;
  }
  return alike;
}

/** Each function after those that it is most like, of those from `first` on, beginning with `begin`. @param {Uint8Array[]} bodies @param {Float64Array} alike @param {number} first @param {number} begin @returns {number[]} */
function chain(bodies, alike, first, begin) {
  const count = bodies.length, left = new Set(bodies.keys());
  for (let n = 0; n < first; n++) left.delete(n);
  const order = [];
  for (let next = begin; left.size > 0;) {
    order.push(next);
    left.delete(next);
    let best = -1, most = 0, smallest = -1;
    for (const n of left) {
      let sum = 0;
      for (let back = 0; back < kBack && back < order.length; back++) sum += alike[order[order.length - 1 - back] * count + n] / Math.sqrt(1 + back);
      sum /= Math.sqrt(bodies[n].length + kSmall);
      if (sum > most) { best = n; most = sum; }
      if (smallest === -1 || bodies[n].length < bodies[smallest].length) smallest = n;
    }
    next = best === -1 ? smallest : best;
  }
  return [...Array.from({ length: first }, (_, n) => n), ...order];
}

/**
 * The module with its functions in another order.
 * @param {Uint8Array} module @param {number[]} order
 * @param {{imported: number, names: number[], types: [number, number][], codes: [number, number][]}} parts  how many functions are imported, where functions are named, and where each has its type and its body
 */
function moved(module, order, { imported, names, types, codes }) {
  const newIndex = new Map(order.map((old, place) => [imported + old, imported + place]));
  const named = Buffer.from(module);
  for (const at of names) {
    const index = new Reader(module, at).number();
    if (index < kTwoBytes) continue;   // stays
    const to = /** @type {number} */ (newIndex.get(index));
    named[at] = (to & 127) | 128;
    named[at + 1] = to >> 7;
  }
  const result = Buffer.from(named);
  for (const ranges of [types, codes]) {
    let at = ranges[0]?.[0] ?? 0;
    for (const old of order) at += named.copy(result, at, ...ranges[old]);
  }
  return result;
}

/** @param {Uint8Array} module @returns {Buffer} the same module in another order; throws on what it does not know */
export function orderFunctions(module) {
  const sections = sectionsOf(module);
  const readerOf = (/** @type {number} */ id) => new Reader(module, sections.find((section) => section.id === id)?.from ?? module.length);
  let imported = 0;
  entries(readerOf(kSection.import), (reader) => { if (skipImport(reader)) imported += 1; });
  const types = entries(readerOf(kSection.function), (reader) => { reader.number(); });
  const codes = entries(readerOf(kSection.code), (reader) => { reader.skip(); });
  if (imported + codes.length > kThreeBytes || imported > kTwoBytes) throw new Error(`${imported + codes.length} functions, ${imported} of them imported: their indices take more than two bytes`);

  /** @type {number[]} where functions are named */
  const names = [];
  for (const [from, to] of codes) namesIn(module, from, to, names);
  entries(readerOf(kSection.export), (reader) => { reader.skip(); if (reader.byte() === 0) names.push(reader.at); reader.number(); });
  for (const { id, from } of sections) if (id === kSection.start) names.push(from);
  entries(readerOf(kSection.element), (reader) => {
    if (reader.number() !== 0 || reader.byte() !== 0x41) throw new Error('an element segment that is not of the first table at a constant');
    reader.number();
    reader.byte();   // end
    for (const [from] of entries(reader, (entry) => { entry.number(); })) names.push(from);
  });

  const first = Math.max(0, kTwoBytes - imported);
  if (first >= codes.length) return Buffer.from(module);
  const bodies = codes.map(([from, to]) => module.subarray(from, to)), alike = likeness(bodies);
  const begins = Array.from({ length: kBegins }, (_, n) => first + Math.floor((n * (codes.length - first)) / kBegins));
  const made = begins.map((begin) => moved(module, chain(bodies, alike, first, begin), { imported, names, types, codes }));
  const sizes = made.map((one) => brotliCompressSync(one).length);
  const best = made[sizes.indexOf(Math.min(...sizes))];
  if (!WebAssembly.validate(best)) throw new Error('the module is not valid in its new order');
  return best;
}
