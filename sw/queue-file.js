// The outbox as a file: for a device that is handed in, a browser that is about to be wiped, a support case. NDJSON: a head line, then one line per op with its
// document in base64 (of an upload: its pieces, each for itself). Only what is this owner's goes in, and only this owner may bring it back.
//
// An op keeps its id, which is its idempotency key, so a server that has it already answers so and nothing is done twice; an id that is here already is left alone.
// A frozen delta does not travel, because what it rests on does not: such an op goes as a whole document under its next key, and its precondition guards it.
import { kMaxOpBytes, kMaxQueuedBytes, kMaxQueuedOps, laneOf, quote } from './accept.js';
import { TidegateError } from './errors.js';
import { opsOf, pagesOf } from './paging.js';
import { bytesOf, payloadKey, piecesOf } from './store-rules.js';

/** @import { AcceptItem, Store } from './store-contract.d.ts' */

const kVersion = 1;
/** What is stored of an op and is true only where it was stored, or of a send that is over. */
const kLocal = ['seq', 'score', 'untilMs', 'waitMs', 'undo', 'bodyBytes', 'upload'];

/** @param {Store} store @param {string} owner @param {number} nowMs @returns {Promise<Blob>} */
export async function writeQueue(store, owner, nowMs) {
  /** @type {any[]} */
  const parts = [`${JSON.stringify({ tidegate: 'queue', version: kVersion, owner, exportedAt: nowMs })}\n`];
  for await (const rows of opsOf(store, owner)) {
    const mine = rows.filter((row) => !(/** @type {any} */ (row).unreadable));
    const documents = await store.getMany('payloads', mine.map(({ seq }) => payloadKey(seq, 'next')));
    for (const [i, row] of mine.entries()) {
      const pieces = row.upload && await piecesIn(store, row.id);
      parts.push(new Blob([`${JSON.stringify({ row: without(row, kLocal), ...(documents[i] && { bytes: toBase64(documents[i]) }), ...(pieces && { pieces }) })}\n`]));
    }
  }
  return new Blob(parts, { type: 'application/x-ndjson' });
}

/** @param {Store} store @param {string} id @returns {Promise<string[]>} */
async function piecesIn(store, id) {
  const pieces = [];
  for await (const page of pagesOf(store, 'payloads', { prefix: piecesOf(id), limit: 1 })) for (const { value } of page) pieces.push(toBase64(/** @type {Uint8Array} */ (bytesOf(value))));
  return pieces;
}

/**
 * The ops of a file that are not here yet, checked, ready for `store.accept`. Throws TidegateError naming the line; nothing was stored then.
 * @param {Store} store @param {string} owner @param {unknown} file  a Blob, text or bytes @param {boolean} uploads  whether there is who keeps blobs in pieces @returns {Promise<AcceptItem[]>}
 */
export async function readQueue(store, owner, file, uploads) {
  const lines = (await textOf(file)).split('\n');
  if (lines.pop() !== '') throw refusal(lines.length, 'the file was cut off: its last line has no end');
  const head = parse(lines[0] ?? '', 0);
  if (head?.tidegate !== 'queue' || head.version !== kVersion) throw refusal(0, `expected an exported queue of version ${kVersion}, got ${quote(lines[0] ?? '')}`);
  if (head.owner !== owner) throw refusal(0, 'it belongs to another owner');
  if (lines.length - 1 > kMaxQueuedOps) throw refusal(0, `expected at most ${kMaxQueuedOps} ops, got ${lines.length - 1}`);
  const items = [];
  for (let at = 1; at < lines.length; at++) {
    const item = itemOf(parse(lines[at], at), owner, at, uploads);
    if (!(await store.rowById(item.row.id))) items.push(item);
  }
  return items;
}

/** @param {any} line @param {string} owner @param {number} at @param {boolean} uploads @returns {AcceptItem} */
function itemOf(line, owner, at, uploads) {
  const row = line?.row;
  const named = row && ['id', 'lane', 'entity', 'entityId', 'action'].every((name) => typeof row[name] === 'string' && row[name] !== '');
  if (!named || row.id.length > 128 || row.lane !== laneOf(owner, row.entity, row.entityId)) throw refusal(at, 'expected an op of this owner');
  const source = line.pieces && joined(line.pieces, at, uploads);
  const bytes = line.bytes === undefined ? null : fromBase64(line.bytes, at);
  if ((bytes?.length ?? 0) > kMaxOpBytes) throw refusal(at, `expected at most ${kMaxOpBytes} bytes, got ${bytes?.length}`);
  const frozen = row.codec && row.codec !== 'none' && row.codec !== 'full';
  const moved = frozen ? { ...without(row, ['codec', 'unknown']), key: `${row.id}.${Number(row.key?.slice(row.id.length + 1) || 1) + 1}` } : row;
  const defaults = { owner, priority: 'normal', schemaVersion: 0, contentType: '', state: 'queued', createdAt: 0 };
  const sizeBytes = source?.size ?? bytes?.length ?? 0;
  return { row: /** @type {any} */ ({ ...defaults, ...without(moved, kLocal), sizeBytes, ...(source && { upload: 'new' }) }), bytes: source ? null : bytes, ...(source && { source }) };
}

/** @param {unknown} pieces @param {number} at @param {boolean} uploads */
function joined(pieces, at, uploads) {
  if (!Array.isArray(pieces)) throw refusal(at, 'expected pieces in base64');
  if (!uploads) throw refusal(at, 'it is an upload, which needs the option uploads');
  const bytes = new Blob(pieces.map((piece) => fromBase64(piece, at)));
  if (bytes.size > kMaxQueuedBytes) throw refusal(at, `expected at most ${kMaxQueuedBytes} bytes, got ${bytes.size}`);
  return bytes;
}

/** @param {any} object @param {string[]} names */
const without = (object, names) => Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));

/** @param {unknown} file @returns {Promise<string>} */
async function textOf(file) {
  if (typeof file === 'string') return file;
  if (file instanceof Blob) return file.text();
  if (file instanceof ArrayBuffer || ArrayBuffer.isView(file)) return new TextDecoder().decode(file);
  throw new TidegateError('wrong-type', '/file', `file: expected a Blob, text or bytes, got ${quote(file)}`);
}

/** @param {string} text @param {number} at */
function parse(text, at) {
  try {
    return JSON.parse(text);
  } catch {
    throw refusal(at, `expected JSON, got ${quote(text)}`);
  }
}

/** @param {number} at @param {string} sentence */
const refusal = (at, sentence) => new TidegateError('out-of-range', `/file/${at}`, `file, line ${at + 1}: ${sentence}`);

/** @param {Uint8Array} bytes */
export function toBase64(bytes) {
  let text = '';
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}

/** @param {unknown} text @param {number} at */
function fromBase64(text, at) {
  try {
    return Uint8Array.from(atob(/** @type {string} */ (text)), (char) => char.charCodeAt(0));
  } catch {
    throw refusal(at, 'expected a document in base64');
  }
}
