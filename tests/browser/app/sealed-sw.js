// The service worker under test with encryption at rest.
import { encryption } from 'tidegate/encryption';
import { createSyncWorker } from 'tidegate/sw';

createSyncWorker({ endpoint: '/api/v1', wasm: 'tidegate.wasm', skipWaiting: true, encryption: encryption() });
