// The device's database as it is at this moment, read past the code under test (out of fake-indexeddb's own memory), and the aborts that browsers do for want of space.

/** @param {string} store @returns {[any, any][]} */
export function records(store) {
  const database = /** @type {any} */ (indexedDB)._databases.get('tidegate');
  if (!database?.rawObjectStores.has(store)) return [];
  return [...database.rawObjectStores.get(store).records.values()].map(({ key, value }) => [key, value]);
}

/** @param {string} store @param {string | number} key @returns {any} */
export const record = (store, key) => /** @type {any} */ (indexedDB)._databases.get('tidegate')?.rawObjectStores.get(store)?.records.get(key)?.value;

/** The rows of the outbox, in order. @returns {any[]} */
export const rows = () => records('ops').map(([, row]) => row);

/** Waits for a person, and holds nothing else up. @param {any} row */
export const parked = (row) => row.state === 'dead' || row.state === 'quarantined';

/** The bytes of a record as text. @param {any} found */
export const textOf = (found) => {
  const bytes = found instanceof Uint8Array ? found : found?.bytes;
  return bytes === undefined ? undefined : Buffer.from(bytes).toString();
};

/** While it is set, the next transaction that writes aborts after every one of its requests succeeded, as Chromium's do when the disk is full. */
export const full = { next: false };

const begin = IDBDatabase.prototype.transaction;
IDBDatabase.prototype.transaction = function (names, mode, options) {
  const tx = /** @type {any} */ (begin.call(this, names, mode, options));
  if (!full.next || mode !== 'readwrite') return tx;
  full.next = false;
  const open = tx.objectStore.bind(tx);
  tx.objectStore = (/** @type {string} */ name) => {
    const store = open(name);
    if (store.isWatched) return store;
    store.isWatched = true;
    for (const method of ['put', 'add', 'get', 'getAll', 'delete']) {
      const real = store[method].bind(store);
      store[method] = (/** @type {any[]} */ ...args) => {
        const request = real(...args);
        // What its listeners ask for next is asked by then; when that is nothing, the transaction is about to complete.
        request.addEventListener('success', () => setImmediate(() => { if (tx._requests.length === 0 && tx._state !== 'finished') tx._abort('QuotaExceededError'); }));
        return request;
      };
    }
    return store;
  };
  return tx;
};
