/**
 * Every bound of the reference server, in one place. Sizes are bytes after decoding, durations milliseconds. docs/server.md lists them for operators.
 *
 * @typedef {object} Limits
 * @property {number} maxBatchBytes        one POST /batch
 * @property {number} maxBatchOps          ops of one batch
 * @property {number} maxOpLineBytes       one header line of a batch
 * @property {number} maxBodyBytes         one body over plain REST, and any document a patch may make
 * @property {number} maxUploadBytes       one upload (server/uploads.js), which goes and lies in pieces and is never in memory as a whole
 * @property {number} maxUnfinishedUploads uploads that have not ended yet
 * @property {number} uploadRetentionMs    how long an upload to which nothing is added is kept
 * @property {number} maxDepth             nesting of a JSON text
 * @property {number} maxAnswerBytes       bodies of current documents in one batch answer or one page of changes; the first is always sent
 * @property {number} maxChangesPage       changes of one page
 * @property {number} maxDiscardBytes      how much of a refused upload is read so that its sender can hear the refusal
 * @property {number} keyRetentionMs       how long an idempotency key is kept
 * @property {number} tombstoneRetentionMs how long a deletion is told to those who pull
 * @property {number} purgeEveryMs         how often what is past its retention is removed
 * @property {number} requestTimeoutMs     how long a request may take to arrive: 512 KiB at 30 kbit/s take 140 s
 * @property {number} maxHintConnections   connections that wait for hints
 * @property {number} hintGapMs            hints are told at most this often
 * @property {number} hintHeartbeatMs      how often a quiet connection shows that it lives
 * @property {number} closeGraceMs         how long close() waits for running requests before it cuts their connections
 */

const DAY_MS = 24 * 3600 * 1000;

/** @type {Readonly<Limits>} */
export const DEFAULT_LIMITS = Object.freeze({
  maxBatchBytes: 512 * 1024,
  maxBatchOps: 200,
  maxOpLineBytes: 8 * 1024,
  maxBodyBytes: 16 * 1024 * 1024,
  maxUploadBytes: 256 * 1024 * 1024,
  maxUnfinishedUploads: 10_000,
  uploadRetentionMs: 7 * DAY_MS,
  maxDepth: 256,
  maxAnswerBytes: 4 * 1024 * 1024,
  maxChangesPage: 500,
  maxDiscardBytes: 64 * 1024 * 1024,
  keyRetentionMs: 30 * DAY_MS,
  tombstoneRetentionMs: 90 * DAY_MS,
  purgeEveryMs: 3600 * 1000,
  requestTimeoutMs: 300 * 1000,
  maxHintConnections: 10_000,
  hintGapMs: 100,
  hintHeartbeatMs: 25 * 1000,
  closeGraceMs: 2000,
});

/** The names and ids of the protocol page. */
export const MAX_ID_CHARS = 128;
export const MAX_KEY_CHARS = 255;
export const MAX_CONTENT_TYPE_CHARS = 255;

/**
 * The default limits with some replaced. Throws a TypeError naming the limit and its value when one is unknown or no positive integer.
 * @param {Partial<Limits>} [changed]
 * @returns {Limits}
 */
export function limitsFrom(changed = {}) {
  for (const [name, value] of Object.entries(changed)) {
    if (!Object.hasOwn(DEFAULT_LIMITS, name)) {
      throw new TypeError(`limits.${name} is not a limit; there are ${Object.keys(DEFAULT_LIMITS).join(', ')}`);
    }
    if (!Number.isSafeInteger(value) || value <= 0) {
      throw new TypeError(`limits.${name} must be a positive integer, got ${JSON.stringify(value)}`);
    }
  }
  return { ...DEFAULT_LIMITS, ...changed };
}
