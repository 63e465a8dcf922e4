/**
 * Hints: "something changed, pull". They carry nothing else, so a lost one costs a delay and an extra one costs an empty page. GET /hints answers with
 * server-sent events (HTML, section 9.2), or upgrades to a WebSocket (RFC 6455) of which this server only ever writes: text frames "change", and unsolicited
 * pongs, which RFC 6455 section 5.5.3 allows as a one-way heartbeat. Whatever a client sends on it ends it.
 */
import { createHash } from 'node:crypto';
import { problem } from './problem.js';

const WEBSOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';   // RFC 6455, section 1.3
const SSE = { hint: 'data: change\n\n', heartbeat: ':\n\n' };
const FRAMES = { hint: Buffer.concat([Buffer.from([0x81, 6]), Buffer.from('change')]), heartbeat: Buffer.from([0x8a, 0]), close: Buffer.from([0x88, 0]) };

/**
 * @typedef {{write: (what: 'hint'|'heartbeat') => void, end: () => void}} Listener
 * @typedef {ReturnType<typeof createHints>} Hints
 */

/** @param {import('./limits.js').Limits} limits */
export function createHints(limits) {
  /** @type {Set<Listener>} */
  const listeners = new Set();
  /** @type {NodeJS.Timeout|undefined} */
  let owed;
  const tell = (/** @type {'hint'|'heartbeat'} */ what) => { for (const listener of listeners) listener.write(what); };
  const heartbeat = setInterval(() => tell('heartbeat'), limits.hintHeartbeatMs).unref();
  return {
    isFull: () => listeners.size >= limits.maxHintConnections,
    /** @param {Listener} listener @returns {() => void} what takes it off again */
    add(listener) {
      listeners.add(listener);
      return () => { listeners.delete(listener); };
    },
    /** Something changed. Those who listen hear of it once per `hintGapMs`, the first time at once after a quiet spell. */
    changed() {
      if (owed) return;
      owed = setTimeout(() => {
        owed = undefined;
        tell('hint');
      }, limits.hintGapMs).unref();
    },
    close() {
      clearInterval(heartbeat);
      clearTimeout(owed);
      for (const listener of listeners) listener.end();
      listeners.clear();
    },
  };
}

/**
 * @param {import('fastify').FastifyInstance} api
 * @param {{hints: Hints, path: string, refuse: (reply: import('fastify').FastifyReply) => unknown}} options
 */
export function addHintRoutes(api, { hints, path, refuse }) {
  api.get('/hints', (request, reply) => {
    if (hints.isFull()) return refuse(reply);
    reply.hijack();
    const { raw } = reply;
    raw.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
    raw.write(SSE.heartbeat);
    raw.on('close', hints.add({ write: (what) => { raw.write(SSE[what]); }, end: () => raw.end() }));
    return reply;
  });
  api.server.on('upgrade', (/** @type {import('node:http').IncomingMessage} */ request, /** @type {import('node:net').Socket} */ socket) => {
    const fault = upgradeFault(request, path) ?? (hints.isFull() ? 503 : null);
    if (fault) {
      socket.end(`HTTP/1.1 ${fault} Refused\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    const accept = createHash('sha1').update(request.headers['sec-websocket-key'] + WEBSOCKET_GUID).digest('base64');
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
    const end = () => { if (!socket.destroyed) socket.end(FRAMES.close); };
    socket.on('close', hints.add({ write: (what) => { socket.write(FRAMES[what]); }, end }));
    socket.on('error', () => socket.destroy());
    socket.on('data', end);
  });
}

/**
 * The status a bad opening handshake is refused with (RFC 6455, section 4.2.1), or null. A page of another origin is refused: a browser lets it ask.
 * @param {import('node:http').IncomingMessage} request @param {string} path
 */
function upgradeFault({ url = '', headers }, path) {
  if (url.split('?')[0] !== path) return 404;
  if (headers.upgrade?.toLowerCase() !== 'websocket' || headers['sec-websocket-version'] !== '13') return 426;
  if (!/^[A-Za-z0-9+/]{22}==$/.test(headers['sec-websocket-key'] ?? '')) return 400;
  if (headers.origin !== undefined && headers.origin.replace(/^https?:\/\//, '') !== headers.host) return 403;
  return null;
}

export const tooManyListeners = () => problem('rate-limited', 'too many connections wait for hints');
