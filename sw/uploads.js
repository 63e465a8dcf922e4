// Large blobs, an entry of its own: their bytes are kept in pieces and go by tus 1.0.0 (https://tus.io/protocols/resumable-upload).
//
//     createSyncWorker({ …, uploads: uploads() })        and the same for connect() and openClient(), which accept
//     client.save('MEDIA', 'film', blob)                  larger than maxOpBytes: it goes this way by itself
//
// The core decides when a request goes, which one, how many bytes it may carry, and what its answer means (planner_upload.cpp). Here the headers of tus are written and
// read. Of a blob one piece is in memory at a time when it is accepted, and one chunk when it is sent.
import { kMaxQueuedBytes, quote } from './accept.js';
import { TidegateError } from './errors.js';
import { addTotals, bytesOf, piecesOf } from './store-rules.js';

/** @import { Uploads } from './index.d.ts' */
/** @import { Store } from './store-contract.d.ts' */
/** @import { Answer } from './transport.js' */
/** @import { OpRow } from '../wasm/protocol.js' */

/** What one record of the store holds. */
export const kPieceBytes = 256 * 1024;
/** Pieces of an op that was never accepted (the page died between the two) are taken away this long after it was begun. */
const kOrphanMs = 24 * 3600 * 1000;
const kVersion = '1.0.0';

/** In the order of keys they are in the order of bytes. @param {string} id @param {number} n */
const pieceKey = (id, n) => `${piecesOf(id)}${String(n).padStart(5, '0')}`;

/**
 * @param {{maxBytes?: number}} [options]  maxBytes: of one blob. Default and at most 256 MiB, all that an outbox may hold
 * @returns {Uploads}
 */
export function uploads({ maxBytes = kMaxQueuedBytes } = {}) {
  if (!Number.isInteger(maxBytes) || maxBytes < 1 || maxBytes > kMaxQueuedBytes)
    throw new TidegateError('out-of-range', '/maxBytes', `maxBytes: expected a whole number from 1 to ${kMaxQueuedBytes}, got ${quote(maxBytes)}`);
  return { maxBytes, around, keeping, shown, tidy };
}

/** @type {Uploads['around']} */
const around = (transport, { store, clock, publish }) => ({
  ...transport,
  send: async (/** @type {any} */ effect, /** @type {Uint8Array | undefined} */ body, /** @type {AbortSignal} */ stop) => {
    if (effect.type !== 'upload') return transport.send(effect, body, stop);
    const startedAtMs = clock.now();
    if (effect.method === 'DELETE') {   // of an op that is not here any more
      const { body, ...answer } = await transport.send({ ...effect, type: 'send', ...requestOf(effect, /** @type {any} */ ({}), readState(effect.detail.upload)) }, undefined, stop);
      return answer;
    }
    try {
      const row = await store.rowById(effect.detail.id);
      if (!row?.upload) throw new Error('its row is not there');
      const state = readState(row.upload);
      const bytes = effect.method === 'PATCH' ? await chunkOf(row, effect.detail.bytes, state, store) : undefined;
      if (bytes === null) return refusal('its bytes are missing from the store', { startedAtMs, endedAtMs: clock.now() });
      const { url, headers } = requestOf(effect, row, state);
      return answerOf(effect, row, state, await transport.send({ ...effect, type: 'send', url, headers }, bytes, stop), publish);
    } catch (error) {   // the store's: nothing left
      return { failure: 'aborted', message: String(/** @type {any} */ (error)?.message ?? error), startedAtMs, endedAtMs: clock.now() };
    }
  },
});

/**
 * How far an upload is: the text that the core keeps with the op, of which it reads the number. "new" before it was begun.
 * @typedef {{url: string, offset: number}} State
 * @param {string} upload @returns {State}
 */
function readState(upload) {
  const [, offset = 0, url = 'uploads'] = /^(\d+) (.+)/.exec(upload) ?? [];
  return { url, offset: Number(offset) };
}

/** @param {any} effect @param {OpRow} row @param {State} state */
function requestOf({ method, headers, detail }, { entity, contentType = '', sizeBytes }, { url, offset }) {
  const metadata = Object.entries({ entity, entityId: detail.entityId, filetype: contentType }).map(([name, value]) => `${name} ${base64(value)}`).join(',');
  const own = /** @type {Record<string, any>} */ ({
    POST: { 'upload-length': `${sizeBytes}`, 'upload-metadata': metadata },
    PATCH: { 'content-type': 'application/offset+octet-stream', 'upload-offset': `${offset}` },
  })[method];
  return { url, headers: { ...headers, 'tus-resumable': kVersion, ...own } };
}

/** The bytes from where the upload is, as many as the core allows; null where they are not in the store any more. @param {OpRow} row @param {number} most @param {State} state @param {Store} store */
async function chunkOf({ id, sizeBytes = 0 }, most, { offset }, store) {
  const end = Math.min(sizeBytes, offset + Math.max(1, Math.floor(most)));
  const chunk = new Uint8Array(end - offset);
  for (let at = offset; at < end;) {
    const n = Math.floor(at / kPieceBytes), begin = n * kPieceBytes;
    const piece = bytesOf(await store.get('payloads', pieceKey(id, n)))?.subarray(at - begin, end - begin);
    if (!piece?.length) return null;
    chunk.set(piece, at - offset);
    at += piece.length;
  }
  return chunk;
}

/** UTF-8 in base64. @param {string} text */
const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

/**
 * The answer as the core reads it. One that says how far the upload is has that in `message`, to be kept; the one to its last byte has none, and is the answer to the op.
 * @param {any} effect @param {OpRow} row @param {State} state @param {Answer} answer @param {(type: string, detail: any) => void} publish @returns {Answer}
 */
function answerOf({ method, owner }, { id, entity, entityId, sizeBytes = 0 }, state, answer, publish) {
  const { status = 0, headers = {}, failure, message, startedAtMs, endedAtMs } = /** @type {any} */ (answer);
  const times = { startedAtMs, endedAtMs };
  // Asked again it would be refused again, for ever.
  if (failure === 'blocked' && method !== 'POST') return refusal(`its address is refused: ${message}`, times);
  if (status === 412 && headers['tus-version']) return refusal(`the server speaks tus ${headers['tus-version']}, not ${kVersion}`, times);
  if (failure || status < 200 || status > 299 || /html/.test(headers['content-type'] ?? '')) return answer;

  const said = headers['upload-offset'] ?? (method === 'POST' ? '0' : '');
  const offset = /^\d{1,15}$/.test(said) ? Number(said) : Infinity;
  const url = method === 'POST' ? headers.location : state.url;
  const ended = method === 'PATCH' && offset === sizeBytes;
  if (!url || offset > sizeBytes || (method === 'PATCH' && !ended && offset <= state.offset))
    return { failure: 'truncated', message: `the answer to ${method} does not say how far the upload is`, ...times };
  if (method === 'PATCH') publish('upload.progress', { id, owner, entity, entityId, sentBytes: offset, sizeBytes });
  return ended ? answer : { ...answer, message: `${offset} ${url}` };
}

/** What nobody but a person can set right. @param {string} title @param {{startedAtMs: number, endedAtMs: number}} times @returns {Answer} */
const refusal = (title, times) => ({ ...times, status: 400, headers: {}, body: new TextEncoder().encode(JSON.stringify({ title, status: 400 })) });

/**
 * Accepts items of which some have a `source`, a blob too large for one record. The pieces go first, each in a transaction of its own; the op is there with the one
 * transaction that appends its row, or not at all. Where that fails, or does not come about, the pieces are taken away again.
 * @type {Uploads['keeping']}
 */
async function keeping(store, items, limits, append) {
  const large = items.filter(({ source }) => source);
  if (large.length === 0) return append(items);
  addTotals((await store.census()).totals, items, limits);   // refused before anything is written; the transaction looks again
  try {
    for (const { row, source } of large) await cut(store, row.id, /** @type {Blob | Uint8Array} */ (source));
    return await append(items);
  } catch (error) {
    for (const { row } of large) await drop(store, row.id).catch(() => {});   // else tidy() does it later
    throw error;
  }
}

/** @param {Store} store @param {string} id @param {Blob | Uint8Array} source */
async function cut(store, id, source) {
  const size = source instanceof Uint8Array ? source.length : source.size;
  for (let n = 0; n * kPieceBytes < size; n++) {
    const part = source.slice(n * kPieceBytes, (n + 1) * kPieceBytes);
    await store.stage({ store: 'payloads', key: pieceKey(id, n), bytes: part instanceof Uint8Array ? part : new Uint8Array(await part.arrayBuffer()) });
  }
}

/** @param {Store} store @param {string} id */
const drop = (store, id) => store.stage({ store: 'payloads', prefix: piecesOf(id), remove: true });

/**
 * The blob of a document whose bytes lie in pieces; undefined where they are gone, because the server has them.
 * @type {Uploads['shown']}
 */
async function shown(store, doc) {
  if (!doc || doc.deleted || doc.bytes || !doc.opId) return undefined;
  const row = await store.rowById(doc.opId);
  if (!row?.upload) return undefined;
  const parts = [];
  for (let n = 0; n * kPieceBytes < (row.sizeBytes ?? 0); n++) {
    const piece = bytesOf(await store.get('payloads', pieceKey(row.id, n)));
    if (!piece) return undefined;
    parts.push(new Blob([/** @type {any} */ (piece)]));
  }
  return new Blob(parts, { type: doc.contentType });
}

/** Takes away what a page left that died before its op was accepted. @type {Uploads['tidy']} */
async function tidy(store, nowMs) {
  for (let after = 'up:'; ;) {
    const [found] = await store.list('payloads', { prefix: 'up:', after, limit: 1 });
    if (!found) return;
    const [, id] = found.key.split(':');
    after = `${piecesOf(id)}~`;
    const begunMs = parseInt(id.replace('-', '').slice(0, 12), 16);   // UUIDv7 begins with its time
    if (!(begunMs > nowMs - kOrphanMs) && !(await store.rowById(id))) await drop(store, id);
  }
}
