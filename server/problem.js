/**
 * Problem documents (RFC 9457). The table is the one of docs/protocol.md; no answer of the server carries another type.
 *
 * @typedef {object} ProblemDocument
 * @property {string} type
 * @property {string} title
 * @property {number} status
 * @property {string} [detail]
 * @property {string} [field]  the header or field that is wrong
 * @property {number} [limit]  the bound that was passed
 *
 * @typedef {keyof typeof KINDS} ProblemKind
 */

const KINDS = Object.freeze({
  'bad-request': { status: 400, title: 'The request is not of this protocol' },
  'not-found': { status: 404, title: 'Not found' },
  'gone': { status: 410, title: 'Deleted' },
  'in-progress': { status: 409, title: 'The same key is being processed' },
  'offset': { status: 409, title: 'The upload is not at this offset' },
  'precondition-failed': { status: 412, title: 'The entity is not at the named version' },
  'tus-version': { status: 412, title: 'Only version 1.0.0 of tus is spoken here' },
  'too-large': { status: 413, title: 'Too large' },
  'unsupported': { status: 415, title: 'Not taken here' },
  'unprocessable': { status: 422, title: 'The body cannot be applied' },
  'key-reused': { status: 422, title: 'The idempotency key belongs to another operation' },
  'locked': { status: 423, title: 'Another request is writing this upload' },
  'failed-dependency': { status: 424, title: 'An operation this one depends on failed' },
  'precondition-required': { status: 428, title: 'A write to an existing entity needs a precondition' },
  'rate-limited': { status: 429, title: 'Too many requests' },
  'internal': { status: 500, title: 'The server failed' },
  'no-worker': { status: 503, title: 'No service worker took the request' },
  'cursor-expired': { status: 410, title: 'The cursor is too old' },
});

export const PROBLEM_TYPE = 'application/problem+json';

/**
 * @param {ProblemKind} kind
 * @param {string} [detail]
 * @param {{field?: string, limit?: number}} [members]
 * @returns {ProblemDocument}
 */
export function problem(kind, detail, members = {}) {
  const { status, title } = KINDS[kind];
  return { type: `urn:tidegate:${kind}`, title, status, ...(detail === undefined ? {} : { detail }), ...members };
}

/** Thrown by whoever reads a request; the error handler answers it as the problem it carries. */
export class Refusal extends Error {
  /**
   * @param {ProblemKind} kind
   * @param {string} detail
   * @param {{field?: string, limit?: number}} [members]
   */
  constructor(kind, detail, members) {
    super(detail);
    this.name = 'Refusal';
    this.problem = problem(kind, detail, members);
  }
}

/**
 * A value as an error message quotes it: short, on one line.
 * @param {unknown} value
 * @returns {string}
 */
export function quoted(value) {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}
