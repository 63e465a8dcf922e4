import type { Uploads } from './index.js';

/**
 * For the option `uploads` of createSyncWorker(), connect() and openClient(): blobs larger than `maxOpBytes` are kept in pieces and go by tus 1.0.0.
 * `maxBytes`: of one blob; default and at most 256 MiB, all that an outbox may hold.
 */
export function uploads(options?: { maxBytes?: number }): Uploads;
