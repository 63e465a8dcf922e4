/**
 * Large bodies in pieces: tus 1.0.0 (https://tus.io/protocols/resumable-upload) with the extensions creation, expiration and termination. docs/protocol.md says how the
 * end of an upload becomes a write.
 *
 * Its address is what gives the right to an upload: 128 random bits that only who began it was told, over whatever lets him speak to the rest of the API.
 */
import { createHash, randomBytes } from 'node:crypto';
import { discardRest } from './body.js';
import { isJsonType, mediaType } from './json.js';
import { MAX_CONTENT_TYPE_CHARS } from './limits.js';
import { checkEntity, checkEntityId, parseIdempotencyKey, parseTags } from './op.js';
import { Refusal, problem, quoted } from './problem.js';
import { headerOf, sendProblem } from './routes.js';

/**
 * @typedef {import('fastify').FastifyRequest} Request
 * @typedef {import('fastify').FastifyReply} Reply
 * @typedef {import('./store.js').Upload} Upload
 * @typedef {import('./op.js').Op} Op
 *
 * @typedef {object} Services
 * @property {import('./store.js').Store} store
 * @property {{apply: (units: Op[][]) => Promise<import('./decide.js').Result[]>}} engine
 * @property {import('./decide.js').Decide} decide
 * @property {import('./limits.js').Limits} limits
 * @property {() => number} clock
 */

const VERSION = '1.0.0';
/** What is stored in one go, and held in memory of one request. */
const PIECE_BYTES = 256 * 1024;
const RETRY_SECONDS = 60;

/**
 * @param {import('fastify').FastifyInstance} api
 * @param {Services & {prefix: string}} services  prefix: of all paths, for Location
 */
export function addUploadRoutes(api, services) {
  const { limits } = services;
  /** Uploads some request is writing. */
  const writing = new Set();
  const spoken = { onRequest: checkVersion };
  api.options('/uploads', (_, reply) => reply.code(204).headers({
    'Tus-Resumable': VERSION, 'Tus-Version': VERSION, 'Tus-Extension': 'creation,expiration,termination', 'Tus-Max-Size': String(limits.maxUploadBytes),
  }).send());
  api.post('/uploads', spoken, (request, reply) => begin(request, reply, services));
  api.head('/uploads/:id', spoken, (request, reply) => tell(request, reply, services));
  api.patch('/uploads/:id', { ...spoken, config: { stream: true } }, (request, reply) => append(request, reply, services, writing));
  api.delete('/uploads/:id', spoken, async (request, reply) => {
    const gone = await services.store.uploads.drop(idOf(request));
    return gone ? reply.code(204).send() : sendProblem(reply, problem('not-found', 'there is no such upload, or it has ended'));
  });
}

/** @param {Request} request @param {Reply} reply */
async function checkVersion(request, reply) {
  reply.header('Tus-Resumable', VERSION);
  if (request.headers['tus-resumable'] === VERSION) return undefined;
  return sendProblem(reply.header('Tus-Version', VERSION), problem('tus-version', `Tus-Resumable must be ${VERSION}, got ${quoted(request.headers['tus-resumable'])}`));
}

/**
 * An upload that could only be refused at its end is refused here, before its bytes are sent.
 * @param {Request} request @param {Reply} reply @param {Services & {prefix: string}} services
 */
async function begin(request, reply, { store, decide, limits, clock, prefix }) {
  const described = describe(request, limits);
  const op = opOf(request, described);
  const current = await store.read(op.entity, op.entityId);
  const upload = await store.uploads.begin({ ...described, id: randomBytes(16).toString('base64url') }, { nowMs: clock(), maxUnfinished: limits.maxUnfinishedUploads });
  if (!upload) return sendProblem(reply.header('Retry-After', RETRY_SECONDS), problem('rate-limited', `${limits.maxUnfinishedUploads} uploads have not ended yet`));
  if (!upload.fingerprint.equals(described.fingerprint)) throw new Refusal('key-reused', 'this key was used for another upload');
  const foreseen = decide(op, { bound: null, current, earlier: null });
  if (upload.received === 0 && upload.etag === null && 'problem' in foreseen && foreseen.problem) {
    await store.uploads.drop(upload.id);
    if (foreseen.etag !== undefined) reply.header('ETag', foreseen.etag);
    return sendProblem(reply, foreseen.problem);
  }
  return headersFor(reply, upload, limits).code(201).header('Location', `${prefix}/uploads/${upload.id}`).send();
}

/** @param {Request} request @param {Reply} reply @param {Services} services */
async function tell(request, reply, { store, limits }) {
  const upload = await store.uploads.read(idOf(request));
  if (!upload) return reply.code(404).send();
  return headersFor(reply, upload, limits).header('Upload-Length', upload.length).code(200).send();
}

/**
 * What came before a cut stays: the next request goes on behind it.
 * @param {Request} request @param {Reply} reply @param {Services} services @param {Set<string>} writing
 */
async function append(request, reply, { store, engine, limits, clock }, writing) {
  const id = idOf(request);
  const body = /** @type {import('node:http').IncomingMessage} */ (request.body ?? request.raw);
  /** @param {import('./problem.js').ProblemDocument} document */
  const refuse = (document) => {
    discardRest(body, limits.maxDiscardBytes);
    return sendProblem(reply, document);
  };
  const type = mediaType(headerOf(request, 'content-type') ?? '');
  if (type !== 'application/offset+octet-stream' || request.headers['content-encoding'] !== undefined)
    return refuse(problem('unsupported', `a piece is application/offset+octet-stream without encoding, got ${quoted(type)}`, { field: 'Content-Type' }));
  const offset = wholeNumber(request, 'upload-offset');
  const upload = await store.uploads.read(id);
  if (!upload) return refuse(problem('not-found', 'there is no such upload'));
  if (writing.has(id)) return refuse(problem('locked', 'another request is writing this upload'));
  if (offset !== upload.received) return refuse(problem('offset', `the upload is at ${upload.received}, not at ${offset}`, { field: 'Upload-Offset' }));
  if (offset + Number(request.headers['content-length'] ?? 0) > upload.length)
    return refuse(problem('too-large', `the upload has ${upload.length} bytes in all`, { limit: upload.length - offset }));
  writing.add(id);
  try {
    upload.received = await take(body, upload, store, clock);
    if (upload.received < 0) return refuse(problem('too-large', `the upload has ${upload.length} bytes in all`, { limit: upload.length - offset }));
    if (upload.received === upload.length && upload.etag === null) {
      const sha256 = await hashOf(store, id);
      const [{ status, etag, problem: document }] = await engine.apply([[{ ...opOf(request, upload), upload: { id, sha256 } }]]);
      if (document) {
        if (etag !== undefined) reply.header('ETag', etag);
        return sendProblem(reply.code(status), document);
      }
      upload.etag = etag ?? null;
    }
    return headersFor(reply, upload, limits).code(204).send();
  } finally {
    writing.delete(id);
  }
}

/**
 * Stores a body piece by piece and says how much is there then; -1 when it has more than the upload.
 * @param {AsyncIterable<Buffer>} body @param {Upload} upload @param {import('./store.js').Store} store @param {() => number} clock
 */
async function take(body, { id, received, length }, store, clock) {
  /** @type {Buffer[]} */
  let held = [];
  let at = received, bytes = 0;
  const put = async () => {
    if (bytes === 0) return;
    const next = await store.uploads.append(id, at, Buffer.concat(held, bytes), clock());
    if (next === null) throw new Refusal('offset', 'somebody else wrote this upload meanwhile', { field: 'Upload-Offset' });
    [at, held, bytes] = [next, [], 0];
  };
  try {
    for await (const chunk of body) {
      if (at + bytes + chunk.length > length) return -1;
      held.push(chunk);
      bytes += chunk.length;
      if (bytes >= PIECE_BYTES) await put();
    }
  } catch (error) {
    if (error instanceof Refusal) throw error;
    await put();
    throw new Refusal('bad-request', 'the body was cut off');
  }
  await put();
  return at;
}

/** @param {import('./store.js').Store} store @param {string} id */
async function hashOf(store, id) {
  const hash = createHash('sha256');
  for await (const piece of store.uploads.pieces(id)) {
    hash.update(piece);
    await new Promise((resolve) => { setImmediate(resolve); });
  }
  return hash.digest('hex');
}

/** What an upload says it will be. @param {Request} request @param {import('./limits.js').Limits} limits */
function describe(request, limits) {
  const key = parseIdempotencyKey(headerOf(request, 'idempotency-key'));
  const length = wholeNumber(request, 'upload-length');
  if (length > limits.maxUploadBytes) throw new Refusal('too-large', `an upload has at most ${limits.maxUploadBytes} bytes`, { limit: limits.maxUploadBytes });
  const said = metadata(headerOf(request, 'upload-metadata') ?? '');
  const entity = checkEntity(said.get('entity'), 'Upload-Metadata entity');
  const entityId = checkEntityId(said.get('entityId'), 'Upload-Metadata entityId');
  const contentType = said.get('filetype') || 'application/octet-stream';
  if (contentType.length > MAX_CONTENT_TYPE_CHARS || !/^[\x20-\x7e]+$/.test(contentType))
    throw new Refusal('bad-request', `Upload-Metadata filetype must have 1 to ${MAX_CONTENT_TYPE_CHARS} printable characters`, { field: 'Upload-Metadata' });
  if (isJsonType(contentType)) throw new Refusal('unsupported', 'a JSON document cannot be uploaded in pieces', { field: 'Upload-Metadata' });
  const fingerprint = createHash('sha256').update(JSON.stringify(['upload', entity, entityId, mediaType(contentType), length])).digest();
  return { key, length, entity, entityId, contentType, fingerprint };
}

/** The write that the end of an upload is; its preconditions are those of the request that ends it. @param {Request} request @param {Omit<Upload, 'id'|'received'|'etag'|'atMs'>} upload @returns {Op} */
function opOf(request, { key, entity, entityId, contentType, fingerprint }) {
  const ifNoneMatch = parseTags(headerOf(request, 'if-none-match'), 'If-None-Match', 'weak');
  const ifMatch = parseTags(headerOf(request, 'if-match'), 'If-Match', 'strong');
  return {
    id: key, key, fingerprint, action: ifNoneMatch === '*' ? 'create' : 'update', entity, entityId, codec: 'full', contentType, body: null, ifMatch, ifNoneMatch, after: null, refused: null,
  };
}

/** tus, section 7.2: names with base64 values, separated by commas. @param {string} header @returns {Map<string, string>} */
function metadata(header) {
  return new Map(header.split(',').map((pair) => pair.trim().split(' ')).map(([name, value = '']) => [name, Buffer.from(value, 'base64').toString()]));
}

/** @param {Reply} reply @param {Upload} upload @param {import('./limits.js').Limits} limits */
function headersFor(reply, upload, limits) {
  reply.header('Upload-Offset', upload.received);
  if (upload.etag !== null) return reply.header('ETag', upload.etag);
  return reply.header('Upload-Expires', new Date(upload.atMs + limits.uploadRetentionMs).toUTCString());
}

/** @param {Request} request @param {string} name lower case */
function wholeNumber(request, name) {
  const text = headerOf(request, name) ?? '';
  if (/^(0|[1-9]\d{0,14})$/.test(text)) return Number(text);
  throw new Refusal('bad-request', `${name} must be a whole number, got ${quoted(text)}`, { field: name });
}

/** @param {Request} request */
const idOf = (request) => /** @type {{id: string}} */ (request.params).id;
