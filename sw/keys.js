// Where keys come from: made on this device, or derived from a secret that the app has from elsewhere.
import { quote } from './accept.js';
import { TidegateError } from './errors.js';
import { randomBytes, subtle } from './random.js';
import { openRecord, removeRecord, storeSupported } from './store.js';

/** @import { EncryptionKeys } from './encryption.d.ts' */

/** Apart from the outbox: what empties or damages that one leaves the keys. */
const kDatabase = 'tidegate-keys';
const kRecord = 'keys';
const kSecretBytes = 32;

const makeKey = async () => ({
  id: [...randomBytes(8)].map((byte) => byte.toString(16).padStart(2, '0')).join(''),
  key: await subtle().generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt']),
});

const makeKeys = async () => ({ seal: await makeKey(), open: [], names: await subtle().generateKey({ name: 'HMAC', hash: 'SHA-256' }, false, ['sign']) });

/**
 * Keys that this browser makes once and keeps in IndexedDB: CryptoKeys that no script, ours included, can read the bytes of. Two contexts that make them at
 * once get the same. @returns {Promise<EncryptionKeys>}
 */
export const deviceKeys = async () => {
  if (!storeSupported()) throw new TidegateError('unsupported', '/keys', 'encryption: there is no IndexedDB to keep keys in; give `keys` (secretKeys() makes them of a secret)');
  return withRecord(async (record) => (await record.read()) ?? record.update(keepFirst(await makeKeys())));   // made before: nothing may be awaited in a transaction
};
const keepFirst = (/** @type {EncryptionKeys} */ made) => (/** @type {any} */ found) => (found ? null : made);

/** From now on new records are sealed under a new key; the older ones go on opening what they sealed. In effect where a page or worker next starts. */
export async function rotateDeviceKeys() {
  await deviceKeys();
  const made = await makeKey();
  await withRecord((record) => record.update(({ seal, open, names }) => ({ seal: made, open: [seal, ...open], names })));
}

/** Takes the keys of this device away: what is sealed under them can never be opened again. */
export const forgetDeviceKeys = () => removeRecord(kDatabase);

/** @template T @param {(record: Awaited<ReturnType<typeof openRecord>>) => Promise<T>} work */
async function withRecord(work) {
  const record = await openRecord(kDatabase, kRecord);
  try {
    return await work(record);
  } finally {
    record.close();
  }
}

/**
 * Keys derived (HKDF, RFC 5869) from a secret of at least 32 random bytes, which the app keeps or fetches. `older` open what they sealed. Names in keys are made with
 * `names`, which must stay the same for ever: by default the oldest secret.
 * @param {{secret: Uint8Array, older?: Uint8Array[], names?: Uint8Array}} secrets @returns {Promise<EncryptionKeys>} throws TidegateError
 */
export async function secretKeys({ secret, older = [], names = [secret, ...older][older.length] }) {
  const open = await Promise.all(older.map((one, i) => cipherOf(one, `/older/${i}`)));
  return { seal: await cipherOf(secret, '/secret'), open, names: await derive(names, '/names', 'names', { name: 'HMAC', hash: 'SHA-256', length: 256 }, ['sign']) };
}

/** @param {Uint8Array} secret @param {string} path */
async function cipherOf(secret, path) {
  const key = await derive(secret, path, 'records', { name: 'AES-GCM', length: 256 }, ['encrypt', 'decrypt']);
  const id = await subtle().sign('HMAC', await derive(secret, path, 'id', { name: 'HMAC', hash: 'SHA-256', length: 256 }, ['sign']), new Uint8Array());
  return { key, id: [...new Uint8Array(id, 0, 8)].map((byte) => byte.toString(16).padStart(2, '0')).join('') };
}

/** @param {Uint8Array} secret @param {string} path @param {string} purpose @param {any} algorithm @param {KeyUsage[]} usages */
async function derive(secret, path, purpose, algorithm, usages) {
  if (!(secret instanceof Uint8Array) || secret.length < kSecretBytes)
    throw new TidegateError('wrong-type', path, `${path}: expected at least ${kSecretBytes} bytes, got ${secret instanceof Uint8Array ? secret.length : quote(secret)}`);
  const from = await subtle().importKey('raw', /** @type {BufferSource} */ (secret), 'HKDF', false, ['deriveKey']);
  const info = new TextEncoder().encode(`tidegate ${purpose}`);
  return subtle().deriveKey({ name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(), info }, from, algorithm, false, usages);
}
