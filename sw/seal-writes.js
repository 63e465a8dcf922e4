// The writes of a commit, sealed. What they copy from other records is opened first and sealed for its new place: only the holder of the lease writes those records, and
// a commit of who holds it no longer writes nothing.
import { isStandIn, kByLane, kPlainState, payloadPlace, sealPayload, sealRecord, sealRow } from './records.js';
import { bytesOf } from './store-rules.js';

/** @import { Keyring, Ring } from './sealing.js' */
/** @import { Write } from './store-contract.d.ts' */

/**
 * @typedef {object} SealDeps
 * @property {Keyring} keyring
 * @property {(name: string, keys: string[]) => Promise<any[]>} getMany  records, opened
 * @property {(keys: string[]) => Promise<(string | undefined)[]>} idsOfPayloads  of the ops that payloads belong to
 * @property {() => Promise<boolean>} mixed  whether records that are not sealed may be there
 */

/** @param {SealDeps} deps @param {Write[]} writes @returns {Promise<Write[]>} */
export async function sealWrites(deps, writes) {
  const { keyring, idsOfPayloads, mixed } = deps;
  const ring = await keyring.ring();
  const bytes = await bytesFor(deps, writes);
  const homes = writes.filter(({ store, remove }) => store === 'payloads' && !remove).map(({ key }) => String(key));
  const ids = homes.length > 0 ? await idsOfPayloads(homes) : [];
  const old = await mixed();
  const sealed = await Promise.all(writes.map(async ({ from: _, ...write }, i) => {
    const { store, value, remove } = write;
    const key = String(write.key);
    if (kByLane.includes(store)) return sealByLane(keyring, ring, write, bytes[i], old);
    if (remove || (store === 'state' && kPlainState.includes(key))) return [write];
    if (store === 'ops') return isStandIn(value) ? [] : [{ store, key: write.key, value: await sealRow(keyring, ring, { ...value, seq: write.key }) }];
    if (store === 'payloads') return [{ store, key, ...await sealPayload(keyring, ring, payloadPlace(key, ids[homes.indexOf(key)]), bytes[i]) }];
    const said = store === 'state' && key === 'snapshot' ? { value, keys: await keyring.ids() } : value;
    return [{ store, key, ...await sealRecord(keyring, ring, store, key, key, said, bytes[i]) }];
  }));
  return sealed.flat();
}

/** A write whose key is a lane, or what lanes begin with. A record that is not sealed goes with it. @param {Keyring} keyring @param {Ring} ring @param {Write} write @param {Uint8Array | undefined} bytes @param {boolean} old */
async function sealByLane(keyring, ring, { store, key, prefix, value, remove }, bytes, old) {
  if (prefix !== undefined) return [{ store, prefix: await keyring.laneKey(prefix), remove }, { store, prefix, remove }];
  const lane = String(key), stored = await keyring.laneKey(lane);
  const plain = old ? [{ store, key: lane, remove: true }] : [];
  if (remove) return [{ store, key: stored, remove }, ...plain];
  return [...plain, { store, key: stored, ...await sealRecord(keyring, ring, store, stored, lane, value, bytes) }];
}

/** What each brings along: its own bytes, or those it is to copy. @param {SealDeps} deps @param {Write[]} writes */
async function bytesFor({ getMany }, writes) {
  const bytes = writes.map((write) => write.bytes);
  for (const name of new Set(writes.flatMap(({ from }) => (from ? [from.store] : [])))) {
    const wanted = writes.flatMap(({ from }, i) => (from?.store === name ? [{ i, key: from.key }] : []));
    const found = await getMany(name, wanted.map(({ key }) => key));
    wanted.forEach(({ i }, n) => { bytes[i] = bytesOf(found[n]); });
  }
  return bytes;
}
