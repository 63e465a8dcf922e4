/**
 * The batch frame of docs/protocol.md: newline-delimited lines, a header line and a body line per op. Reading it is all or nothing: a fault in the frame
 * refuses the request, while a fault in one op's body refuses that op.
 *
 * @typedef {import('./op.js').Op} Op
 */
import { isUtf8 } from 'node:buffer';
import { jsonFault, onOneLine } from './json.js';
import { MAX_ID_CHARS, MAX_KEY_CHARS } from './limits.js';
import { checkEntity, checkEntityId, checkToken, fingerprintOf, parseTags } from './op.js';
import { Refusal, problem, quoted } from './problem.js';

export const PROTOCOL = 1;
const LF = 0x0a;
const ACTIONS = ['create', 'update', 'delete'];
const CODECS = ['full', 'merge-patch', 'json-patch'];
const FIELDS = new Set(['id', 'key', 'action', 'entity', 'entityId', 'ifMatch', 'ifNoneMatch', 'after', 'codec', 'body', 'group']);

/**
 * @param {Buffer} bytes  the decoded request body
 * @param {import('./limits.js').Limits} limits
 * @returns {Op[][]} units in order: an atomic group, or an op alone
 */
export function readBatch(bytes, limits) {
  if (!isUtf8(bytes)) throw new Refusal('bad-request', 'the batch is not UTF-8');
  const lines = linesOf(bytes);
  readHead(lines[0], limits);
  /** @type {Op[][]} */
  const units = [];
  /** @type {Map<string, {index: number, entity: string, entityId: string}>} */
  const ids = new Map();
  const keys = new Set();
  const groups = new Set();
  let group = null;
  for (let at = 1; at < lines.length; at += 1) {
    const index = ids.size;
    if (index === limits.maxBatchOps) {
      throw new Refusal('too-large', `the batch has more than ${limits.maxBatchOps} operations`, { limit: limits.maxBatchOps });
    }
    const place = `ops[${index}]`;
    const header = readLine(lines[at], at, place, limits);
    if (header.body === true && at + 1 === lines.length) {
      throw new Refusal('bad-request', `line ${at + 1} promises a body, but it is the last line`, { field: `${place}.body` });
    }
    const op = readOp(header, header.body === true ? lines[at += 1] : null, { place, ids, limits });
    if (ids.has(op.id)) fault(`${place}.id`, 'must be unique in the batch', op.id);
    if (keys.has(op.key)) fault(`${place}.key`, 'must be unique in the batch', op.key);
    ids.set(op.id, { index, entity: op.entity, entityId: op.entityId });
    keys.add(op.key);

    if (header.group === undefined || header.group !== group) units.push([op]);
    else units[units.length - 1].push(op);
    group = header.group ?? null;
    if (group !== null && units[units.length - 1].length === 1) {
      if (groups.has(group)) fault(`${place}.group`, 'must name consecutive operations, this group ended before', group);
      groups.add(group);
    }
  }
  return units;
}

/**
 * The bytes between line ends. The last line must end too: without its line end it may have been cut.
 * @param {Buffer} bytes
 * @returns {Buffer[]}
 */
function linesOf(bytes) {
  if (bytes.length === 0 || bytes[bytes.length - 1] !== LF) {
    throw new Refusal('bad-request', 'the batch must end with a line end, or its last line may be cut off');
  }
  const lines = [];
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf(LF, at);
    lines.push(bytes.subarray(at, end));
    at = end + 1;
  }
  return lines;
}

/**
 * @param {Buffer} line
 * @param {import('./limits.js').Limits} limits
 */
function readHead(line, limits) {
  const head = readLine(line, 0, 'head', limits);
  if (head.protocol !== PROTOCOL) fault('protocol', `must be ${PROTOCOL}, as the first line of the batch`, head.protocol);
}

/**
 * @param {Buffer} line
 * @param {number} at     counted from 0
 * @param {string} place
 * @param {import('./limits.js').Limits} limits
 * @returns {Record<string, unknown>}
 */
function readLine(line, at, place, { maxOpLineBytes, maxDepth }) {
  if (line.length > maxOpLineBytes) {
    throw new Refusal('bad-request', `line ${at + 1} has ${line.length} bytes, a header line has at most ${maxOpLineBytes}`,
      { field: place, limit: maxOpLineBytes });
  }
  const broken = jsonFault(line, maxDepth);
  const value = broken ? null : JSON.parse(line.toString('utf8'));
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw new Refusal('bad-request', `line ${at + 1} must be a JSON object, got ${quoted(line.toString('utf8'))}`, { field: place });
  }
  return value;
}

/**
 * @param {Record<string, unknown>} header
 * @param {Buffer|null} body
 * @param {{place: string, ids: Map<string, {index: number, entity: string, entityId: string}>, limits: import('./limits.js').Limits}} context
 * @returns {Op}
 */
function readOp(header, body, { place, ids, limits }) {
  const unknown = Object.keys(header).find((name) => !FIELDS.has(name));
  if (unknown !== undefined) fault(`${place}.${unknown}`, `is no field of protocol ${PROTOCOL}`, header[unknown]);
  const id = checkToken(header.id, `${place}.id`, MAX_ID_CHARS);
  const op = {
    id,
    key: header.key === undefined ? id : checkToken(header.key, `${place}.key`, MAX_KEY_CHARS),
    action: /** @type {Op['action']} */ (oneOf(header.action, ACTIONS, `${place}.action`)),
    entity: checkEntity(header.entity, `${place}.entity`),
    entityId: checkEntityId(header.entityId, `${place}.entityId`),
    ifMatch: parseTags(header.ifMatch, `${place}.ifMatch`, 'strong'),
    ifNoneMatch: parseTags(header.ifNoneMatch, `${place}.ifNoneMatch`, 'weak'),
    after: null,
    codec: readCodec(header, place),
    contentType: header.codec === 'full' ? 'application/json' : '',
    body,
  };
  if (header.group !== undefined) checkToken(header.group, `${place}.group`, MAX_ID_CHARS);
  const broken = body && jsonFault(body, limits.maxDepth);
  return {
    ...op,
    after: readAfter(header, op, { place, ids }),
    fingerprint: fingerprintOf(op),
    refused: broken ? problem('unprocessable', broken, { field: `${place}.body` }) : null,
  };
}

/**
 * Codec and body go together: a delete has neither, a create the whole body.
 * @param {Record<string, unknown>} header
 * @param {string} place
 * @returns {Op['codec']}
 */
function readCodec(header, place) {
  if (header.body !== undefined && typeof header.body !== 'boolean') fault(`${place}.body`, 'must be true or absent', header.body);
  if (header.action === 'delete') {
    if (header.body) fault(`${place}.body`, 'must be absent, a delete has no body', header.body);
    if (header.codec !== undefined) fault(`${place}.codec`, 'must be absent, a delete has no body', header.codec);
    return null;
  }
  if (header.body !== true) fault(`${place}.body`, `must be true, a ${header.action} has a body`, header.body);
  const allowed = header.action === 'create' ? ['full'] : CODECS;
  return /** @type {Op['codec']} */ (oneOf(header.codec, allowed, `${place}.codec`));
}

/**
 * @param {Record<string, unknown>} header
 * @param {{entity: string, entityId: string}} op
 * @param {{place: string, ids: Map<string, {index: number, entity: string, entityId: string}>}} context
 * @returns {number|null}
 */
function readAfter({ after, ifMatch, ifNoneMatch }, op, { place, ids }) {
  if (after === undefined) return null;
  const field = `${place}.after`;
  if (ifMatch !== undefined || ifNoneMatch !== undefined) fault(field, 'stands instead of ifMatch and ifNoneMatch, give one of them', after);
  const earlier = typeof after === 'string' ? ids.get(after) : undefined;
  if (earlier === undefined) return fault(field, 'must be the id of an earlier operation of this batch', after);
  if (earlier.entity !== op.entity || earlier.entityId !== op.entityId) fault(field, 'must name an operation on the same entity', after);
  return earlier.index;
}

/**
 * @param {unknown} value
 * @param {string[]} allowed
 * @param {string} field
 * @returns {string}
 */
function oneOf(value, allowed, field) {
  if (typeof value === 'string' && allowed.includes(value)) return value;
  return fault(field, `must be ${allowed.join(', ')}`, value);
}

/**
 * @param {string} field
 * @param {string} expectation
 * @param {unknown} value
 * @returns {never}
 */
function fault(field, expectation, value) {
  throw new Refusal('bad-request', `${field} ${expectation}, got ${quoted(value)}`, { field });
}

/**
 * The answer to a batch. Current documents ride along with 412s as far as `maxAnswerBytes` reaches.
 * @param {Op[]} ops
 * @param {import('./decide.js').Result[]} results
 * @param {import('./limits.js').Limits} limits
 * @param {(document: import('./store.js').Document) => boolean} inlines   can this document be a body line?
 * @returns {Buffer}
 */
export function writeBatchAnswer(ops, results, limits, inlines) {
  /** @type {Buffer[]} */
  const chunks = [line({
    protocol: PROTOCOL, results: ops.length, idempotencyRetention: Math.floor(limits.keyRetentionMs / 1000),
    maxBatchBytes: limits.maxBatchBytes, maxBatchOps: limits.maxBatchOps,
  })];
  let bodyBytes = 0;
  for (const [index, { status, etag, entityId, problem: document, missing, current }] of results.entries()) {
    const body = current && inlines(current) ? /** @type {Buffer} */ (current.body) : null;
    const sent = body !== null && (bodyBytes === 0 || bodyBytes + body.length <= limits.maxAnswerBytes);
    chunks.push(line({ id: ops[index].id, status, etag, entityId, problem: document, missing, ...(sent ? { body: true } : {}) }));
    if (!sent) continue;
    bodyBytes += body.length;
    chunks.push(onOneLine(body), Buffer.from('\n'));
  }
  return Buffer.concat(chunks);
}

/** @param {object} value */
export function line(value) {
  return Buffer.from(`${JSON.stringify(value)}\n`);
}
