/** Request bodies: read under a cap, and decompressed under the same cap, so that no upload can make the server hold more than one body. */
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { Refusal } from './problem.js';

const gunzipAsync = promisify(gunzip);
/** What gzip may add to bytes it cannot compress: 5 per 16 KiB block of deflate, header and trailer. */
const gzipOverhead = (/** @type {number} */ bytes) => 1024 + Math.ceil(bytes / 1024);

/**
 * Reads the whole body and undoes its Content-Encoding. Throws a Refusal: 413 when it has more than `maxBytes` before or after, 415 for another encoding than
 * gzip, 400 for damaged gzip. A body refused while it still arrives is read on and thrown away, since a sender who is cut off never hears why.
 * @param {import('node:http').IncomingMessage} request
 * @param {{maxBytes: number, maxDiscardBytes: number}} limits
 * @returns {Promise<Buffer>}
 */
export async function readBody(request, { maxBytes, maxDiscardBytes }) {
  const encoding = (request.headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  try {
    if (encoding === 'identity') return await collect(request, maxBytes, maxBytes);
    if (encoding === 'gzip' || encoding === 'x-gzip') {
      return await decompressed(await collect(request, maxBytes + gzipOverhead(maxBytes), maxBytes), maxBytes);
    }
    throw new Refusal('unsupported', `Content-Encoding may be gzip or identity, got ${encoding}`, { field: 'Content-Encoding' });
  } catch (error) {
    discardRest(request, maxDiscardBytes);
    throw error;
  }
}

/**
 * @param {import('node:http').IncomingMessage} request
 * @param {number} maxRead
 * @param {number} limit  the one to tell the sender
 * @returns {Promise<Buffer>}
 */
function collect(request, maxRead, limit) {
  return new Promise((resolve, reject) => {
    if (Number(request.headers['content-length']) > maxRead) return reject(tooLarge(limit));
    /** @type {Buffer[]} */
    const chunks = [];
    let length = 0;
    const onData = (/** @type {Buffer} */ chunk) => {
      length += chunk.length;
      if (length > maxRead) finish(() => reject(tooLarge(limit)));
      else chunks.push(chunk);
    };
    const onEnd = () => finish(() => resolve(Buffer.concat(chunks, length)));
    const onCut = () => finish(() => reject(new Refusal('bad-request', 'the body was cut off')));
    const finish = (/** @type {() => void} */ settle) => {
      request.off('data', onData).off('end', onEnd).off('error', onCut).off('close', onCut);
      settle();
    };
    request.on('data', onData).on('end', onEnd).on('error', onCut).on('close', onCut);
  });
}

/**
 * @param {Buffer} bytes
 * @param {number} maxBytes
 * @returns {Promise<Buffer>}
 */
async function decompressed(bytes, maxBytes) {
  try {
    return /** @type {Buffer} */ (await gunzipAsync(bytes, { maxOutputLength: maxBytes }));
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(maxBytes);
    throw new Refusal('bad-request', `the body is not gzip: ${/** @type {Error} */ (error).message}`, { field: 'Content-Encoding' });
  }
}

/** @param {number} limit */
function tooLarge(limit) {
  return new Refusal('too-large', `the body has more than ${limit} bytes after decoding`, { limit });
}

/**
 * Reads what still comes and throws it away; a sender of more than `maxBytes` is cut off.
 * @param {import('node:http').IncomingMessage} request
 * @param {number} maxBytes
 */
export function discardRest(request, maxBytes) {
  let discarded = 0;
  request.on('error', () => {});
  request.on('data', (chunk) => {
    discarded += chunk.length;
    if (discarded > maxBytes) request.socket.destroy();
  });
}
