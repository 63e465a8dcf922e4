// Histories whose store is sealed (tidegate/encryption). What docs/encryption.md says of names, places and ciphers is written down here a second time, from that page: checkers open
// what the shell sealed, at this very moment, and look whether anything can be read that is not to be.
import { KeyObject, createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import { encryption, secretKeys } from '../../../sw/encryption.js';

const kNonceBytes = 12, kTagBytes = 16, kNameBytes = 16;
/** What stands beside the seal, by store. */
const kReadable = {
  ops: ['seq', 'id', 'lane', 'action', 'group', 'sizeBytes'], payloads: ['bytes'], docs: ['opId', 'seq', 'deleted', 'bytes'], bases: ['deleted', 'bytes'], history: [], state: ['bytes'],
};
const kPlainState = ['lease', 'totals', 'settings', 'step', 'ticket', 'sealed'];

const given = await secretKeys({ secret: new Uint8Array(32).fill(7) });
const key = KeyObject.from(given.seal.key), names = KeyObject.from(given.names);

// WebCrypto answers from a pool of threads, in any order; a history has to be the same the next time. The same ciphers, answered in the order in which they were asked.
Object.assign(crypto.subtle, {
  encrypt: async (/** @type {any} */ { iv, additionalData }, /** @type {any} */ by, /** @type {Uint8Array} */ bytes) => {
    const cipher = createCipheriv('aes-256-gcm', KeyObject.from(by), iv).setAAD(additionalData);
    return Buffer.concat([cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
  },
  decrypt: async (/** @type {any} */ { iv, additionalData }, /** @type {any} */ by, /** @type {Uint8Array} */ bytes) => deciphered(KeyObject.from(by), iv, additionalData, bytes),
  sign: async (/** @type {string} */ _name, /** @type {any} */ by, /** @type {Uint8Array} */ bytes) => createHmac('sha256', KeyObject.from(by)).update(bytes).digest(),
});

/** @param {KeyObject} by @param {Uint8Array} iv @param {Uint8Array} place @param {Uint8Array} bytes */
function deciphered(by, iv, place, bytes) {
  const end = bytes.length - kTagBytes;
  const decipher = createDecipheriv('aes-256-gcm', by, iv).setAAD(place).setAuthTag(bytes.subarray(end));
  return Buffer.concat([decipher.update(bytes.subarray(0, end)), decipher.final()]);
}

/** What stands around the store of a client. */
export const sealing = encryption({ keys: async () => given });

/** @param {string} text */
const nameOf = (text) => createHmac('sha256', names).update(text).digest().subarray(0, kNameBytes).toString('base64url');
const kTag = nameOf('').slice(0, 5);
/** @type {Map<string, string>} */
const laneNames = new Map();

/** The key under which a record lies. @param {string} store @param {any} asked */
export function storedKey(store, asked) {
  if (store !== 'docs' && store !== 'bases') return asked;
  let stored = laneNames.get(asked);
  if (!stored) {
    const [owner, rest] = asked.split(':');
    laneNames.set(asked, (stored = `${kTag}${nameOf(`${owner}:`)}:${nameOf(`${owner}:${rest.split('/')[0]}`)}/${nameOf(asked)}`));
  }
  return stored;
}

/** @param {Uint8Array} sealed @param {string[]} place */
const openBytes = (sealed, place) => deciphered(key, sealed.subarray(0, kNonceBytes), Buffer.from(JSON.stringify(['tidegate', 1, ...place])), sealed.subarray(kNonceBytes));
/** @param {string} text @param {string[]} place */
function openText(text, place) {
  const [, sealed] = text.split('.');
  return sealed === '' ? undefined : JSON.parse(openBytes(Buffer.from(sealed, 'base64'), place).toString());
}

/** A record, opened; as it is where it is not sealed. Throws where it does not open in its place. @param {string} store @param {any} at  its key @param {any} found @param {(seq: number) => any} rowOf  as it lies */
export function open(store, at, found, rowOf) {
  const { sealed, bytes } = found;
  if (typeof sealed !== 'string') return found;
  if (store === 'ops') {
    const row = openText(sealed, ['ops', found.id, found.lane]);
    return { ...row, seq: found.seq, ...(row.action === 'save' && { action: found.action }) };
  }
  if (store === 'payloads') {
    const [seq, part] = at.split(':');
    return openBytes(bytes, ['payloads', part, rowOf(Number(seq))?.id ?? '']);
  }
  if (store === 'docs' && found.opId) {   // as an accept left it: the row's seal, and the payload's
    const { entity, entityId, owner, contentType, action } = openText(sealed, ['ops', found.opId, at]);
    return { entity, entityId, owner, contentType, deleted: action === 'delete', opId: found.opId, seq: found.seq, ...(bytes && { bytes: openBytes(bytes, ['payloads', 'next', found.opId]) }) };
  }
  const said = openText(sealed, [store, at, 'value']);
  const value = store === 'docs' || store === 'bases' ? said.value : said;
  return bytes ? { ...value, bytes: openBytes(bytes, [store, at, 'bytes']) } : value;
}

/** What is wrong with a record as it lies there: it is not sealed, says too much, or does not open. Empty: nothing. @param {string} store @param {any} at @param {any} found @param {(seq: number) => any} rowOf @returns {string} */
export function faultOf(store, at, found, rowOf) {
  if (store === 'state' && kPlainState.includes(at)) return '';
  if (typeof found.sealed !== 'string') return 'is not sealed';
  const beside = Object.keys(found).filter((name) => name !== 'sealed' && !kReadable[/** @type {keyof typeof kReadable} */ (store)].includes(name));
  if (beside.length > 0) return `says ${beside}`;
  const gone = store === 'payloads' && !rowOf(parseInt(at));
  try { if (!gone) open(store, at, found, rowOf); } catch (error) { return `does not open in its place: ${error}`; }
  return '';
}
