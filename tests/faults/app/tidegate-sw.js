import { createSyncWorker } from 'tidegate/sw';
import { nameTheStart } from './start-id.js';
import { beWatched } from './watched.js';

nameTheStart();
beWatched();
createSyncWorker({ endpoint: '/api/v1', wasm: 'tidegate.wasm', skipWaiting: true });
