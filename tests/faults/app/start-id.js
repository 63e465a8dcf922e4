/**
 * From now on every request of this worker names the start it came from, so that the server, and nobody else, counts how many workers there were; and when its first
 * sync event reached it (bench/start.mjs).
 */
export function nameTheStart() {
  const id = crypto.randomUUID();
  let syncAt = 0;
  self.addEventListener('sync', () => { syncAt ||= performance.timeOrigin + performance.now(); });
  const plain = self.fetch.bind(self);
  self.fetch = (input, init) => {
    const request = new Request(input, init);
    request.headers.set('x-start', id);
    request.headers.set('x-sync-at', String(syncAt));
    return plain(request);
  };
}
