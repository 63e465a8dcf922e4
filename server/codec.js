/** Patches on exact text and on blobs, by the core's own code: what a patch does not touch keeps its bytes, so 9007199254740993 and 1.0 stay what they are. */
import { DeltaError, apply, applyDelta } from '../wasm/delta.js';
import { Refusal } from './problem.js';

/** Errors of the machine rather than of the patch. */
const OWN_FAULTS = new Set(['trapped', 'memory']);
/** The result would be too large. */
const LIMITS = new Set(['patch-limit', 'delta-limit']);

/**
 * Makes the function that applies patches. Rejects when the core cannot be loaded.
 * @param {{maxBodyBytes: number}} limits
 * @returns {Promise<(document: Buffer, patch: Buffer, codec: import('./op.js').PatchCodec) => Buffer>} throws a Refusal when the patch does not apply
 */
export async function createPatcher({ maxBodyBytes }) {
  apply('{}', '{}', { format: 'merge-patch' });
  return function applyPatch(document, patch, codec) {
    try {
      if (codec === 'vcdiff') return bufferOf(applyDelta(document, patch, { maxOutputBytes: maxBodyBytes }));
      return bufferOf(apply(document, patch, { format: codec, maxOutputBytes: maxBodyBytes }));
    } catch (error) {
      if (!(error instanceof DeltaError) || OWN_FAULTS.has(error.code)) throw error;
      if (LIMITS.has(error.code)) throw new Refusal('too-large', error.message, { limit: maxBodyBytes });
      throw new Refusal('unprocessable', error.message);
    }
  };
}

/** The same memory as a Buffer. @param {Uint8Array} bytes */
function bufferOf(bytes) {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
