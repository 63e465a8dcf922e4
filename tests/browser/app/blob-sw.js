// The service worker under test with deltas of blobs.
import { blobDeltas } from 'tidegate/blob-deltas';
import { createSyncWorker } from 'tidegate/sw';

createSyncWorker({ endpoint: '/api/v1', wasm: 'tidegate.wasm', skipWaiting: true, blobDeltas: blobDeltas({ wasm: self.location.href }) });
