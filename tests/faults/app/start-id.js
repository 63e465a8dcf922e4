/** From now on every request of this worker names the start it came from, so that the server, and nobody else, counts how many workers there were. */
export function nameTheStart() {
  const id = crypto.randomUUID();
  const plain = self.fetch.bind(self);
  self.fetch = (input, init) => {
    const request = new Request(input, init);
    request.headers.set('x-start', id);
    return plain(request);
  };
}
