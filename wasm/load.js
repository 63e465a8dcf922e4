// Makes instances of the planner's module. Static imports only, no eval: it runs in pages, workers, service workers and Node.
import createModule from '../dist/tidegate.mjs';
import { CoreUnavailable, compileOnce } from './compile.js';

export { CoreUnavailable } from './compile.js';

/** @typedef {import('./compile.js').Source} Source */

/** The protocol number that glue and core exchange at start (kBoundaryVersion in wasm/tidegate/protocol.h). */
export const kBoundaryVersion = 1;

/** Compiles the planner's module, once per realm. */
export const compile = compileOnce();

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
