// The device's database as it is at this moment, read past the code under test (out of fake-indexeddb's own memory), and the aborts that browsers do for want of space.
import * as seals from './seals.js';

/** Whether this history's store is sealed. */
export const disk = { sealed: false };
/** @type {WeakMap<object, any>} what was opened; a record that is written again is another object */
const opened = new WeakMap();

/** As they lie there. @param {string} store */
const lying = (store) => /** @type {any} */ (indexedDB)._databases.get('tidegate')?.rawObjectStores.get(store)?.records;
const rowOf = (/** @type {number} */ seq) => lying('ops')?.get(seq)?.value;

/** Opened; what does not open as it is, which legible() finds. @param {string} store @param {any} key @param {any} value */
function read(store, key, value) {
  if (!disk.sealed || value === undefined) return value;
  if (!opened.has(value)) try { opened.set(value, seals.open(store, key, value, rowOf)); } catch { return value; }
  return opened.get(value);
}

/** @param {string} store @returns {[any, any][]} */
export const records = (store) => [...lying(store)?.values() ?? []].map(({ key, value }) => [key, read(store, key, value)]);

/** @param {string} store @param {string | number} asked @returns {any} */
export function record(store, asked) {
  const key = disk.sealed ? seals.storedKey(store, asked) : asked;
  return read(store, key, lying(store)?.get(key)?.value);
}

/** @type {WeakSet<object>} */
const looked = new WeakSet();
/** Where the document of an op lies. @param {number} seq */
export const nextKey = (seq) => `${String(seq).padStart(12, '0')}:next`;

const kStores = ['ops', 'payloads', 'docs', 'bases', 'history', 'state'];
/** Names of entity types and what is in every document; none of it can come about by chance in base64. */
const kSaid = /canary-7f3a|lorem ipsum|[":](NOTE|BLOB)["/]/;

/** The first record that is not sealed as it should be, or in which something that was saved can be read; those looked at before are not looked at again. @returns {string} empty: none */
export function legible() {
  for (const store of disk.sealed ? kStores : [])
    for (const { key, value } of lying(store)?.values() ?? []) {
      if (looked.has(value)) continue;
      looked.add(value);
      const bytes = value.bytes instanceof Uint8Array ? value.bytes : [];   // of the totals it is a number
      const said = kSaid.exec(`${key} ${JSON.stringify({ ...value, bytes: undefined })} ${Buffer.from(bytes).toString('latin1')}`);
      const fault = said ? `says ${said[0]}` : seals.faultOf(store, key, value, rowOf);
      if (fault) return `${store}/${key} ${fault}`;
    }
  return '';
}

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
