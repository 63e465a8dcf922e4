// Delta for direct use: diff, apply, merge and hash JSON documents, and delta of blobs. Strings (JSON text), bytes (UTF-8) or live values in.
//
//     import { diff, apply, merge3 } from 'tidegate/delta';
//     const patch = diff(baseBytes, nextBytes);        // bytes in, bytes out: the fast way
//
// In Node nothing has to be prepared. In a browser call `await ready(fetch(urlOfDeltaWasm))` once. Every call is synchronous.
import createModule from '../dist/delta.mjs';
import { CoreUnavailable, compileOnce } from './compile.js';

/** @typedef {string | Uint8Array | ArrayBuffer | object | number | boolean | null} Document  JSON text, its UTF-8 bytes, or a live value */
/** @typedef {{path: string, base?: unknown, ours?: unknown, theirs?: unknown, winner: 'ours' | 'theirs'}} Clash */
/** @typedef {{trustedBase?: boolean, baseSeal?: string, tests?: boolean, format?: 'json-patch' | 'merge-patch', idKeys?: readonly string[]}} DiffOptions */

/** A document or patch was refused. Nothing was changed. */
export class DeltaError extends Error {
  /** @param {{code: string, path: string, message: string}} error */
  constructor({ code, path, message }) {
    super(message);
    this.name = 'DeltaError';
    this.code = code;
    /** "/3" names op 3 of a patch. */
    this.path = path;
  }
}

const kTrusted = 1, kTests = 2, kSealed = 4, kPreferTheirs = 8, kChecksum = 16;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

const kMaxIdKeys = 16;

const compile = compileOnce();
/** @type {WebAssembly.Module | undefined} */
let module;
/** @type {any} */
let core;
/** The id keys that this core was told, joined; '': none, it uses its own. */
let toldIdKeys = '';

/** A function with one v128 value: engines without SIMD refuse it. */
const kSimdProbe = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11]);

/** The file to fetch or read, below dist/: the build that this engine runs. @returns {'delta.simd.wasm' | 'delta.wasm'} */
export const wasmFile = () => (typeof WebAssembly === 'object' && WebAssembly.validate(kSimdProbe) ? 'delta.simd.wasm' : 'delta.wasm');

/** Prepares the functions from the Wasm file: a Response, bytes, a compiled module, or a promise of one. @param {any} source */
export async function ready(source) {
  module = await compile(source);
  core = instantiate(module);
}

/** @returns {WebAssembly.Module} */
function compiledInNode() {
  const fs = /** @type {any} */ (globalThis).process?.getBuiltinModule?.('node:fs');
  if (!fs) throw new CoreUnavailable('call ready(fetch(url of delta.wasm)) first');
  return new WebAssembly.Module(fs.readFileSync(new URL(`../dist/${wasmFile()}`, import.meta.url)));
}

/** An instance, at once: the glue runs to its end when instantiateWasm answers at once. @param {WebAssembly.Module} compiled */
function instantiate(compiled) {
  const made = {
    /** @param {WebAssembly.Imports} imports @param {(instance: WebAssembly.Instance) => void} done */
    instantiateWasm(imports, done) {
      const instance = new WebAssembly.Instance(compiled, imports);
      done(instance);
      return instance.exports;
    },
    print() {},
    printErr() {},
  };
  createModule(made);
  toldIdKeys = '';
  if (!('_delta_reserve' in made)) throw new CoreUnavailable('the Wasm file has no delta functions');
  return made;
}

/**
 * Runs one call. After a trap (memory exhausted, a broken invariant) the instance is dropped, the next call gets a new one, and the
 * error says which call it was.
 * @param {() => number} call @returns {number}
 */
function guarded(call) {
  try {
    return call();
  } catch (error) {
    core = undefined;
    throw new DeltaError({ code: 'trapped', path: '', message: `the core stopped on this input and was replaced: ${/** @type {Error} */ (error).message}` });
  }
}

/** @param {Document} document @returns {string | Uint8Array} */
function textOf(document) {
  if (typeof document === 'string' || document instanceof Uint8Array) return document;
  if (document instanceof ArrayBuffer) return new Uint8Array(document);
  const text = JSON.stringify(document);
  if (text === undefined) throw new DeltaError({ code: 'not-json', path: '', message: `${typeof document} has no JSON text` });
  return text;
}

/** @param {number} bytes @returns {number} */
function reserve(bytes) {
  core ??= instantiate(module ??= compiledInNode());
  if (bytes > 0x7fffffff) throw new DeltaError({ code: 'json-size', path: '', message: `${bytes} bytes are too many for one call` });
  const at = guarded(() => core._delta_reserve(bytes)) >>> 0;
  if (at === 0) throw new DeltaError({ code: 'memory', path: '', message: `there is no memory for ${bytes} bytes` });
  return at;
}

/** Tells the core by which members elements of arrays are known. To be called before the inputs are written. @param {readonly string[] | undefined} keys */
function useIdKeys(keys) {
  if (keys === undefined && toldIdKeys === '') return;
  if (keys !== undefined && (!Array.isArray(keys) || keys.length === 0 || keys.length > kMaxIdKeys || !keys.every((key) => typeof key === 'string' && /^[^\0]+$/.test(key))))
    throw new TypeError(`idKeys is a list of 1 to ${kMaxIdKeys} names of members, this is ${JSON.stringify(keys)}`);
  const joined = keys === undefined ? '' : keys.join('\0'), names = encoder.encode(joined), at = reserve(names.length);
  if (joined === toldIdKeys) return;   // asked behind reserve, which may have made a new core
  write(names, at);
  core._delta_id_keys(names.length);
  toldIdKeys = joined;
}

/** The most bytes a text can take. @param {string | Uint8Array} text */
const room = (text) => (typeof text === 'string' ? text.length * 3 : text.length);

/** Copies a text to `at`; its length in bytes. @param {string | Uint8Array} text @param {number} at @returns {number} */
function write(text, at) {
  if (typeof text !== 'string') {
    core.HEAPU8.set(text, at);
    return text.length;
  }
  return encoder.encodeInto(text, core.HEAPU8.subarray(at, at + text.length * 3)).written;
}

/** A view of what the call answered. @param {number} at @returns {Uint8Array} */
function output(at) {
  const words = core.HEAPU32, base = at >>> 2;
  const view = core.HEAPU8.subarray(words[base + 1], words[base + 1] + words[base + 2]);
  if (words[base] === 0) throw new DeltaError(JSON.parse(decoder.decode(view)));
  return view;
}

/** A copy of what the call answered. @param {number} at @returns {Uint8Array} */
function copied(at) {
  const words = core.HEAPU32, base = at >>> 2;
  return words[base] === 0 ? output(at) : core.HEAPU8.slice(words[base + 1], words[base + 1] + words[base + 2]);
}

/** @param {Document} like */
const isBytes = (like) => like instanceof Uint8Array || like instanceof ArrayBuffer;

/** The answer in the shape of the document it belongs to. @param {number} at @param {Document} like @returns {any} */
function shaped(at, like) {
  if (isBytes(like)) return copied(at);
  const text = decoder.decode(output(at));
  return typeof like === 'string' ? text : JSON.parse(text);
}

const kNoSeal = [0, 0];

/** @param {string} baseSeal */
function sealWords(baseSeal) {
  if (!/^[0-9a-f]{16}$/.test(baseSeal)) throw new TypeError(`baseSeal is the 16 hex digits that seal() gave, this is ${JSON.stringify(baseSeal)}`);
  return [parseInt(baseSeal.slice(8), 16), parseInt(baseSeal.slice(0, 8), 16)];
}

/** @param {DiffOptions} options */
const diffFlags = (options) => (options.trustedBase ? kTrusted : 0) | (options.tests ? kTests : 0) | (options.baseSeal === undefined ? 0 : kSealed);

const kNone = Object.freeze({});

/**
 * The patch that makes `next` of `base`, in the shape of `next`: bytes, text, or a live array. RFC 6902, or RFC 7396 with
 * `format: 'merge-patch'` (then null when it cannot say the change). `trustedBase`: base is known to be valid JSON without duplicate keys;
 * `baseSeal`: what seal(base) gave then, checked here. `idKeys`: members by which elements of arrays are known, in order of preference.
 * @param {Document} base @param {Document} next @param {DiffOptions} [options] @returns {any} @throws {DeltaError}
 */
export function diff(base, next, options = kNone) {
  const a = textOf(base), b = textOf(next);
  useIdKeys(options.idKeys);
  const at = reserve(room(a) + room(b));
  const baseLength = write(a, at), nextLength = write(b, at + baseLength);
  if (options.format === 'merge-patch') {
    const answer = guarded(() => core._delta_diff_merge_patch(baseLength, nextLength));
    return core.HEAPU32[answer >>> 2] === 2 ? null : shaped(answer, next);
  }
  const [low, high] = options.baseSeal === undefined ? kNoSeal : sealWords(options.baseSeal);
  return shaped(guarded(() => core._delta_diff(baseLength, nextLength, diffFlags(options), low, high)), next);
}

/** @param {Document} base @param {Document} next @param {DiffOptions} options @returns {any} the patch, or the DeltaError */
function alone(base, next, options) {
  try {
    return diff(base, next, options);
  } catch (error) {
    if (error instanceof DeltaError) return error;
    throw error;
  }
}

/**
 * diff of many pairs in one call. A pair that is refused has a DeltaError in its place. Patches that come as bytes are views of one
 * buffer: copy (`slice`) one that is kept, stored or sent to another thread by itself.
 * @param {Array<[Document, Document]>} pairs @param {DiffOptions} [options] @returns {any[]}
 */
export function diffMany(pairs, options = kNone) {
  if (options.format === 'merge-patch' || options.baseSeal !== undefined) throw new TypeError('diffMany makes JSON Patches and takes no seal');
  const texts = pairs.map(([base, next]) => [textOf(base), textOf(next)]);
  useIdKeys(options.idKeys);
  const at = reserve(texts.reduce((most, [base, next]) => Math.max(most, room(base) + room(next)), 0));
  const flags = diffFlags(options);
  let answer;
  try {
    texts.forEach(([base, next], i) => {
      const baseLength = write(base, at), nextLength = write(next, at + baseLength);
      core._delta_diff_add(baseLength, nextLength, flags, i === 0 ? 1 : 0);
    });
    answer = pairs.length === 0 ? 0 : core._delta_diff_all();
  } catch {
    core = undefined;   // it trapped on one of them: each by itself tells which
    return pairs.map(([base, next]) => alone(base, next, options));
  }
  if (pairs.length === 0) return [];
  const tableAt = core.HEAPU32[(answer >>> 2) + 3] >>> 2, table = core.HEAPU32.slice(tableAt, tableAt + 2 * pairs.length);
  const all = copied(answer);
  let from = 0;
  return pairs.map(([, next], i) => {
    const patch = all.subarray(from, from += table[2 * i + 1]);
    if (table[2 * i] === 0) return new DeltaError(JSON.parse(decoder.decode(patch)));
    if (isBytes(next)) return patch;
    const text = decoder.decode(patch);
    return typeof next === 'string' ? text : JSON.parse(text);
  });
}

/**
 * What the patch makes of the document, in the shape of the document. `trustedDocument`: it is known to be valid JSON without duplicate keys.
 * @param {Document} document @param {Document} patch
 * @param {{format?: 'json-patch' | 'merge-patch', maxOutputBytes?: number, trustedDocument?: boolean}} [options] @returns {any} @throws {DeltaError}
 */
export function apply(document, patch, options = kNone) {
  const a = textOf(document), b = textOf(patch);
  const at = reserve(room(a) + room(b));
  const documentLength = write(a, at), patchLength = write(b, at + documentLength);
  const merge = options.format === 'merge-patch' ? 1 : 0, flags = options.trustedDocument ? kTrusted : 0;
  return shaped(guarded(() => core._delta_apply(documentLength, patchLength, merge, flags, options.maxOutputBytes ?? 0)), document);
}

/**
 * Three-way merge. The document comes in the shape of `ours`; each clash carries the three values, live.
 * @param {Document} base @param {Document} ours @param {Document} theirs @param {{prefer?: 'ours' | 'theirs', trusted?: boolean, idKeys?: readonly string[]}} [options]
 * @returns {{document: any, clashes: Clash[]}} @throws {DeltaError}
 */
export function merge3(base, ours, theirs, options = kNone) {
  const a = textOf(base), b = textOf(ours), c = textOf(theirs);
  useIdKeys(options.idKeys);
  const at = reserve(room(a) + room(b) + room(c));
  const baseLength = write(a, at), oursLength = write(b, at + baseLength), theirsLength = write(c, at + baseLength + oursLength);
  const flags = (options.prefer === 'theirs' ? kPreferTheirs : 0) | (options.trusted ? kTrusted : 0);
  const answer = guarded(() => core._delta_merge3(baseLength, oursLength, theirsLength, flags));
  const document = shaped(answer, ours);
  const words = core.HEAPU32, extraAt = words[(answer >>> 2) + 3], extraLength = words[(answer >>> 2) + 4];
  return { document, clashes: extraLength === 2 ? [] : JSON.parse(decoder.decode(core.HEAPU8.subarray(extraAt, extraAt + extraLength))) };
}

/**
 * Three-way merge of plain text, by lines and then by words: strings or their UTF-8 bytes. The text comes in the shape of `ours`. A clash is words that
 * both changed: what stood there in the three, and where the winner's now stands (an index into the string, or into the bytes).
 * @param {string | Uint8Array} base @param {string | Uint8Array} ours @param {string | Uint8Array} theirs @param {{prefer?: 'ours' | 'theirs'}} [options]
 * @returns {{text: any, clashes: Array<{at: number, base: string, ours: string, theirs: string, winner: 'ours' | 'theirs'}>}} @throws {DeltaError}
 */
export function mergeText(base, ours, theirs, { prefer = 'ours' } = {}) {
  for (const text of [base, ours, theirs])
    if (typeof text !== 'string' && !(text instanceof Uint8Array)) throw new TypeError(`mergeText takes strings or bytes, this is ${typeof text}`);
  let at = reserve(room(base) + room(ours) + room(theirs));
  const lengths = [base, ours, theirs].map((text) => {
    const length = write(text, at);
    at += length;
    return length;
  });
  const answer = guarded(() => core._delta_merge_text(lengths[0], lengths[1], lengths[2], prefer === 'theirs' ? kPreferTheirs : 0));
  const bytes = copied(answer);
  const [extraAt, extraLength] = core.HEAPU32.subarray((answer >>> 2) + 3, (answer >>> 2) + 5);
  const extra = core.HEAPU8.slice(extraAt, extraAt + extraLength), numbers = new DataView(extra.buffer);
  const clashes = [];
  for (let from = 0; from < extra.length;) {
    const [place, ...sizes] = [0, 4, 8, 12].map((i) => numbers.getUint32(from + i, true));
    from += 16;
    const [was, mine, other] = sizes.map((size) => decoder.decode(extra.subarray(from, from += size)));
    clashes.push({ at: typeof ours === 'string' ? decoder.decode(bytes.subarray(0, place)).length : place, base: was, ours: mine, theirs: other, winner: prefer });
  }
  return { text: typeof ours === 'string' ? decoder.decode(bytes) : bytes, clashes };
}

/** @param {'_delta_canonicalize' | '_delta_canonical_hash' | '_delta_seal'} name @param {Document} document @returns {string} */
function textCall(name, document) {
  const text = textOf(document);
  const length = write(text, reserve(room(text)));
  return decoder.decode(output(guarded(() => core[name](length))));
}

/** Sixteen hex digits, equal for documents that mean the same (see wasm/tidegate/canonical.h for numbers). @param {Document} document @returns {string} */
export const canonicalHash = (document) => textCall('_delta_canonical_hash', document);

/** The RFC 8785 form. @param {Document} document @returns {string} */
export const canonicalize = (document) => textCall('_delta_canonicalize', document);

/** Checks a document once, so that diff can trust the same bytes later (`baseSeal`). @param {Document} document @returns {string} */
export const seal = (document) => textCall('_delta_seal', document);

/**
 * A VCDIFF delta (RFC 3284) of blobs. `checksum` (on) adds xdelta3's Adler-32, which strict RFC readers do not take.
 * @param {Uint8Array} base @param {Uint8Array} next @param {{checksum?: boolean}} [options] @returns {Uint8Array}
 */
export function encodeDelta(base, next, { checksum = true } = {}) {
  const at = reserve(base.length + next.length);
  write(base, at);
  write(next, at + base.length);
  return copied(guarded(() => core._delta_encode(base.length, next.length, checksum ? kChecksum : 0)));
}

/**
 * The form in which the outbox would send `next` over what the server has (null: nothing), by the same rule: the smallest of whole, JSON Patch and merge patch,
 * or with `blob` of whole and VCDIFF; and whether to compress it. `bytesPerSecond`: of the link; 0, where every byte is paid for, counts bytes alone. The body is
 * bytes for bytes, else text.
 * @param {Document | null} base @param {Document} next @param {{blob?: boolean, bytesPerSecond?: number}} [options]
 * @returns {{codec: 'full' | 'json-patch' | 'merge-patch' | 'vcdiff', body: any, compress: boolean}} @throws {DeltaError}
 */
export function chooseForm(base, next, { blob = false, bytesPerSecond = 0 } = {}) {
  if (typeof bytesPerSecond !== 'number' || !(bytesPerSecond >= 0)) throw new TypeError(`bytesPerSecond is a number from 0, this is ${bytesPerSecond}`);
  const a = base === null ? '' : textOf(base), b = textOf(next);
  if (blob && (typeof b === 'string' || (base !== null && typeof a === 'string'))) throw new TypeError('a blob is bytes');
  const at = reserve(room(a) + room(b));
  const baseLength = write(a, at), nextLength = write(b, at + baseLength);
  const answer = guarded(() => core._delta_form(baseLength, nextLength, blob ? 1 : 0, bytesPerSecond));
  const sent = copied(answer), [extraAt, extraLength] = core.HEAPU32.subarray((answer >>> 2) + 3, (answer >>> 2) + 5);
  const chosen = JSON.parse(decoder.decode(core.HEAPU8.subarray(extraAt, extraAt + extraLength)));
  const body = chosen.codec === 'full' ? b : typeof b === 'string' ? decoder.decode(sent) : sent;
  return { ...chosen, body };
}

/**
 * What the delta makes of the base. `into`: a buffer to write it to, which saves the allocation of a new one; the answer is then a view of
 * that buffer. A result it has no room for is refused.
 * @param {Uint8Array} base @param {Uint8Array} delta @param {{maxOutputBytes?: number, into?: Uint8Array}} [options] @returns {Uint8Array} @throws {DeltaError}
 */
export function applyDelta(base, delta, { maxOutputBytes = 0, into } = {}) {
  const at = reserve(base.length + delta.length);
  write(base, at);
  write(delta, at + base.length);
  const most = into ? Math.max(1, Math.min(into.length, maxOutputBytes || into.length)) : maxOutputBytes;   // 0 would be no limit
  const answer = guarded(() => core._delta_decode(base.length, delta.length, most));
  if (!into) return copied(answer);
  const result = output(answer);
  into.set(result);
  return into.subarray(0, result.length);
}

/**
 * applyDelta where the delta comes in pieces (a ReadableStream, or anything that can be iterated) and the result leaves window by window: parts of at most
 * 8 MiB where the delta is ours. Held are the base and one window. Refused as applyDelta does, and windows that copy from the result (VCD_TARGET), which is gone by then. What
 * came before an error is no result. Read it to its end, or break: what is abandoned in the middle keeps its memory.
 * @param {Uint8Array} base @param {any} pieces @param {{maxOutputBytes?: number}} [options] @returns {AsyncGenerator<Uint8Array, void, void>} @throws {DeltaError}
 */
export async function* applyDeltaStream(base, pieces, { maxOutputBytes = 0 } = {}) {
  const at = reserve(base.length);
  write(base, at);
  const own = core, stream = guarded(() => core._delta_stream_open(base.length, maxOutputBytes));
  /** @param {() => number} call */
  const step = (call) => {
    if (core !== own) throw new DeltaError({ code: 'trapped', path: '', message: 'the core was replaced in the middle of the delta: begin again' });
    return copied(guarded(call));
  };
  try {
    for await (const piece of Symbol.asyncIterator in pieces || Symbol.iterator in pieces ? pieces : partsOf(pieces)) {
      for (let rest = piece, more = true; more; rest = kNoBytes) {
        const made = step(() => {
          write(rest, reserve(rest.length));
          const answer = core._delta_stream_push(stream, rest.length);
          more = core.HEAPU32[(answer >>> 2) + 4] !== 0;
          return answer;
        });
        if (made.length > 0) yield made;
      }
    }
    step(() => core._delta_stream_end(stream));
  } finally {
    if (core === own) core._delta_stream_close(stream);
  }
}

const kNoBytes = new Uint8Array(0);

/** A ReadableStream of an engine in which it cannot be iterated. @param {ReadableStream<Uint8Array>} stream */
async function* partsOf(stream) {
  const reader = stream.getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
  } finally {
    await reader.cancel();
  }
}
