// A worker with one queue of workbox's interface, whichever library it is of.
/** @param {any} Queue */
export function serveQueue(Queue) {
  const queue = new Queue('faults', { maxRetentionTime: 60 });
  self.addEventListener('install', () => self.skipWaiting());
  self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));
  self.addEventListener('message', (event) => {
    const { list, together, plainly } = event.data;
    const one = ({ id, body }) => queue.pushRequest({ request: new Request(`/api/post?op=${id}`, { method: 'POST', body, headers: { 'content-type': 'application/json' } }) });
    if (plainly) return event.waitUntil(sendPlainly(list, plainly));
    const push = async () => {
      const startedAt = performance.now();
      if (together) await Promise.all(list.map(one));
      else for (const item of list) await one(item);
      event.source.postMessage({ ms: performance.now() - startedAt });
    };
    event.waitUntil(push());
  });
}

/** The floor of every queue that sends one request per op: no store, no answer looked at, `width` at a time. @param {{id: string, body: string}[]} list @param {number} width */
async function sendPlainly(list, width) {
  let next = 0;
  const one = async () => {
    while (next < list.length) {
      const { id, body } = list[next++];
      await (await fetch(`/api/post?op=${id}`, { method: 'POST', body, headers: { 'content-type': 'application/json' } })).arrayBuffer();
    }
  };
  await Promise.all(Array.from({ length: width }, one));
}
