// `tidegate/worker-client` is typed: what a user writes is checked here by tsc (npm run types), what must be refused by @ts-expect-error. Nothing runs.
import { createSyncWorker } from 'tidegate/sw';
import { workerClient } from 'tidegate/worker-client';
import type { Client } from 'tidegate';

const worker = createSyncWorker({ endpoint: '/api/v1' });
export const leave: () => void = worker.subscribe((event) => event.type);

export async function onPush(event: { waitUntil(work: Promise<unknown>): void }) {
  const client = await workerClient(worker, { owner: 'ann', fields: { ALERT: ['severity'] } });
  const inside: Client = client.during(event);
  const { id } = await inside.save('ALERT', null, { severity: 4 });
  // @ts-expect-error: where the API lives says createSyncWorker()
  await workerClient(worker, { endpoint: '/api/v2' });
  // @ts-expect-error: an event has waitUntil
  client.during({});
  return id;
}
