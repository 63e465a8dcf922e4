// The page under test: it opens the outbox, with the service worker unless the address says ?worker=none, and leaves the client where a test finds it.
import { connect, wasmFile } from 'tidegate';

const withWorker = new URLSearchParams(location.search).get('worker') !== 'none';

window.client = connect({ endpoint: '/api/v1', wasm: wasmFile(), ...(withWorker ? { worker: 'sw.js' } : {}) });
