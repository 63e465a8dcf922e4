// Puts the functions of a Wasm module into an order that compresses better: each next to those it shares most bytes with. Brotli pays for how far back a repetition lies, and
// the linker's order (by use) says nothing of that: 1.5 % of the planner. A function whose index takes one byte stays where it is, and all others keep indices of two, so nothing
// changes its length and every offset stays.
import { brotliCompressSync } from 'node:zlib';
import { codesOf, entries, kSection, Reader, readerOf, sectionsOf } from './wasm-code.mjs';

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
 * @param {{imported: number, names: number[], types: [number, number][], codes: {from: number, to: number}[]}} parts  how many functions are imported, where functions are named, and where each has its type and its body
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
  for (const ranges of [types, codes.map(({ from, to }) => [from, to])]) {
    let at = ranges[0]?.[0] ?? 0;
    for (const old of order) at += named.copy(result, at, ...ranges[old]);
  }
  return result;
}

/** @param {Uint8Array} module @returns {Buffer} the same module in another order; throws on what it does not know */
export function orderFunctions(module) {
  let imported = 0;
  entries(readerOf(module, kSection.import), (reader) => { if (skipImport(reader)) imported += 1; });
  const types = entries(readerOf(module, kSection.function), (reader) => { reader.number(); });
  const codes = codesOf(module);
  if (imported + codes.length > kThreeBytes || imported > kTwoBytes) throw new Error(`${imported + codes.length} functions, ${imported} of them imported: their indices take more than two bytes`);

  // Where functions are named.
  const names = codes.flatMap(({ functions }) => functions);
  entries(readerOf(module, kSection.export), (reader) => { reader.skip(); if (reader.byte() === 0) names.push(reader.at); reader.number(); });
  for (const { id, from } of sectionsOf(module)) if (id === kSection.start) names.push(from);
  entries(readerOf(module, kSection.element), (reader) => {
    if (reader.number() !== 0 || reader.byte() !== 0x41) throw new Error('an element segment that is not of the first table at a constant');
    reader.number();
    reader.byte();   // end
    for (const [from] of entries(reader, (entry) => { entry.number(); })) names.push(from);
  });

  const first = Math.max(0, kTwoBytes - imported);
  if (first >= codes.length) return Buffer.from(module);
  const bodies = codes.map(({ from, to }) => module.subarray(from, to)), alike = likeness(bodies);
  const begins = Array.from({ length: kBegins }, (_, n) => first + Math.floor((n * (codes.length - first)) / kBegins));
  const made = begins.map((begin) => moved(module, chain(bodies, alike, first, begin), { imported, names, types, codes }));
  const sizes = made.map((one) => brotliCompressSync(one).length);
  const best = made[sizes.indexOf(Math.min(...sizes))];
  if (!WebAssembly.validate(best)) throw new Error('the module is not valid in its new order');
  return best;
}
