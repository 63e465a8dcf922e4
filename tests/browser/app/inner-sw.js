// A worker that writes itself: what is posted to /inside its own fetch listener saves.
import { createSyncWorker } from 'tidegate/sw';
import { workerClient } from 'tidegate/worker-client';

const worker = createSyncWorker({ endpoint: '/api/v1', wasm: 'tidegate.wasm', skipWaiting: true });

self.addEventListener('fetch', (event) => {
  if (new URL(event.request.url).pathname !== '/inside') return;
  const save = async () => {
    const { entity, entityId, doc } = await event.request.json();
    return Response.json(await (await workerClient(worker)).during(event).save(entity, entityId, doc));
  };
  event.respondWith(save());
});
