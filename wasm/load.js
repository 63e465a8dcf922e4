// Compiles the core once per realm and makes instances of it. Static imports only, no eval: it runs in pages, workers, service workers and Node.
import createModule from '../dist/tidegate.mjs';

/** The protocol number that glue and core exchange at start (kBoundaryVersion in wasm/tidegate/protocol.h). */
export const kBoundaryVersion = 1;

/** A function with one v128 value: engines without SIMD refuse it. */
const kSimdProbe = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11]);

/** True where the SIMD build of the core runs. @returns {boolean} */
export const supportsSimd = () => typeof WebAssembly === 'object' && WebAssembly.validate(kSimdProbe);

/** The file to fetch or read, below dist/. @returns {'tidegate.simd.wasm' | 'tidegate.wasm'} */
export const wasmFile = () => (supportsSimd() ? 'tidegate.simd.wasm' : 'tidegate.wasm');

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

/** @type {Promise<WebAssembly.Module> | undefined} */
let compiled;

/** Compiles once; a failure is not remembered. @param {Source | Promise<Source> | (() => Source | Promise<Source>)} source @returns {Promise<WebAssembly.Module>} */
export function compile(source) {
  compiled ??= compileNow(typeof source === 'function' ? source() : source).catch((error) => {
    compiled = undefined;
    throw error;
  });
  return compiled;
}

/** A fresh instance (about a millisecond): one that trapped is thrown away, not repaired. @param {WebAssembly.Module} module @returns {Promise<any>} */
export async function instantiate(module) {
  /** @type {(error: unknown) => void} */
  let refuse = () => {};
  const failed = new Promise((_, reject) => { refuse = reject; });
  const ready = createModule({
    /** @param {WebAssembly.Imports} imports @param {(instance: WebAssembly.Instance, module: WebAssembly.Module) => void} done */
    instantiateWasm(imports, done) {
      try {   // the glue never settles its promise when this throws
        const instance = new WebAssembly.Instance(module, imports);
        done(instance, module);
        return instance.exports;
      } catch (error) {
        refuse(new CoreUnavailable(`the core could not be started: ${/** @type {Error} */ (error).message}`, error));
        return {};
      }
    },
    print() {},
    printErr() {},
  });
  const core = await Promise.race([ready, failed]);
  if (core.boundaryVersion() !== kBoundaryVersion)
    throw new CoreUnavailable(`the Wasm file is of boundary version ${core.boundaryVersion()}, this code of ${kBoundaryVersion}: they belong to different releases`);
  return core;
}
