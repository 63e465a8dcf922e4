// A worker whose requests name the start they came from, and that would make more of a sync event than the browser gives it.
import { createSyncWorker } from 'tidegate/sw';
import { nameTheStart } from '../../faults/app/start-id.js';

nameTheStart();
createSyncWorker({ endpoint: '/api/v1', wasm: 'tidegate.wasm', skipWaiting: true, syncEventMs: 600_000 });
