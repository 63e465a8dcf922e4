// The version that an app gives its documents. The core keeps it in 32 bits.
import { TidegateError } from './errors.js';

const kMaxSchemaVersion = 2 ** 31 - 1;

/** Undefined where none is named. @param {any} version @param {string} path */
export function checkSchemaVersion(version, path) {
  if (version !== undefined && (version & kMaxSchemaVersion) !== version)
    throw new TidegateError('out-of-range', path, `${path}: expected a whole number from 0 to ${kMaxSchemaVersion}, got ${version}`);
}
