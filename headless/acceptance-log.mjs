// The app's own book of what it was told is safe; the checker holds the client to it.
//
// Before a save a line {"saving":n,…} is written, after it resolved a line {"accepted":n,"opId",…}; an acceptance counts only
// once its line is fsynced. A kill may tear the last line: whoever opens the log next cuts the torn piece off. checker.mjs
// documents the lines and reads them on its own.

import { closeSync, existsSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';

/**
 * @typedef {{n: number, entity: string, entityId: string, action: string, sha256: string}} About  what is saved
 */

/** @param {string} file */
export function openAcceptanceLog(file) {
  const before = existsSync(file) ? readFileSync(file) : Buffer.alloc(0);
  const whole = before.lastIndexOf(0x0a) + 1;
  /** @type {Set<number>} */
  const accepted = new Set();
  for (const line of before.toString('utf8', 0, whole).split('\n')) {
    if (line === '') continue;
    const entry = JSON.parse(line);
    if (entry.accepted !== undefined) accepted.add(entry.accepted);
  }
  const handle = openSync(file, 'a');
  if (whole < before.length) ftruncateSync(handle, whole);
  const append = (/** @type {object} */ line) => writeSync(handle, `${JSON.stringify(line)}\n`);

  return {
    /** Places of the versions that were accepted, by this process or one before it. */
    accepted,
    /** @param {About} about */
    saving({ n, ...about }) {
      append({ saving: n, ...about });
    },
    /** Durable when it returns. @param {About} about @param {string} opId */
    acceptedAs({ n, ...about }, opId) {
      append({ accepted: n, opId, ...about });
      fsyncSync(handle);
      accepted.add(n);
    },
    close() {
      closeSync(handle);
    },
  };
}
