// Sealing what was stored before there were keys, or by a client that has none: once, by the drain that finds it, a window at a time. Each window is one commit, so
// what is cut off is carried on by the next drain; until the end both kinds are read. Where it fails (there is no room), everything stays as it is and is read as ever.
import { clock } from './clock.js';
import { StoreError } from './errors.js';
import { isSealed, kByLane, kPlainState, partsOf } from './records.js';

/** @import { Keyring } from './sealing.js' */
/** @import { Store, Write } from './store-contract.d.ts' */

const kWindow = 200;
/** Besides the ops. The core's small state first, the documents last. */
const kStores = /** @type {const} */ (['state', 'history', 'payloads', 'bases', 'docs']);

/**
 * @typedef {object} SealOld
 * @property {Store} inner
 * @property {Keyring} keyring
 * @property {(writes: Write[]) => Promise<Write[]>} seal
 * @property {number} token
 * @property {{nowMs: number, ttlMs: number}} ask  that the lease was granted for
 * @property {(type: string, detail: any) => void} publish
 */

/** @param {SealOld} deps @returns {Promise<void>} throws StoreError when the lease is lost */
export async function sealOld({ inner, keyring, seal, token, ask: { nowMs, ttlMs }, publish }) {
  const startedMs = clock.now();
  let renewAtMs = startedMs + ttlMs / 3;
  /** Whether it is done; false when another has to look first. @param {Write[]} writes @param {number} [knownSeq] @param {string[]} [lanes] */
  const commit = async (writes, knownSeq = 0, lanes = []) => {
    if (writes.length === 0) return true;
    const renewing = clock.now() >= renewAtMs;
    if (renewing) renewAtMs = clock.now() + ttlMs / 3;
    const held = !renewing || await inner.renewLease({ token, nowMs: nowMs + clock.now() - startedMs, ttlMs });
    const result = held ? await inner.commit({ token, knownSeq, lanes, writes }) : 'fenced';
    if (result === 'fenced') throw new StoreError('blocked', 'another tab, worker or process took over');
    return result === 'ok';
  };

  /** One page of a store; false: ops came for its lanes while it was sealed. @param {typeof kStores[number]} name @param {{key: string, value: any}[]} page */
  const sealPage = async (name, page) => {
    const plain = page.filter(({ key, value }) => !isSealed(value) && !(name === 'state' && kPlainState.includes(key)));
    if (!kByLane.includes(name)) {
      const writes = plain.map(({ key, value }) => (name === 'state' && key === 'snapshot' ? { store: name, key, remove: true } : { store: name, key, ...partsOf(value) }));
      return commit([...await seal(writes.filter(({ remove }) => !remove)), ...writes.filter(({ remove }) => remove)]);
    }
    const knownSeq = (await inner.census()).totals.lastSeq ?? 0;
    const names = await Promise.all(plain.map(({ key }) => keyring.laneKey(key)));
    const there = await inner.getMany(name, names);   // a newer one, sealed
    const missing = plain.filter((_, i) => there[i] === undefined);
    const gone = plain.map(({ key }) => ({ store: name, key, remove: true }));
    return commit([...await seal(missing.map(({ key, value }) => ({ store: name, key, ...partsOf(value) }))), ...gone], knownSeq, names);
  };

  try {
    for (let after = 0; ;) {
      const rows = await inner.rows(after, kWindow);
      await commit(await seal(rows.filter((row) => !isSealed(row)).map((row) => ({ store: 'ops', key: row.seq, value: row }))));
      if (rows.length < kWindow) break;
      after = rows[rows.length - 1].seq;
    }
    for (const name of kStores)
      for (let after; ;) {
        const page = await inner.list(name, { after, limit: kWindow });
        while (!(await sealPage(name, page)));
        if (page.length < kWindow) break;
        after = page[page.length - 1].key;
      }
    await commit([{ store: 'state', key: 'sealed', value: { version: 1 } }]);
  } catch (error) {
    if (!(error instanceof StoreError) || error.code === 'blocked') throw error;
    publish('sync.seal-failed', { code: error.code, message: error.message });
  }
}
