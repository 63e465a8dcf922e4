// Reading through a store that may hold a hundred thousand records: a page at a time.

/** @import { KeyedStore, Store } from './store-contract.d.ts' */
/** @import { OpRow } from '../wasm/protocol.js' */

const kPage = 200;

/** Whether an op is this owner's; the core leaves an empty owner out. @param {OpRow} row @param {string} owner */
export const isOf = (row, owner) => (row.owner ?? '') === owner;

/** All records of a store, or those after a key. @param {Store} store @param {KeyedStore} name @param {{prefix?: string, after?: string, limit?: number, loose?: boolean}} [options] */
export async function* pagesOf(store, name, { after, limit = kPage, ...options } = {}) {
  for (;;) {
    const page = await store.list(name, { ...options, after, limit });
    yield page;
    if (page.length < limit) return;
    after = page.at(-1)?.key;
  }
}

/** The ops of an owner, in accept order. @param {Store} store @param {string} owner @param {number} [after] */
export async function* opsOf(store, owner, after = 0) {
  for (;;) {
    const rows = await store.rows(after, kPage);
    yield rows.filter((row) => isOf(row, owner));
    if (rows.length < kPage) return;
    after = /** @type {OpRow} */ (rows.at(-1)).seq;
  }
}
