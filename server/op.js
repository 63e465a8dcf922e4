/**
 * One write, decoded: what plain REST requests and batch lines both become before anything is decided about them.
 *
 * @typedef {object} Op
 * @property {string} id
 * @property {string} key                                 the idempotency key
 * @property {Buffer} fingerprint                         what the key is bound to, see fingerprintOf
 * @property {'create'|'update'|'delete'} action
 * @property {string} entity
 * @property {string} entityId
 * @property {'full'|PatchCodec|null} codec                null for a delete
 * @property {string} contentType                         of a full body; "" for patches and deletes
 * @property {Buffer|null} body                           null for a delete
 * @property {Tags|null} ifMatch
 * @property {Tags|null} ifNoneMatch
 * @property {number|null} after                          index, in this call, of the earlier op whose ETag is this one's precondition
 * @property {{id: string, sha256: string}} [upload]       of a full body that lies in pieces (server/uploads.js); `body` is null then
 * @property {import('./problem.js').ProblemDocument|null} refused   set when checks that need no store already failed: never applied, answered with this
 *
 * The form of a change; `vcdiff` (RFC 3284) is one of bytes and comes in plain REST only.
 * @typedef {'merge-patch'|'json-patch'|'vcdiff'} PatchCodec
 *
 * A precondition: "*", or the quoted tags that satisfy it.
 * @typedef {"*" | string[]} Tags
 */
import { createHash } from 'node:crypto';
import { isJsonType, mediaType, onOneLine } from './json.js';
import { MAX_ID_CHARS, MAX_KEY_CHARS } from './limits.js';
import { Refusal, quoted } from './problem.js';

export const ENTITY = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/;
const CONTROL_OR_SLASH = /[\u0000-\u001f\u007f-\u009f/]/;
const VISIBLE_ASCII = /^[\x20-\x7e]+$/;
/** entity-tag of RFC 9110, section 8.8.3. */
const ENTITY_TAG = /(W\/)?("[\x21\x23-\x7e\x80-\uffff]*")/y;

/**
 * @param {unknown} value
 * @param {string} field  as the problem names it
 * @returns {string}
 */
export function checkEntity(value, field) {
  if (typeof value === 'string' && ENTITY.test(value)) return value;
  throw new Refusal('bad-request', `${field} must match ${ENTITY.source}, got ${quoted(value)}`, { field });
}

/**
 * Ids are addressed as one path segment, so "." and "..", which URL parsers remove, are none.
 * @param {unknown} value
 * @param {string} field
 * @returns {string}
 */
export function checkEntityId(value, field) {
  if (typeof value === 'string' && value !== '' && value !== '.' && value !== '..'
    && value.isWellFormed() && [...value].length <= MAX_ID_CHARS && !CONTROL_OR_SLASH.test(value)) return value;
  throw new Refusal('bad-request',
    `${field} must be 1 to ${MAX_ID_CHARS} characters without control characters or "/", and not "." or "..", got ${quoted(value)}`, { field });
}

/**
 * An op id or an idempotency key: visible ASCII, so that it can travel in a header.
 * @param {unknown} value
 * @param {string} field
 * @param {number} maxChars
 * @returns {string}
 */
export function checkToken(value, field, maxChars) {
  if (typeof value === 'string' && value.length <= maxChars && VISIBLE_ASCII.test(value)) return value;
  throw new Refusal('bad-request', `${field} must be 1 to ${maxChars} printable ASCII characters, got ${quoted(value)}`, { field });
}

/**
 * The value of an Idempotency-Key header: an sf-string (RFC 8941), that is quoted, with \" and \\ as its only escapes.
 * @param {string|undefined} header
 * @returns {string}
 */
export function parseIdempotencyKey(header) {
  const field = 'Idempotency-Key';
  if (header === undefined) throw new Refusal('bad-request', 'a write needs an Idempotency-Key header', { field });
  const match = /^\s*"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"\s*$/.exec(header);
  if (!match) throw new Refusal('bad-request', `Idempotency-Key must be a quoted string, got ${quoted(header)}`, { field });
  return checkToken(match[1].replace(/\\(["\\])/g, '$1'), field, MAX_KEY_CHARS);
}

/**
 * Reads If-Match or If-None-Match. If-Match compares strongly, so weak tags can never satisfy it and are dropped; If-None-Match compares weakly
 * (RFC 9110, section 13.1).
 * @param {unknown} value
 * @param {string} field
 * @param {'strong'|'weak'} comparison
 * @returns {Tags|null} null when there is no value
 */
export function parseTags(value, field, comparison) {
  if (value === undefined) return null;
  const refuse = () => {
    throw new Refusal('bad-request', `${field} must be "*" or quoted entity-tags, got ${quoted(value)}`, { field });
  };
  if (typeof value !== 'string') return refuse();
  const text = value.trim();
  if (text === '*') return '*';
  const tags = [];
  for (let at = 0; ;) {
    ENTITY_TAG.lastIndex = at;
    const match = ENTITY_TAG.exec(text);
    if (!match) return refuse();
    if (comparison === 'weak' || match[1] === undefined) tags.push(match[2]);
    const rest = /^\s*(,\s*|$)/.exec(text.slice(ENTITY_TAG.lastIndex));
    if (!rest) return refuse();
    at = ENTITY_TAG.lastIndex + rest[0].length;
    if (at >= text.length && !rest[0].includes(',')) return tags;
  }
}

/**
 * What an idempotency key is bound to. Create and update count as the same write, because plain REST tells them apart by the precondition only, and the
 * precondition may differ on a retry. JSON bodies count in their one-line form, because a batch must send them so and plain REST need not.
 * @param {Pick<Op, 'action'|'entity'|'entityId'|'codec'|'contentType'|'body'>} op
 * @returns {Buffer}
 */
export function fingerprintOf({ action, entity, entityId, codec, contentType, body }) {
  const verb = action === 'delete' ? 'delete' : 'write';
  const hash = createHash('sha256').update(JSON.stringify([verb, entity, entityId, codec, mediaType(contentType)])).update('\n');
  if (body !== null) hash.update(isJsonBody({ codec, contentType }) ? onOneLine(body) : body);
  return hash.digest();
}

/** Is the body of this op JSON? @param {Pick<Op, 'codec'|'contentType'>} op */
export const isJsonBody = ({ codec, contentType }) => codec !== 'vcdiff' && (codec !== 'full' || isJsonType(contentType));
