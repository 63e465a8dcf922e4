/** Patches on exact text, by the core's own code: what a patch does not touch keeps its bytes, so 9007199254740993 and 1.0 stay what they are. */
import { DeltaError, apply } from '../wasm/delta.js';
import { Refusal } from './problem.js';

/** Errors of the machine rather than of the patch. */
const OWN_FAULTS = new Set(['trapped', 'memory']);

/**
 * Makes the function that applies patches. Rejects when the core cannot be loaded.
 * @param {{maxBodyBytes: number}} limits
 * @returns {Promise<(document: Buffer, patch: Buffer, codec: 'json-patch'|'merge-patch') => Buffer>} throws a Refusal when the patch does not apply
 */
export async function createPatcher({ maxBodyBytes }) {
  apply('{}', '{}', { format: 'merge-patch' });
  return function applyPatch(document, patch, codec) {
    try {
      return bufferOf(apply(document, patch, { format: codec, maxOutputBytes: maxBodyBytes }));
    } catch (error) {
      if (!(error instanceof DeltaError) || OWN_FAULTS.has(error.code)) throw error;
      if (error.code === 'patch-limit') throw new Refusal('too-large', error.message, { limit: maxBodyBytes });
      throw new Refusal('unprocessable', error.message);
    }
  };
}

/** The same memory as a Buffer. @param {Uint8Array} bytes */
function bufferOf(bytes) {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
