import type { Client, ClientOptions, SyncWorker } from './index.js';

/** What concerns saving; the rest it has from the worker. */
export type WorkerClientOptions = Pick<ClientOptions, 'owner' | 'fields' | 'maxOpBytes' | 'maxQueuedOps' | 'maxQueuedBytes'>;
export interface WorkerClient extends Client {
  /** This client, each call of which keeps `event` alive until what it began is drained. Without it the browser may stop the worker in the middle; nothing is lost then. */
  during(event: { waitUntil(work: Promise<unknown>): void }): Client;
}
/** Opens a client inside the service worker. Call it in an event, not while the script is evaluated. `worker`: what createSyncWorker() answered. */
export function workerClient(worker: SyncWorker, options?: WorkerClientOptions): Promise<WorkerClient>;
