import { createSyncWorker, wasmFile } from 'tidegate/sw';
import { nameTheStart } from './start-id.js';

nameTheStart();
createSyncWorker({ endpoint: '/api/v1', wasm: wasmFile(), skipWaiting: true });
