// The only way from the browser to a server, and where everything goes wrong: answers of 500, connections reset after the commit, and blows that end the
// worker. It counts what it saw: deliveries of every op, and the starts of the worker by the id each request carries.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { gunzipSync } from 'node:zlib';
import { createRandom } from '../../headless/random.mjs';

/**
 * @typedef {{method: string, url: string, headers: Record<string, any>, body: Buffer}} Asked
 * @typedef {{status: number, headers?: Record<string, any>, body?: Buffer | string}} Answer
 * @typedef {object} GateOptions
 * @property {(path: string) => {type: string, body: Buffer} | undefined} files
 * @property {(asked: Asked) => Promise<Answer>} upstream   what commits
 * @property {(asked: Asked) => string[]} opsOf             the ops a write carries
 * @property {number} seed
 * @property {number} rate500    how many of the writes are answered 500, and not applied
 * @property {number} rateReset  how many are applied, and then get no answer but a reset
 * @property {number} kills      how often the worker is ended while a request of it is here
 * @property {[number, number]} killAfter  after how many requests of one start, at least and at most
 */

export class Gate {
  /** @type {(() => Promise<void>) | null} ends the worker; set before the first write comes */
  strike = null;
  /** @type {Set<string>} the ids of the worker's starts; each but the first is the proof that the one before was ended */
  starts = new Set();
  writes = 0;
  /** when the last write was done */
  lastAt = 0;
  counts = { answered500: 0, reset: 0 };
  /** @type {Map<string, ('ok' | '500' | 'reset' | 'killed')[]>} op → how each of its deliveries ended */
  deliveries = new Map();
  #sockets = new Set();
  #closedBytes = 0;
  #sinceStart = 0;
  #killAt = 0;
  #current = '';
  #striking = false;

  /** @param {GateOptions} options */
  constructor(options) {
    this.options = options;
    this.random = createRandom(options.seed, 'gate');
    this.server = createServer((request, response) => this.#serve(request, response).catch(() => response.destroy()));
    this.server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        this.#closedBytes += socket.bytesRead;
      });
    });
  }

  /** All bytes that ever arrived, headers and what is no request of ours included. */
  get bytes() {
    return [...this.#sockets].reduce((sum, socket) => sum + socket.bytesRead, this.#closedBytes);
  }

  async open() {
    await once(this.server.listen(this.port ?? 0, '127.0.0.1'), 'listening');
    this.port = this.server.address().port;
    this.origin = `http://127.0.0.1:${this.port}`;
  }

  /** Nobody listens until open(). */
  async down() {
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async close() {
    if (this.server.listening) await this.down();
  }

  /** How often an op arrived again because the answer to its delivery before was a reset, per op, and 1 for the first time. @param {number} ops */
  deliveriesFromResets(ops) {
    let again = 0;
    for (const hows of this.deliveries.values()) again += hows.filter((_, i) => i > 0 && hows[i - 1] === 'reset').length;
    return 1 + again / ops;
  }

  /** How often the worker was ended: a blow counts once its successor was heard of. */
  get killed() {
    return Math.max(0, this.starts.size - 1);
  }

  get isDoneStriking() {
    return this.killed >= this.options.kills && !this.#striking;
  }

  get delivered() {
    return [...this.deliveries.values()].reduce((sum, hows) => sum + hows.length, 0);
  }

  async #serve(request, response) {
    const url = new URL(request.url, this.origin);
    if (!url.pathname.startsWith('/api/')) {
      const file = this.options.files(url.pathname);
      response.writeHead(file ? 200 : 404, { 'cache-control': 'no-cache', ...(file ? { 'content-type': file.type } : {}) }).end(file?.body);
      return;
    }
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const asked = { method: request.method, url: request.url, headers: request.headers, body: Buffer.concat(chunks) };
    if (['GET', 'HEAD'].includes(asked.method)) return reply(response, await this.options.upstream(asked));
    await this.#write(asked, request, response);
  }

  async #write(asked, request, response) {
    const { rate500, rateReset, opsOf, upstream } = this.options;
    this.writes += 1;
    const ops = opsOf(plain(asked));
    const chance = this.random.next();
    const blow = this.#blow(asked.headers['x-start'] ?? 'page');
    const end = (how) => { for (const op of ops) this.deliveries.set(op, [...(this.deliveries.get(op) ?? []), how]); };
    if (blow) {
      await blow();
      end('killed');
      if (this.random.next() < 0.5) await upstream(asked);   // the server had begun: its work is done, and nobody hears of it
      return response.destroy();
    }
    if (this.#striking || request.socket.destroyed) return end('killed');   // its sender is gone before the commit: not applied
    if (chance < rate500) {
      this.counts.answered500 += 1;
      end('500');
      return response.writeHead(500, { 'content-type': 'text/plain' }).end('a fault was asked for');
    }
    const answer = await upstream(asked);
    if (chance < rate500 + rateReset) {
      this.counts.reset += 1;
      end('reset');
      return response.socket?.resetAndDestroy();
    }
    end('ok');
    this.lastAt = performance.now();
    return reply(response, answer);
  }

  /** Whether this request is one to strike at, and how. @param {string} start */
  #blow(start) {
    const { kills, killAfter: [least, most] } = this.options;
    if (!this.starts.has(start)) {
      this.starts.add(start);
      this.#current = start;
      this.#sinceStart = 0;
      this.#killAt = this.random.integer(least, most);
    }
    if (start === this.#current) this.#sinceStart += 1;
    if (!this.strike || this.#striking || this.killed >= kills || start !== this.#current || this.#sinceStart < this.#killAt) return null;
    return async () => {
      this.#striking = true;
      this.#sinceStart = 0;   // should this start survive, it is struck again
      try {
        await this.strike?.();
      } finally { this.#striking = false; }
    };
  }
}

/** @param {Asked} asked */
const plain = (asked) => (asked.headers['content-encoding'] === 'gzip' ? { ...asked, body: gunzipSync(asked.body) } : asked);

/** @param {import('node:http').ServerResponse} response @param {Answer} answer */
function reply(response, { status, headers = {}, body = '' }) {
  if (!response.destroyed) response.writeHead(status, headers).end(body);
}
