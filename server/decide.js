/**
 * What becomes of one op, as a pure function of what the store holds. Every store calls it inside its transaction, so the rules of the protocol page exist
 * once and no store can differ in them.
 *
 * @typedef {import('./op.js').Op} Op
 * @typedef {import('./store.js').Document} Document
 * @typedef {import('./store.js').Binding} Binding
 *
 * @typedef {object} Result
 * @property {number} status
 * @property {string} [etag]        the entity's ETag after this op, or the current one where the op failed because of it
 * @property {string} [entityId]    the id of the entity, where it is another than the op named
 * @property {import('./problem.js').ProblemDocument} [problem]   for every status outside 2xx
 * @property {boolean} [missing]    a 412 over an entity that does not exist or is deleted
 * @property {Document} [current]   the document a 412 met
 * @property {boolean} [replayed]   the answer of an earlier request with this key; nothing was done
 *
 * @typedef {object} Effect
 * @property {'create'|'update'|'delete'} action
 * @property {string} contentType
 * @property {Buffer|null} body     the document from now on; null makes a tombstone
 * @property {boolean} [newId]      the store gives the entity an id of its own
 *
 * @typedef {object} Known          what the store found in this transaction
 * @property {Binding|null} bound     what the op's key is bound to
 * @property {Document|null} current  the entity's document or tombstone
 * @property {Result|null} earlier    the result of the op named by `after`
 *
 * @typedef {{status: number, effect: Effect} | Result} Decision     with an effect: carry it out, bind the key, answer `status` and the new ETag
 * @typedef {(op: Op, known: Known) => Decision} Decide
 */
import { isJsonType, jsonFault } from './json.js';
import { Refusal, problem } from './problem.js';

/**
 * @param {object} options
 * @param {import('./limits.js').Limits} options.limits
 * @param {(document: Buffer, patch: Buffer, codec: import('./op.js').PatchCodec) => Buffer} options.applyPatch   throws a Refusal when it does not apply or makes too much
 * @param {string[]} [options.assignIds]   entity types whose new entities get an id here, whatever the client called them. Not those that are uploaded in pieces
 * @returns {Decide}
 */
export function createDecide({ limits, applyPatch, assignIds = [] }) {
  /** @type {Decide} */
  return function decide(op, { bound, current, earlier }) {
    if (op.refused) return refused(op.refused);
    if (bound) return answerAgain(op, bound);
    if (op.after !== null && !(earlier && succeeded(earlier))) {
      return refused(problem('failed-dependency', 'the operation named by `after` did not succeed'));
    }
    const ifMatch = op.after === null ? op.ifMatch : [/** @type {string} */ (/** @type {Result} */ (earlier).etag)];
    return preconditionFault(op, ifMatch, current) ?? effectOf(op, current);
  };

  /**
   * @param {Op} op
   * @param {Document|null} current
   * @returns {Decision}
   */
  function effectOf(op, current) {
    const exists = current !== null && !current.deleted;
    if (op.action === 'delete') return { status: 204, effect: { action: 'delete', contentType: '', body: null } };
    const action = exists ? 'update' : 'create';
    const status = exists ? 200 : 201;
    const newId = current === null && !op.upload && assignIds.includes(op.entity);
    if (op.codec === 'full') return { status, effect: { action, contentType: op.contentType, body: op.body, newId } };
    const document = /** @type {Document} */ (current);
    if (document.body === null) return refused(problem('unsupported', 'a document that was uploaded in pieces cannot be patched, send the whole body', { field: 'codec' }));
    if (op.codec !== 'vcdiff' && !isJsonType(document.contentType)) {
      return refused(problem('unsupported', `${document.contentType} cannot be patched as JSON, send a VCDIFF delta or the whole body`, { field: 'codec' }));
    }
    try {
      const body = patched(op, document);
      return { status, effect: { action, contentType: document.contentType, body } };
    } catch (error) {
      if (error instanceof Refusal) return refused(error.problem);
      throw error;
    }
  }

  /**
   * @param {Op} op
   * @param {Document} document
   * @returns {Buffer}
   */
  function patched(op, document) {
    const codec = /** @type {import('./op.js').PatchCodec} */ (op.codec);
    const body = applyPatch(/** @type {Buffer} */ (document.body), /** @type {Buffer} */ (op.body), codec);
    const fault = isJsonType(document.contentType) ? jsonFault(body, limits.maxDepth) : null;
    if (fault) throw new Refusal('unprocessable', `after the patch ${fault}`);
    return body;
  }
}

/**
 * @param {Op} op
 * @param {Binding} bound
 * @returns {Result}
 */
function answerAgain(op, bound) {
  if (bound.fingerprint.equals(op.fingerprint)) return { status: bound.status, etag: bound.etag, replayed: true };
  return refused(problem('key-reused', 'this key was used for another action, entity or body'));
}

/**
 * The preconditions of RFC 9110, section 13, and what a write without one may do. A tombstone has an ETag and If-Match may name it, so that one can create
 * anew exactly what was deleted; for "*" it does not exist.
 * @param {Op} op
 * @param {Op['ifMatch']} ifMatch
 * @param {Document|null} current
 * @returns {Result|null} null when the op may go on
 */
function preconditionFault(op, ifMatch, current) {
  const exists = current !== null && !current.deleted;
  const etag = current === null ? {} : { etag: current.etag };
  const matches = ifMatch === null || (ifMatch === '*' ? exists : current !== null && ifMatch.includes(current.etag));
  const clashes = op.ifNoneMatch !== null && exists && (op.ifNoneMatch === '*' || op.ifNoneMatch.includes(current.etag));
  if (!matches || clashes) {
    const detail = exists ? 'the entity has another version' : current ? 'the entity is deleted' : 'there is no such entity';
    return { ...refused(problem('precondition-failed', detail)), ...etag, ...(exists ? { current } : { missing: true }) };
  }
  if (!exists && (op.action === 'delete' || op.codec !== 'full')) {
    return current ? { ...refused(problem('gone', 'the entity is deleted')), ...etag } : refused(problem('not-found', 'there is no such entity'));
  }
  // Copies from another version than the delta was made of would be garbage, so a delta names its version.
  if (exists && op.codec === 'vcdiff' && !Array.isArray(ifMatch)) {
    return { ...refused(problem('precondition-required', 'a VCDIFF delta is of one version: name it in If-Match', { field: 'If-Match' })), ...etag };
  }
  if (exists && ifMatch === null && op.ifNoneMatch === null) {
    return { ...refused(problem('precondition-required', 'the entity exists, so name the version this write is for')), ...etag };
  }
  return null;
}

/**
 * An atomic group in which the op at `failed` failed: it keeps its answer and the others depend on it. An op whose key was bound before this request keeps its
 * stored answer, because its effect does exist.
 * @param {(Result|null)[]} results  what was found so far; null for ops not looked at
 * @param {number} failed
 * @returns {Result[]}
 */
export function groupAfterFailure(results, failed) {
  return results.map((result, index) => (index === failed || result?.replayed
    ? /** @type {Result} */ (result)
    : refused(problem('failed-dependency', 'another operation of the group failed'))));
}

/**
 * @param {import('./problem.js').ProblemDocument} document
 * @returns {Result}
 */
export function refused(document) {
  return { status: document.status, problem: document };
}

/**
 * @param {Result} result
 * @returns {boolean}
 */
export function succeeded(result) {
  return result.status >= 200 && result.status < 300;
}
