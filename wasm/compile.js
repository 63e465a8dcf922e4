// Compiling a Wasm file once per realm. Static imports only, no eval.

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
    if (!(source instanceof Response)) return await WebAssembly.compile(/** @type {BufferSource} */ (source));
    if (!source.ok) throw new Error(`the server answered ${source.status} for ${source.url || 'the Wasm file'}`);
    const streams = source.headers.get('content-type')?.startsWith('application/wasm') && WebAssembly.compileStreaming;
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
