import type { Encryption } from './index.js';

/** `id` is written beside what the key seals: 1 to 32 letters, digits, "_" or "-". */
export interface SealingKey { id: string; key: CryptoKey }
export interface EncryptionKeys {
  /** AES-GCM, encrypt and decrypt: seals everything that is written from now on. */
  seal: SealingKey;
  /** AES-GCM: older keys, which open what they sealed. */
  open?: SealingKey[];
  /** HMAC, sign: makes the names in keys. The same for ever. */
  names: CryptoKey;
}
/**
 * Asked once by each page, worker and process, and again for a record that names a key it did not give. While it throws or rejects everything is refused with StoreError
 * "locked": nothing is read, sent or lost.
 */
export type KeyProvider = () => EncryptionKeys | Promise<EncryptionKeys>;

/** Default `keys`: deviceKeys. */
export function encryption(options?: { keys?: KeyProvider }): Encryption;
/** Keys that this browser makes once and keeps in IndexedDB; no script can read their bytes. Not in Node. */
export const deviceKeys: KeyProvider;
/** What is written from now on is sealed under a new key, where a page or worker starts after this; the older ones still open what they sealed. */
export function rotateDeviceKeys(): Promise<void>;
/** What is sealed under this device's keys can never be opened again. */
export function forgetDeviceKeys(): Promise<void>;
/** Keys derived (HKDF) from secrets of at least 32 random bytes. `older`: those that went before. `names`: default the oldest of them. */
export function secretKeys(secrets: { secret: Uint8Array; older?: Uint8Array[]; names?: Uint8Array }): Promise<EncryptionKeys>;
