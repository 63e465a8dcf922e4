/**
 * The reference server of docs/protocol.md. docs/server.md says how to run it.
 *
 *     const server = await createServer({ store: await openSqliteStore({ file: 'sync.db' }) });
 *     console.log(server.url);
 *     await server.close();
 */
import Fastify from 'fastify';
import { discardRest, readBody } from './body.js';
import { createPatcher } from './codec.js';
import { createDecide } from './decide.js';
import { createEngine } from './engine.js';
import { createFaults, plantBug } from './faults.js';
import { addHintRoutes, createHints, tooManyListeners } from './hints.js';
import { limitsFrom } from './limits.js';
import { ENTITY } from './op.js';
import { PROBLEM_TYPE, Refusal, problem } from './problem.js';
import { createRateLimit } from './rate-limit.js';
import { addManagementRoutes, addRoutes, sendProblem } from './routes.js';
import { serveStatic } from './static.js';
import { countTraffic } from './traffic.js';
import { addUploadRoutes } from './uploads.js';

export { openSqliteStore } from './store-sqlite.js';

const API = '/api/v1';
/** An id of 128 characters of four UTF-8 bytes each, percent-encoded. */
const MAX_SEGMENT_CHARS = 128 * 12;

/**
 * @typedef {object} ServerOptions
 * @property {import('./store.js').Store} store      closed by close()
 * @property {string} [host]                          default 127.0.0.1: only this machine
 * @property {number} [port]                          default 0: any free one
 * @property {Partial<import('./limits.js').Limits>} [limits]
 * @property {string[]} [staticDirs]                  served at "/"
 * @property {string[]} [assignIds]                   entity types whose new entities get an id from the server, whatever the client called them (docs/protocol.md); none by default
 * @property {{perSecond: number, burst: number}} [rateLimit]   per client address; off by default
 * @property {() => number} [clock]                   milliseconds since the epoch
 * @property {(message: string, error?: unknown) => void} [log]  told about the server's own failures; by default nobody is
 * @property {Record<string, number>} [faults]        probabilities, see faults.js
 * @property {number} [seed]                          of the faults
 * @property {string} [plant]                         a planted bug, see faults.js
 *
 * @typedef {object} Stats
 * @property {number} requests   begun, of all paths
 * @property {number} bytesIn    read from sockets, headers included, also from connections still open
 * @property {number} bytesOut
 * @property {Record<string, number>} faults   how often each really happened
 *
 * @typedef {object} Server
 * @property {string} url        without a slash at its end
 * @property {() => Stats} stats
 * @property {(names: (import('./faults.js').FaultName|null)[]) => void} demandFaults   a fault (or null) for each of the next API requests, see faults.js
 * @property {() => Promise<void>} close   takes no more requests, waits `closeGraceMs` for running ones, closes the store. May be called twice
 */

/**
 * Starts a server. Rejects with a TypeError naming the option when one is wrong, or with the error of the socket.
 * @param {ServerOptions} options
 * @returns {Promise<Server>}
 */
export async function createServer({
  store, host = '127.0.0.1', port = 0, limits: changedLimits, staticDirs = [], rateLimit, assignIds = [], clock = Date.now, log = () => {}, faults: rates = {}, seed = 0, plant,
}) {
  const limits = limitsFrom(changedLimits);
  const faults = createFaults({ rates, seed });
  for (const [i, entity] of assignIds.entries()) if (!ENTITY.test(entity)) throw new TypeError(`assignIds[${i}] must be an entity type (${ENTITY.source}), got ${JSON.stringify(entity)}`);
  const sound = createDecide({ limits, applyPatch: await createPatcher(limits), assignIds });
  const decide = plant === undefined ? sound : plantBug(plant, sound);
  const onError = (/** @type {unknown} */ error) => log('the server failed', error);
  const hints = createHints(limits);
  const engine = createEngine({ store, decide, clock, onError, onChange: hints.changed });

  const app = createApp(limits, onError);
  const traffic = countTraffic(app);
  app.register(async (api) => {
    api.addHook('onSend', async (_, reply) => { reply.headers({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' }); });
    addManagementRoutes(api);
    addHintRoutes(api, { hints, path: `${API}/hints`, refuse: (reply) => sendProblem(reply, tooManyListeners()) });
    api.register(async (counted) => {
      if (rateLimit) counted.addHook('onRequest', createRateLimit(rateLimit, clock));
      faults.install(counted);
      addRoutes(counted, { store, engine, limits, mark: faults.mark });
      addUploadRoutes(counted, { store, engine, decide, limits, clock, prefix: API });
    });
  }, { prefix: API });
  serveStatic(app, staticDirs);
  await app.listen({ host, port });

  const purging = keepPurging({ store, limits, clock, onError });
  /** @type {Promise<void>|undefined} */
  let closing;
  async function close() {
    clearInterval(purging);
    hints.close();
    const grace = setTimeout(() => traffic.cutAll(), limits.closeGraceMs);
    try {
      await app.close();
    } finally {
      clearTimeout(grace);
      await store.close();
    }
  }
  return {
    url: urlOf(host, /** @type {import('node:net').AddressInfo} */ (app.server.address()).port),
    stats: () => ({ ...traffic.totals(), faults: { ...faults.counts } }),
    demandFaults: faults.demand,
    close: () => (closing ??= close()),
  };
}

/**
 * Fastify with every answer of its own turned into a problem document.
 * @param {import('./limits.js').Limits} limits
 * @param {(error: unknown) => void} onError
 */
function createApp(limits, onError) {
  const app = Fastify({
    logger: false,
    bodyLimit: limits.maxBodyBytes,
    requestTimeout: limits.requestTimeoutMs,
    return503OnClosing: false,
    routerOptions: { maxParamLength: MAX_SEGMENT_CHARS },
    frameworkErrors: (error, _, reply) => { sendProblem(/** @type {any} */ (reply), problem('bad-request', error.message, { field: 'path' })); },
    clientErrorHandler: answerClientError,
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', async (/** @type {import('fastify').FastifyRequest} */ request, /** @type {unknown} */ payload) => {
    const { maxBytes, stream } = /** @type {{maxBytes?: number, stream?: boolean}} */ (request.routeOptions.config);
    const message = /** @type {import('node:http').IncomingMessage} */ (payload);
    if (stream) return message;
    if (maxBytes === undefined) return discardRest(message, limits.maxDiscardBytes);
    return readBody(message, { maxBytes, maxDiscardBytes: limits.maxDiscardBytes });
  });
  app.setNotFoundHandler((request, reply) => sendProblem(reply, problem('not-found', `there is nothing at ${request.method} ${request.url.slice(0, 200)}`)));
  app.setErrorHandler((error, _, reply) => {
    if (error instanceof Refusal) return sendProblem(reply, error.problem);
    const { statusCode = 500, message } = /** @type {import('fastify').FastifyError} */ (error);
    if (statusCode === 413) return sendProblem(reply, problem('too-large', message));
    if (statusCode === 415) return sendProblem(reply, problem('unsupported', message));
    if (statusCode >= 400 && statusCode < 500) return sendProblem(reply, problem('bad-request', message));
    onError(error);
    return sendProblem(reply, problem('internal'));
  });
  return app;
}

/**
 * What is not even HTTP is answered on the bare socket.
 * @param {NodeJS.ErrnoException} error
 * @param {import('node:net').Socket} socket
 */
function answerClientError(error, socket) {
  if (error.code === 'ECONNRESET' || !socket.writable) return socket.destroy();
  const body = JSON.stringify(problem('bad-request', `the request is not HTTP: ${error.message}`));
  const length = Buffer.byteLength(body);
  return socket.end(`HTTP/1.1 400 Bad Request\r\nContent-Type: ${PROBLEM_TYPE}\r\nContent-Length: ${length}\r\nConnection: close\r\n\r\n${body}`);
}

/** @param {{store: import('./store.js').Store, limits: import('./limits.js').Limits, clock: () => number, onError: (error: unknown) => void}} options */
function keepPurging({ store, limits, clock, onError }) {
  const purge = async () => {
    await store.purge({ keysBeforeMs: clock() - limits.keyRetentionMs, tombstonesBeforeMs: clock() - limits.tombstoneRetentionMs }).catch(onError);
    await store.uploads.purge({ unfinishedBeforeMs: clock() - limits.uploadRetentionMs, endedBeforeMs: clock() - limits.keyRetentionMs }).catch(onError);
  };
  return setInterval(purge, limits.purgeEveryMs).unref();
}

/**
 * @param {string} host
 * @param {number} port
 */
function urlOf(host, port) {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
