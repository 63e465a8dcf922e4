// Blobs that go as what changed in them, an entry of its own, because it brings the delta module along.
//
//     createSyncWorker({ …, blobDeltas: blobDeltas() })        likewise openClient(), and connect() where no worker drains
//
// Of a changed blob the core asks its store for `payloads/"<seq>:delta:<lane>"`: the VCDIFF delta (RFC 3284) of the lane's acknowledged version that makes what
// the op holds. No store has such a record, and without it the blob goes whole. Here it is made when it is asked for. The core decides whether it is taken, and stores
// what it takes with the attempt: a retry repeats those bytes, whatever code makes the next delta.
import { DeltaError, encodeDelta, ready, wasmFile } from '../wasm/delta.js';
import { CoreUnavailable } from '../wasm/compile.js';
import { bytesOf } from './store-rules.js';
import { fetchAsset } from './transport.js';

/** @import { Store } from './store-contract.d.ts' */

const kDeltaKey = /^(\d+):delta:(.+)$/s;

/**
 * @param {{wasm?: string | URL}} [options]  wasm: the folder of delta.wasm and delta.simd.wasm, a whole URL. Default: beside the package's own files
 * @returns {(store: Store) => Store}
 */
export function blobDeltas({ wasm } = {}) {
  /** Loads the module where the realm cannot read files. @param {() => Uint8Array} encode */
  const prepared = async (encode) => {
    try {
      return encode();
    } catch (error) {
      if (!(error instanceof CoreUnavailable)) throw error;
      await ready(fetchAsset(new URL(wasmFile(), wasm ?? new URL('../dist/', import.meta.url))));
      return encode();
    }
  };
  return (store) => ({
    ...store,
    async getMany(name, keys) {
      const found = await store.getMany(name, keys);
      if (name === 'payloads') await Promise.all(keys.map(async (key, i) => { found[i] ??= await deltaOf(store, key, prepared); }));
      return found;
    },
  });
}

/**
 * Undefined where the key asks for no delta, one of the two blobs is not there, or no delta can be made: then the blob goes whole.
 * @param {Store} store @param {string} key @param {(encode: () => Uint8Array) => Promise<Uint8Array>} prepared
 */
async function deltaOf(store, key, prepared) {
  const [, seq, lane] = kDeltaKey.exec(key) ?? [];
  if (lane === undefined) return undefined;
  const [base, next] = (await Promise.all([store.get('bases', lane), store.get('payloads', `${seq}:next`)])).map(bytesOf);
  if (!base || !next) return undefined;
  try {
    return await prepared(() => encodeDelta(base, next));
  } catch (error) {
    if (error instanceof DeltaError || error instanceof CoreUnavailable) return undefined;
    throw error;
  }
}
