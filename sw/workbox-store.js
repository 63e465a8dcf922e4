// The database of workbox 7.4.1: same name, same version, same store, so that a queue workbox left is ours and one we leave is workbox's.
// What we know beyond it lies in one more property of a record, `tidegate`: {key, attempts}. workbox keeps and ignores it.
import { openDB } from 'idb';
import { assertType } from './workbox-errors.js';

/**
 * @typedef {import('./workbox-request.js').RequestData} RequestData
 * @typedef {{requestData: RequestData, timestamp: number, metadata?: any, id?: number, queueName?: string}} UnidentifiedQueueStoreEntry
 * @typedef {UnidentifiedQueueStoreEntry & {id: number}} QueueStoreEntry
 * @typedef {QueueStoreEntry & {tidegate?: {key: string, attempts: number}}} StoredEntry
 */

const kDatabase = 'workbox-background-sync';
const kVersion = 3;
const kStore = 'requests';
const kIndex = 'queueName';
/** A request is accepted, and counted as sent, when the disk has it. */
const kStrict = /** @type {IDBTransactionOptions} */ ({ durability: 'strict' });

export class QueueDb {
  /** @type {import('idb').IDBPDatabase<any> | null} */
  _db = null;

  /** @param {UnidentifiedQueueStoreEntry} entry */
  async addEntry(entry) {
    const tx = (await this.getDb()).transaction(kStore, 'readwrite', kStrict);
    await Promise.all([tx.store.add(entry), tx.done]);
  }

  /** Adds `entry` before every other. Read and write are one transaction: two at once do not take the same place. @param {UnidentifiedQueueStoreEntry} entry */
  async addFirstEntry(entry) {
    const tx = (await this.getDb()).transaction(kStore, 'readwrite', kStrict);
    const first = await tx.store.openKeyCursor();
    if (first) entry.id = Number(first.primaryKey) - 1;
    else delete entry.id;
    await Promise.all([tx.store.add(entry), tx.done]);
  }

  /** @returns {Promise<number | undefined>} the lowest id of all queues */
  async getFirstEntryId() {
    return (await (await this.getDb()).transaction(kStore).store.openCursor())?.value.id;
  }

  /** @param {string} queueName @returns {Promise<StoredEntry[]>} */
  async getAllEntriesByQueueName(queueName) {
    return (await this.getDb()).getAllFromIndex(kStore, kIndex, IDBKeyRange.only(queueName));
  }

  /** @param {string} queueName @returns {Promise<number>} */
  async getEntryCountByQueueName(queueName) {
    return (await this.getDb()).countFromIndex(kStore, kIndex, IDBKeyRange.only(queueName));
  }

  /** @param {number} id */
  async deleteEntry(id) {
    await (await this.getDb()).delete(kStore, id);
  }

  /** @param {string} queueName @returns {Promise<StoredEntry | undefined>} */
  async getFirstEntryByQueueName(queueName) {
    return this.getEndEntryFromIndex(IDBKeyRange.only(queueName), 'next');
  }

  /** @param {string} queueName @returns {Promise<StoredEntry | undefined>} */
  async getLastEntryByQueueName(queueName) {
    return this.getEndEntryFromIndex(IDBKeyRange.only(queueName), 'prev');
  }

  /** @param {IDBKeyRange} query @param {IDBCursorDirection} direction @returns {Promise<StoredEntry | undefined>} */
  async getEndEntryFromIndex(query, direction) {
    return (await (await this.getDb()).transaction(kStore).store.index(kIndex).openCursor(query, direction))?.value;
  }

  /** Removes the first or the last entry of a queue and returns it. @param {string} queueName @param {IDBCursorDirection} direction */
  async takeEndEntry(queueName, direction) {
    const tx = (await this.getDb()).transaction(kStore, 'readwrite', kStrict);
    const cursor = await tx.store.index(kIndex).openCursor(IDBKeyRange.only(queueName), direction);
    if (cursor) await cursor.delete();
    await tx.done;
    return /** @type {StoredEntry | undefined} */ (cursor?.value);
  }

  /**
   * One step of a replay, in one transaction: removes the entry that is done, and counts an attempt of the one that is first now. Its key and its count are
   * on the disk before the request leaves. @param {string} queueName @param {number | undefined} doneId @param {string} newKey for an entry without a key
   */
  async advance(queueName, doneId, newKey) {
    const tx = (await this.getDb()).transaction(kStore, 'readwrite', kStrict);
    if (doneId !== undefined) await tx.store.delete(doneId);
    const cursor = await tx.store.index(kIndex).openCursor(IDBKeyRange.only(queueName));
    let entry;
    if (cursor) {
      const { key = newKey, attempts = 0 } = cursor.value.tidegate ?? {};
      entry = /** @type {StoredEntry & {tidegate: {key: string, attempts: number}}} */ ({ ...cursor.value, tidegate: { key, attempts: attempts + 1 } });
      await cursor.update(entry);
    }
    await tx.done;
    return entry;
  }

  async getDb() {
    if (!this._db) {
      const forget = () => { this._db = null; };   // the next call opens it again
      this._db = await openDB(kDatabase, kVersion, {
        upgrade: this._upgradeDb,
        blocking: () => { this._db?.close(); forget(); },   // someone deletes or upgrades it: workbox would stand in the way for ever
        terminated: forget,
      });
    }
    return this._db;
  }

  /** As in workbox: a database of version 1 or 2 (workbox 3) holds records of another shape, which neither can read. @param {import('idb').IDBPDatabase<any>} db @param {number} oldVersion */
  _upgradeDb(db, oldVersion) {
    if (oldVersion > 0 && oldVersion < kVersion && db.objectStoreNames.contains(kStore)) db.deleteObjectStore(kStore);
    db.createObjectStore(kStore, { autoIncrement: true, keyPath: 'id' }).createIndex(kIndex, kIndex, { unique: false });
  }
}

export class QueueStore {
  /** @param {string} queueName */
  constructor(queueName) {
    this._queueName = queueName;
    this._queueDb = new QueueDb();
  }

  /** Appends. @param {UnidentifiedQueueStoreEntry} entry */
  async pushEntry(entry) {
    checkEntry(entry, 'pushEntry');
    delete entry.id;
    entry.queueName = this._queueName;
    await this._queueDb.addEntry(entry);
  }

  /** Prepends: before the entries of all queues. @param {UnidentifiedQueueStoreEntry} entry */
  async unshiftEntry(entry) {
    checkEntry(entry, 'unshiftEntry');
    entry.queueName = this._queueName;
    await this._queueDb.addFirstEntry(entry);
  }

  /** @returns {Promise<QueueStoreEntry | undefined>} */
  async popEntry() {
    return withoutOwn(await this._queueDb.takeEndEntry(this._queueName, 'prev'));
  }

  /** @returns {Promise<QueueStoreEntry | undefined>} */
  async shiftEntry() {
    return withoutOwn(await this._queueDb.takeEndEntry(this._queueName, 'next'));
  }

  /** @returns {Promise<QueueStoreEntry[]>} */
  async getAll() {
    return (await this._queueDb.getAllEntriesByQueueName(this._queueName)).map((entry) => /** @type {QueueStoreEntry} */ (withoutOwn(entry)));
  }

  async size() {
    return this._queueDb.getEntryCountByQueueName(this._queueName);
  }

  /** @param {number} id */
  async deleteEntry(id) {
    await this._queueDb.deleteEntry(id);
  }
}

/** @param {UnidentifiedQueueStoreEntry} entry @param {string} call */
function checkEntry(entry, call) {
  assertType(entry, 'object', `QueueStore.${call}(entry)`);
  assertType(entry.requestData, 'object', `QueueStore.${call}(entry.requestData)`);
}

/** The record as workbox shows it. @param {StoredEntry | undefined} entry @returns {QueueStoreEntry | undefined} */
function withoutOwn(entry) {
  if (!entry) return undefined;
  const { tidegate, ...rest } = entry;
  hidden.set(rest, tidegate);
  return rest;
}

/** @type {WeakMap<object, StoredEntry['tidegate']>} what the records shown to others do not show */
const hidden = new WeakMap();

/** Key and attempts of an entry, shown or not; undefined where it was never sent. @param {StoredEntry} entry */
export const ownOf = (entry) => entry.tidegate ?? hidden.get(entry);
