// A worker with one queue of workbox's interface, whichever library it is of.
/** @param {any} Queue */
export function serveQueue(Queue) {
  const queue = new Queue('faults', { maxRetentionTime: 60 });
  self.addEventListener('install', () => self.skipWaiting());
  self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));
  self.addEventListener('message', (event) => {
    const { list, together } = event.data;
    const one = ({ id, body }) => queue.pushRequest({ request: new Request(`/api/post?op=${id}`, { method: 'POST', body, headers: { 'content-type': 'application/json' } }) });
    const push = async () => {
      const startedAt = performance.now();
      if (together) await Promise.all(list.map(one));
      else for (const item of list) await one(item);
      event.source.postMessage({ ms: performance.now() - startedAt });
    };
    event.waitUntil(push());
  });
}
