/**
 * What bench/start.mjs asks a worker: wasmBytes() says how much its Wasm memories hold, which the engine's own figures leave out; unbounded() how often all of a
 * store was asked for at once. Once, and before anything else of the app.
 */
export function beWatched() {
  /** @type {WeakRef<WebAssembly.Memory>[]} */
  const memories = [];
  WebAssembly.Instance = class extends WebAssembly.Instance {
    constructor(module, imports) {
      super(module, imports);
      for (const value of Object.values(this.exports)) if (value instanceof WebAssembly.Memory) memories.push(new WeakRef(value));
    }
  };
  let asked = 0;
  for (const of of [IDBObjectStore, IDBIndex])
    for (const name of ['getAll', 'getAllKeys']) {
      const plain = of.prototype[name];
      of.prototype[name] = function (range, count) {
        if (count === undefined) asked += 1;
        return plain.call(this, range, count);
      };
    }
  Object.assign(self, { wasmBytes: () => memories.reduce((bytes, memory) => bytes + (memory.deref()?.buffer.byteLength ?? 0), 0), unbounded: () => asked });
}
