/** The service worker of the sample app: the engine, the offline shell, nothing else. build.mjs puts in what the shell consists of. */
import { createSyncWorker } from 'tidegate/sw';

createSyncWorker({ endpoint: 'api/v1/', wasm: DEMO_CORE['tidegate.wasm'], shell: DEMO_SHELL });
