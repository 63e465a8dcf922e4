// Compiling a Wasm file once per realm, and which of the two builds an engine runs. Static imports only, no eval.

/** A function with one v128 value: engines without SIMD refuse it. */
const kSimdProbe = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11]);

/** True where the SIMD build of the core runs. @returns {boolean} */
export const supportsSimd = () => typeof WebAssembly === 'object' && WebAssembly.validate(kSimdProbe);

/** The file to fetch or read, below dist/. @param {'tidegate' | 'delta'} [name] @returns {string} */
export const wasmFile = (name = 'tidegate') => (supportsSimd() ? `${name}.simd.wasm` : `${name}.wasm`);

/** The core could not be loaded: refused by the CSP, not found, cut off, of another version, or no WebAssembly here. */
export class CoreUnavailable extends Error {
  /** @param {string} message @param {unknown} [cause] */
  constructor(message, cause) {
    super(message, { cause });
    this.name = 'CoreUnavailable';
    this.code = 'core-unavailable';
  }
}

/** @typedef {WebAssembly.Module | BufferSource | Response} Source */

/** @param {Source | Promise<Source>} given @returns {Promise<WebAssembly.Module>} */
async function compileNow(given) {
  if (typeof WebAssembly !== 'object') throw new CoreUnavailable('this engine has no WebAssembly');
  try {
    const source = await given;
    if (source instanceof WebAssembly.Module) return source;
    if (typeof Response !== 'function' || !(source instanceof Response)) return await WebAssembly.compile(/** @type {BufferSource} */ (source));
    if (!source.ok) throw new Error(`the server answered ${source.status} for ${source.url || 'the Wasm file'}`);
    const streams = (source.headers.get('content-type') ?? '').startsWith('application/wasm') && WebAssembly.compileStreaming;
    return await (streams ? WebAssembly.compileStreaming(source) : WebAssembly.compile(await source.arrayBuffer()));
  } catch (error) {
    throw new CoreUnavailable(`the core could not be loaded: ${/** @type {Error} */ (error).message}`, error);
  }
}

/** A compiler that compiles once and does not remember a failure. */
export function compileOnce() {
  /** @type {Promise<WebAssembly.Module> | undefined} */
  let compiled;
  return (/** @type {Source | Promise<Source> | (() => Source | Promise<Source>)} */ source) => {
    compiled ??= compileNow(typeof source === 'function' ? source() : source).catch((error) => {
      compiled = undefined;
      throw error;
    });
    return compiled;
  };
}
