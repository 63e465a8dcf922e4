// The line between client and server: a TCP relay on loopback that is slow, sees requests pass, and can be cut.
//
// Answers are held back for a while, so that a fault can hit a request while it is in flight. While the line is cut,
// connections that exist are reset and new ones are turned away, which is what a client sees of a network that is gone.
// The relay changes no byte, so what the server counts at its sockets is what the client sent.
//
// A request is in flight on a connection from its first byte until the first byte of its answer is passed on.

import { EventEmitter } from 'node:events';
import { connect, createServer } from 'node:net';

/**
 * Events: `request`, when one begins.
 */
export class Link extends EventEmitter {
  /** @type {Set<{client: import('node:net').Socket, server: import('node:net').Socket, inFlight: boolean}>} */
  #lines = new Set();
  #cut = false;
  #turnedAway = 0;
  #relay = createServer((client) => this.#take(client));

  /** @param {{serverPort: () => number, latencyMs: number}} options the port is asked for at each connection */
  constructor({ serverPort, latencyMs }) {
    super();
    this.serverPort = serverPort;
    this.latencyMs = latencyMs;
  }

  /** @returns {Promise<void>} */
  open() {
    return new Promise((resolve, reject) => {
      this.#relay.once('error', reject);
      this.#relay.listen(0, '127.0.0.1', () => resolve());
    });
  }

  get port() {
    return /** @type {import('node:net').AddressInfo} */ (this.#relay.address()).port;
  }

  get inFlight() {
    return [...this.#lines].filter((line) => line.inFlight).length;
  }

  /** Connections reset or turned away because the line was cut. */
  get turnedAway() {
    return this.#turnedAway;
  }

  /** @param {import('node:net').Socket} client */
  #take(client) {
    if (this.#cut) {
      this.#turnedAway += 1;
      reset(client);
      return;
    }
    const server = connect(this.serverPort(), '127.0.0.1');
    const line = { client, server, inFlight: false };
    this.#lines.add(line);
    for (const [one, other, delayMs] of /** @type {[typeof client, typeof server, number][]} */ ([[client, server, 0], [server, client, this.latencyMs]])) {
      one.setNoDelay(true);
      one.on('error', () => {}); // `close` follows.
      // What the server said before it closed is still on its way.
      one.on('close', (hadError) => setTimeout(() => {
        this.#lines.delete(line);
        if (hadError) reset(other);
        else other.destroySoon();
      }, delayMs));
    }
    client.on('data', (bytes) => {
      server.write(bytes);
      if (line.inFlight) return;
      line.inFlight = true;
      this.emit('request');
    });
    server.on('data', (bytes) => setTimeout(() => {
      line.inFlight = false;
      if (!client.destroyed) client.write(bytes);
    }, this.latencyMs));
  }

  cut() {
    this.#cut = true;
    this.#turnedAway += this.#lines.size;
    this.#dropAll();
  }

  mend() {
    this.#cut = false;
  }

  #dropAll() {
    for (const { client, server } of [...this.#lines]) {
      reset(client);
      reset(server);
    }
  }

  /** @returns {Promise<void>} */
  close() {
    this.#dropAll();
    return new Promise((resolve) => { this.#relay.close(() => resolve()); });
  }
}

/**
 * Resets a connection. One that is already being ended is destroyed instead: Node 20 cannot reset that, and then spins at exit
 * waiting for a handle that never closes.
 * @param {import('node:net').Socket} socket
 */
function reset(socket) {
  if (socket.writableEnded || socket.destroyed) socket.destroy();
  else socket.resetAndDestroy();
}
