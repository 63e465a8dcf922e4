// Encryption at rest, an entry of its own: who does not use it does not load it. docs/encryption.md says what it protects against, and what not.
//
//     connect({ …, encryption: encryption() })        and the same to createSyncWorker(); in Node with `keys`
//
// It stands between everything of ours and the store (sw/sealed-store.js), so the core, the drain and the calls know nothing of it.
import { deviceKeys } from './keys.js';
import { Keyring } from './sealing.js';
import { sealedStore } from './sealed-store.js';

export { forgetDeviceKeys, rotateDeviceKeys, deviceKeys, secretKeys } from './keys.js';

/** @import { Encryption } from './index.d.ts' */
/** @import { KeyProvider } from './encryption.d.ts' */

/**
 * @param {{keys?: KeyProvider}} [options]  keys: asked for when a page, worker or process first needs them. Default: deviceKeys
 * @returns {Encryption}
 */
export const encryption = ({ keys = deviceKeys } = {}) => (store, context) => sealedStore(store, new Keyring(keys), context);
