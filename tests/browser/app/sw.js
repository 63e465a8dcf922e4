// The service worker under test. The site replaces the version, as a build does.
import { createSyncWorker } from 'tidegate/sw';
import { tasks } from 'tidegate/tasks';
import { uploads } from 'tidegate/uploads';

createSyncWorker({
  endpoint: '/api/v1', wasm: 'tidegate.wasm', skipWaiting: true,
  shell: { version: 'SHELL_VERSION', assets: ['page.js'], navigate: 'index.html' },
  uploads: uploads(),
  tasks: tasks([{ taskId: 'tell', execute: async ({ input }) => (await fetch('/told', { method: 'POST', body: JSON.stringify(input) })).ok }]),
});

// The engine's own figures leave Wasm memories out, so the memory test asks here.
const memories = [];
WebAssembly.Instance = class extends WebAssembly.Instance {
  constructor(module, imports) {
    super(module, imports);
    for (const value of Object.values(this.exports)) if (value instanceof WebAssembly.Memory) memories.push(new WeakRef(value));
  }
};
self.wasmBytes = () => memories.reduce((bytes, memory) => bytes + (memory.deref()?.buffer.byteLength ?? 0), 0);
