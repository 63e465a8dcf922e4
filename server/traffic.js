/**
 * Counts requests and bytes at the sockets, so that headers and resent bytes are in the figures.
 * @param {import('fastify').FastifyInstance} app
 * @returns {{totals: () => {requests: number, bytesIn: number, bytesOut: number}, cutAll: () => void}}
 */
export function countTraffic(app) {
  /** @type {Set<import('node:net').Socket>} */
  const open = new Set();
  const ended = { requests: 0, bytesIn: 0, bytesOut: 0 };
  app.server.on('request', () => { ended.requests += 1; });
  app.server.on('connection', (/** @type {import('node:net').Socket} */ socket) => {
    open.add(socket);
    socket.once('close', () => {
      open.delete(socket);
      ended.bytesIn += socket.bytesRead;
      ended.bytesOut += socket.bytesWritten;
    });
  });
  return {
    totals() {
      const sums = { ...ended };
      for (const socket of open) {
        sums.bytesIn += socket.bytesRead;
        sums.bytesOut += socket.bytesWritten;
      }
      return sums;
    },
    /** Cuts every connection, also those with a request running. */
    cutAll() {
      for (const socket of open) socket.destroy();
    },
  };
}
