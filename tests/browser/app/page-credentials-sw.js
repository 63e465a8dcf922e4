// The service worker under test, which has no headers of its own: it asks a page.
import { fromPages } from 'tidegate/page-credentials';
import { createSyncWorker } from 'tidegate/sw';

createSyncWorker({ endpoint: '/api/v1', wasm: 'tidegate.wasm', skipWaiting: true, authorize: fromPages() });
