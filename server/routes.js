/** The paths of docs/protocol.md, below one prefix. */
import { Readable } from 'node:stream';
import { checkEntity, checkEntityId, fingerprintOf, isJsonBody, parseIdempotencyKey, parseTags } from './op.js';
import { line, readBatch, writeBatchAnswer } from './frame.js';
import { isJsonType, jsonFault, mediaType, onOneLine } from './json.js';
import { MAX_CONTENT_TYPE_CHARS } from './limits.js';
import { PROBLEM_TYPE, Refusal, problem, quoted } from './problem.js';

/**
 * @typedef {import('fastify').FastifyInstance} Fastify
 * @typedef {import('fastify').FastifyRequest} Request
 * @typedef {import('fastify').FastifyReply} Reply
 * @typedef {import('./store.js').Document} Document
 * @typedef {import('./op.js').Op} Op
 *
 * @typedef {object} Services
 * @property {import('./store.js').Store} store
 * @property {{apply: (units: Op[][]) => Promise<import('./decide.js').Result[]>}} engine
 * @property {import('./limits.js').Limits} limits
 * @property {(request: Request, units: Op[][]) => Op[][]} mark  where faults are injected into single ops
 */

const NDJSON = 'application/x-ndjson';
const PATCH_CODECS = /** @type {const} */ ({
  'application/json-patch+json': 'json-patch', 'application/merge-patch+json': 'merge-patch', 'application/vcdiff': 'vcdiff',
});
const ENTITY_PATH = '/entities/:entity/:entityId';

/**
 * @param {Fastify} api
 * @param {Services} services
 */
export function addRoutes(api, services) {
  const { limits } = services;
  const whole = { config: { maxBytes: limits.maxBodyBytes } };
  api.get(ENTITY_PATH, (request, reply) => getEntity(request, reply, services));
  api.put(ENTITY_PATH, whole, (request, reply) => write(request, reply, services));
  api.patch(ENTITY_PATH, whole, (request, reply) => write(request, reply, services));
  api.delete(ENTITY_PATH, whole, (request, reply) => write(request, reply, services));
  api.post('/batch', { config: { maxBytes: limits.maxBatchBytes } }, (request, reply) => batch(request, reply, services));
  api.get('/changes', (request, reply) => changes(request, reply, services));
}

/**
 * The management surface is the service worker's; a request that gets here found none.
 * @param {Fastify} api
 */
export function addManagementRoutes(api) {
  for (const path of ['/sync/background', '/sync/background/*', '/sync/connectivity-test']) {
    api.all(path, (_, reply) => sendProblem(reply, problem('no-worker', 'the service worker of the app answers this path, and none took the request')));
  }
}

/**
 * @param {Request} request
 * @param {Reply} reply
 * @param {Services} services
 */
async function getEntity(request, reply, { store }) {
  const { entity, entityId } = addressOf(request);
  const document = await store.read(entity, entityId);
  if (document === null) return sendProblem(reply, problem('not-found', 'there is no such entity'));
  reply.header('ETag', document.etag);
  if (document.deleted) return sendProblem(reply, problem('gone', 'the entity is deleted'));
  const known = parseTags(request.headers['if-none-match'], 'If-None-Match', 'weak');
  if (known === '*' || known?.includes(document.etag)) return reply.code(304).send();
  // Documents are other people's bytes on the app's origin: whatever they claim to be, they must not run there.
  reply.header('Content-Type', document.contentType).header('Content-Security-Policy', "default-src 'none'; sandbox");
  if (!document.upload) return reply.send(document.body);
  return reply.header('Content-Length', document.upload.length).send(Readable.from(store.uploads.pieces(document.upload.id), { objectMode: false }));
}

/**
 * @param {Request} request
 * @param {Reply} reply
 * @param {Services} services
 */
async function write(request, reply, { engine, limits }) {
  const op = opOf(request, limits);
  const [{ status, etag, entityId, problem: document, missing }] = await engine.apply([[op]]);
  if (etag !== undefined) reply.header('ETag', etag);
  // Beside the one that was asked for (RFC 9110, section 15.3.2).
  if (entityId !== undefined) reply.header('Location', `${request.url.slice(0, request.url.lastIndexOf('/') + 1)}${encodeURIComponent(entityId)}`);
  if (document === undefined) return reply.code(status).send();
  // RFC 9110, section 13.2.1: preconditions do not count where the request without them would fail, so a PATCH or DELETE of nothing is no 412.
  if (status === 412 && missing && request.method !== 'PUT') {
    return sendProblem(reply, etag === undefined ? problem('not-found', 'there is no such entity') : problem('gone', 'the entity is deleted'));
  }
  return sendProblem(reply, document);
}

/**
 * @param {Request} request
 * @param {import('./limits.js').Limits} limits
 * @returns {Op}
 */
function opOf(request, limits) {
  const key = parseIdempotencyKey(headerOf(request, 'idempotency-key'));
  const remove = request.method === 'DELETE';
  const body = remove ? null : /** @type {Buffer|undefined} */ (request.body) ?? Buffer.alloc(0);
  const codec = remove ? null : codecOf(request);
  const contentType = codec === 'full' ? contentTypeOf(request) : '';
  const broken = body !== null && isJsonBody({ codec, contentType }) ? jsonFault(body, limits.maxDepth) : null;
  const ifNoneMatch = parseTags(headerOf(request, 'if-none-match'), 'If-None-Match', 'weak');
  const action = remove ? 'delete' : ifNoneMatch === '*' ? 'create' : 'update';
  const described = { ...addressOf(request), action: /** @type {Op['action']} */ (action), codec, contentType, body };
  return {
    ...described,
    id: key,
    key,
    fingerprint: fingerprintOf(described),
    ifMatch: parseTags(headerOf(request, 'if-match'), 'If-Match', 'strong'),
    ifNoneMatch,
    after: null,
    refused: broken === null ? null : problem('unprocessable', broken),
  };
}

/**
 * @param {Request} request
 * @returns {Op['codec']}
 */
function codecOf(request) {
  if (request.method === 'PUT') return 'full';
  const type = mediaType(headerOf(request, 'content-type') ?? '');
  if (Object.hasOwn(PATCH_CODECS, type)) return PATCH_CODECS[/** @type {keyof typeof PATCH_CODECS} */ (type)];
  throw new Refusal('unsupported', `the Content-Type of a PATCH may be ${Object.keys(PATCH_CODECS).join(' or ')}, got ${quoted(type)}`,
    { field: 'Content-Type' });
}

/** @param {Request} request */
function contentTypeOf(request) {
  const type = (headerOf(request, 'content-type') ?? 'application/octet-stream').trim();
  if (type.length > 0 && type.length <= MAX_CONTENT_TYPE_CHARS) return type;
  throw new Refusal('bad-request', `Content-Type must have 1 to ${MAX_CONTENT_TYPE_CHARS} characters`, { field: 'Content-Type' });
}

/**
 * @param {Request} request
 * @param {Reply} reply
 * @param {Services} services
 */
async function batch(request, reply, { engine, limits, mark }) {
  const type = mediaType(headerOf(request, 'content-type') ?? '');
  if (type !== NDJSON) throw new Refusal('unsupported', `the Content-Type of a batch is ${NDJSON}, got ${quoted(type)}`, { field: 'Content-Type' });
  const units = mark(request, readBatch(/** @type {Buffer|undefined} */ (request.body) ?? Buffer.alloc(0), limits));
  const results = await engine.apply(units);
  return reply.header('Content-Type', NDJSON).send(writeBatchAnswer(units.flat(), results, limits, inlines));
}

/**
 * @param {Request} request
 * @param {Reply} reply
 * @param {Services} services
 */
async function changes(request, reply, { store, limits }) {
  const { cursor, limit } = /** @type {Record<string, unknown>} */ (request.query);
  if (cursor !== undefined && typeof cursor !== 'string') throw new Refusal('bad-request', 'cursor must be given once', { field: 'cursor' });
  const page = await store.changes(cursor ?? null, { limit: pageSize(limit, limits.maxChangesPage), maxBytes: limits.maxAnswerBytes });
  if (page === null) return sendProblem(reply, problem('cursor-expired', 'pull again without a cursor'));
  const chunks = page.changes.flatMap(changeLines);
  chunks.push(line({ cursor: page.cursor, more: page.more }));
  return reply.header('Content-Type', NDJSON).send(Buffer.concat(chunks));
}

/**
 * @param {unknown} limit
 * @param {number} max
 * @returns {number}
 */
function pageSize(limit, max) {
  if (limit === undefined) return max;
  if (typeof limit === 'string' && /^[1-9][0-9]{0,8}$/.test(limit)) return Math.min(Number(limit), max);
  throw new Refusal('bad-request', `limit must be a positive integer, got ${quoted(limit)}`, { field: 'limit' });
}

/**
 * @param {Document} document
 * @returns {Buffer[]}
 */
function changeLines(document) {
  const { entity, entityId, etag, deleted, key, contentType } = document;
  if (deleted) return [line({ entity, entityId, etag, deleted: true, key })];
  const named = contentType === 'application/json' ? {} : { contentType };
  if (!inlines(document)) return [line({ entity, entityId, etag, key, ...named })];
  return [line({ entity, entityId, etag, key, ...named, body: true }), onOneLine(/** @type {Buffer} */ (document.body)), Buffer.from('\n')];
}

/**
 * JSON bodies were checked when they came in, so each can be a line.
 * @param {Document} document
 */
function inlines(document) {
  return document.body !== null && isJsonType(document.contentType);
}

/** @param {Request} request */
function addressOf(request) {
  const { entity, entityId } = /** @type {Record<string, string>} */ (request.params);
  return { entity: checkEntity(entity, 'entity'), entityId: checkEntityId(entityId, 'entityId') };
}

/**
 * Node joins repeated headers of these names with a comma, or keeps the first.
 * @param {Request} request
 * @param {string} name  lower case
 * @returns {string|undefined}
 */
export function headerOf(request, name) {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

/**
 * @param {Reply} reply
 * @param {import('./problem.js').ProblemDocument} document
 */
export function sendProblem(reply, document) {
  return reply.code(document.status).header('Content-Type', PROBLEM_TYPE).send(Buffer.from(JSON.stringify(document)));
}
