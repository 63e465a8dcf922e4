// The app's origin: its files, and the way to the real server's API. It stands between browser and server, so that a test can stop a request at a
// known place, and knows what went over the line without asking either side.
import { Agent, createServer, request as forward } from 'node:http';
import { once } from 'node:events';
import { gunzipSync } from 'node:zlib';

/** What the tests promise to work under. Violations are reported here, by page and worker alike. */
const kPolicy = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; report-uri /violations";
/** What an app has that does not know of WebAssembly. */
export const kPolicyWithoutWasm = "default-src 'self'; script-src 'self'; report-uri /violations";

/**
 * What may happen to one batch. `before`: the server never sees it. `after`: the server has committed.
 * @typedef {'reset-before' | 'reset-after' | '500-before' | '500-after' | 'cut-after'} Fault
 */

export class Gateway {
  /** @type {{method: string, path: string, start?: string, body?: Buffer, status?: number, answer?: Buffer}[]} every request below /api, in the order of arrival */
  requests = [];
  /** @type {any[]} */
  violations = [];
  /** @type {any[]} what a page with nobody at the wheel told the test */
  told = [];
  /** @type {(Fault | null)[]} one for each batch to come; then none */
  faults = [];
  /** @type {Record<string, number>} how often each really happened */
  happened = {};
  /** @type {((place: 'arrived' | 'answered', batch: number) => Promise<'go' | 'drop'> | void) | null} asked at both places of every batch */
  watch = null;
  /** @type {string | null} the one token that is good; null: everybody may pass */
  token = null;
  policy = kPolicy;
  #batches = 0;
  #sockets = new Set();
  #agent = new Agent({ keepAlive: true });
  #server = createServer((request, response) => this.#serve(request, response).catch(() => response.destroy()));

  /** @param {{files: (path: string) => {type: string, body: Buffer | string} | undefined, upstreamPort: number}} options */
  constructor({ files, upstreamPort }) {
    this.files = files;
    this.upstreamPort = upstreamPort;
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  async open() {
    await once(this.#server.listen(this.port ?? 0, '127.0.0.1'), 'listening');
    this.port = this.#server.address().port;
    this.origin = `http://127.0.0.1:${this.port}`;
  }

  /** Nobody listens any more: the app's server is down. open() brings it back on the same port. */
  async down() {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async close() {
    if (this.#server.listening) await this.down();
    this.#agent.destroy();
  }

  get batches() {
    return this.#batches;
  }

  async #serve(request, response) {
    const { pathname } = new URL(request.url, this.origin);
    if (pathname === '/violations') {
      this.violations.push(JSON.parse((await bodyOf(request)).toString()));
      response.writeHead(204).end();
    } else if (pathname === '/told') {
      this.told.push(JSON.parse((await bodyOf(request)).toString()));
      response.writeHead(204).end();
    } else if (pathname.startsWith('/api/')) await this.#api(request, response, pathname);
    else this.#file(response, pathname);
  }

  #file(response, path) {
    const file = this.files(path);
    const headers = { 'content-security-policy': this.policy, 'cache-control': 'no-cache' };
    if (file) response.writeHead(200, { ...headers, 'content-type': file.type }).end(file.body);
    else response.writeHead(404, headers).end();
  }

  async #api(request, response, path) {
    const entry = { method: request.method, path, cookie: request.headers.cookie ?? '', start: request.headers['x-start'] };
    this.requests.push(entry);
    const body = await bodyOf(request);
    entry.body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body;
    const batch = path.endsWith('/batch') || request.method === 'PATCH' ? ++this.#batches : 0;   // a blob's delta goes by itself
    const fault = batch > 0 ? this.faults.shift() ?? null : null;
    if (this.token !== null && request.headers.authorization !== this.token) {
      entry.status = 401;
      return response.writeHead(401, { 'content-type': 'application/problem+json' }).end('{}');
    }
    if (await this.#stoppedAt('arrived', batch, response)) return;
    if (fault?.endsWith('-before')) return this.#suffer(fault, response);
    const answer = await this.#ask(request, body);
    Object.assign(entry, { status: answer.status, answer: answer.body });
    if (await this.#stoppedAt('answered', batch, response)) return;
    if (fault) return this.#suffer(fault, response, answer);
    response.writeHead(answer.status, answer.headers).end(answer.body);
  }

  /** Lets the watcher hold a batch for as long as it wants, or drop it. */
  async #stoppedAt(place, batch, response) {
    if (batch === 0 || (await this.watch?.(place, batch)) !== 'drop') return false;
    response.destroy();
    return true;
  }

  /** @param {Fault} fault */
  #suffer(fault, response, answer) {
    this.happened[fault] = (this.happened[fault] ?? 0) + 1;
    if (fault.startsWith('reset')) response.socket.resetAndDestroy();
    else if (fault.startsWith('500')) response.writeHead(500, { 'content-type': 'text/plain' }).end('a fault was asked for');
    else response.writeHead(answer.status, { ...answer.headers, 'content-length': answer.body.length }).write(answer.body.subarray(0, answer.body.length >> 1), () => response.destroy());
  }

  /** The real server's answer, whole. */
  async #ask({ method, url, headers }, body) {
    const { connection, 'transfer-encoding': _, ...rest } = headers;
    const asking = forward({ port: this.upstreamPort, host: '127.0.0.1', agent: this.#agent, method, path: url, headers: { ...rest, 'content-length': body.length } });
    asking.end(body);
    const [answer] = await once(asking, 'response');
    const { connection: __, 'transfer-encoding': ___, 'keep-alive': ____, ...kept } = answer.headers;
    return { status: answer.statusCode, headers: kept, body: await bodyOf(answer) };
  }
}

/** @param {import('node:http').IncomingMessage} message */
async function bodyOf(message) {
  const chunks = [];
  for await (const chunk of message) chunks.push(chunk);
  return Buffer.concat(chunks);
}
