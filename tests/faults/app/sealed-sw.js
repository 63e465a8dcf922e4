import { encryption } from 'tidegate/encryption';
import { createSyncWorker } from 'tidegate/sw';
import { nameTheStart } from './start-id.js';

nameTheStart();
createSyncWorker({ endpoint: '/api/v1', wasm: 'tidegate.wasm', skipWaiting: true, encryption: encryption() });
