// The line between client and server: a TCP relay on loopback that can be cut.
//
// While it is cut, connections that exist are reset and new ones are closed at once, which is what a client sees of a network
// that is gone. The relay changes no byte, so the server's counts stay those of the client.

import { connect, createServer } from 'node:net';

/**
 * @param {() => number} serverPort the port to relay to, asked for at each connection
 */
export async function createLink(serverPort) {
  /** @type {Set<import('node:net').Socket>} */
  const sockets = new Set();
  let cut = false;
  let turnedAway = 0;

  const relay = createServer((client) => {
    if (cut) {
      turnedAway += 1;
      client.resetAndDestroy();
      return;
    }
    const server = connect(serverPort(), '127.0.0.1');
    for (const [one, other] of [[client, server], [server, client]]) {
      sockets.add(one);
      one.setNoDelay(true);
      one.on('error', () => {}); // What follows an error is `close`.
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  });
  await new Promise((resolve, reject) => {
    relay.on('error', reject);
    relay.listen(0, '127.0.0.1', () => resolve(undefined));
  });

  return {
    port: /** @type {import('node:net').AddressInfo} */ (relay.address()).port,
    /** Connections reset or refused because the line was cut. */
    turnedAway: () => turnedAway,
    isCut: () => cut,
    cut() {
      cut = true;
      turnedAway += sockets.size / 2;
      for (const socket of sockets) socket.resetAndDestroy();
    },
    mend() {
      cut = false;
    },
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => relay.close(resolve));
    },
  };
}

/** @typedef {Awaited<ReturnType<typeof createLink>>} Link */
