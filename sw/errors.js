// The two errors users see. Codes are chosen by what the caller does next.

/** The caller's input or wish was refused, and nothing changed. `path` is a JSON Pointer to the culprit. */
export class TidegateError extends Error {
  /**
   * @param {string} code  "wrong-type" | "out-of-range" | "limit" | "not-found" | "closed" | "busy" | "unsupported" | "internal", or a code of the core
   * @param {string} path
   * @param {string} message
   * @param {{cause?: unknown}} [options]
   */
  constructor(code, path, message, options) {
    super(message, options);
    this.name = 'TidegateError';
    this.code = code;
    this.path = path;
  }
}

/**
 * Storage failed; whatever was being written was not written, unless it is hung.
 * quota: free space, then try again · closed: the store was closed · blocked: another context holds it, try later ·
 * newer-schema: newer code owns the database, reload · corrupt: the data cannot be read · full: the outbox is at its limit · locked: the keys to it
 * cannot be had now · hung: it did not answer in time, and may yet do what it was asked · internal: the rest
 */
export class StoreError extends Error {
  /**
   * @param {"quota"|"closed"|"blocked"|"newer-schema"|"corrupt"|"full"|"locked"|"hung"|"internal"} code
   * @param {string} message
   * @param {unknown} [cause]
   */
  constructor(code, message, cause) {
    super(message, { cause });
    this.name = 'StoreError';
    this.code = code;
  }
}

/** What every call says after close(). */
export const closedError = () => new TidegateError('closed', '', 'the client was closed');
