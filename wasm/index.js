// The planner, from JavaScript: JSON as UTF-8 bytes and payloads as bytes, copied in and out; errors as InputError.
import { compile, instantiate } from './load.js';

export { CoreUnavailable, compile, kBoundaryVersion } from './load.js';

/** @import { Input, Plan } from './protocol.js' */

/** The input was refused; the planner is as it was. */
export class InputError extends Error {
  /** @param {{code: string, path: string, message: string}} error */
  constructor({ code, path, message }) {
    super(message);
    this.name = 'InputError';
    this.code = code;
    /** JSON Pointer into the input. */
    this.path = path;
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** One planner in its own Wasm instance. After a trap (any thrown error that is not an InputError) it must be dropped. */
export class Planner {
  #core;

  /** @param {any} core */
  constructor(core) {
    this.#core = core;
  }

  /**
   * Call first. Rows above `knownSeq` have to be given to the next steps.
   * @param {Uint8Array | null} snapshot @param {{core?: any, settings?: any, rules?: any, schemaVersion?: number}} state  as stored; schemaVersion: of the app's documents, as its code has them now
   * @returns {{ok: true, knownSeq: number} | {ok: false, error: {code: string, path: string, message: string}}}
   */
  restore(snapshot, state) {
    const [at, length] = this.#in(snapshot ?? new Uint8Array(0));
    const [stateAt, stateLength] = this.#text(JSON.stringify(state ?? {}));
    const ok = this.#core.restore(at, length, stateAt, stateLength);
    this.#core._free(at);
    this.#core._free(stateAt);
    const out = this.#json();
    return ok ? { ok: true, knownSeq: out.knownSeq } : { ok: false, error: out };
  }

  /** @param {Input} input @returns {Plan} @throws {InputError} */
  step(input) {
    const [at, length] = this.#text(JSON.stringify(input));
    const ok = this.#core.step(at, length);
    this.#core._free(at);
    const out = this.#json();
    if (!ok) throw new InputError(out);
    return out;
  }

  /** Hands payload bytes in. @param {number} slot @param {Uint8Array} bytes */
  put(slot, bytes) {
    const [at, length] = this.#in(bytes);
    this.#core.put(slot, at, length);
    this.#core._free(at);
  }

  /** A copy of bytes the core holds. @param {number} slot @returns {Uint8Array} */
  bytes(slot) {
    if (!this.#core.take(slot)) throw new InputError({ code: 'unknown-slot', path: '', message: `slot ${slot} holds no bytes` });
    return this.#view().slice();
  }

  /** Bytes of Wasm memory in use by this instance. */
  get heapBytes() {
    return this.#core.HEAPU8.length;
  }

  /** @param {number} length @returns {number} where there is room for so many bytes */
  #room(length) {
    const at = this.#core._malloc(length || 1);
    if (at === 0) throw new RangeError(`the core has no memory for ${length} bytes`);
    return at;
  }

  /** @param {Uint8Array} bytes @returns {[number, number]} */
  #in(bytes) {
    const at = this.#room(bytes.length);
    this.#core.HEAPU8.set(bytes, at);
    return [at, bytes.length];
  }

  /** Encoded where it is read: a copy in between would lie about until the next collection, and a long queue is hundreds of them. @param {string} text @returns {[number, number]} */
  #text(text) {
    const at = this.#room(3 * text.length);   // UTF-8 takes at most three bytes for a code unit
    return [at, encoder.encodeInto(text, this.#core.HEAPU8.subarray(at)).written];
  }

  #view() {
    const at = this.#core.outPtr();
    return this.#core.HEAPU8.subarray(at, at + this.#core.outLen());
  }

  #json() {
    return JSON.parse(decoder.decode(this.#view()));
  }
}

/**
 * A planner from the core's Wasm: a compiled module, its bytes, a Response, a promise of one, or a function that answers one. It is compiled once per realm.
 * @param {import('./load.js').Source | Promise<import('./load.js').Source> | (() => any)} source @returns {Promise<Planner>}
 */
export async function createPlanner(source) {
  return new Planner(await instantiate(await compile(source)));
}
