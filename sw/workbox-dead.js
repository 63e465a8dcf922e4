// What left a queue without having been delivered: refused with 4xx, expired, or unreadable. In a database of its own, because the one of workbox
// keeps its shape. A letter is written before its entry is removed: killed between the two, the same letter is written again.
import { openDB } from 'idb';
import { clock } from './clock.js';
import { QueueDb } from './workbox-store.js';

/** @typedef {import('./workbox-store.js').StoredEntry} StoredEntry */
/**
 * @typedef {{key: string, queueName: string, reason: 'refused' | 'expired' | 'unreadable', status?: number, attempts: number, diedAt: number, entry: StoredEntry}} DeadLetter
 */

const kDatabase = 'tidegate-workbox';
const kStore = 'dead';
const kByTime = 'diedAt';
/** More than this many are not kept; the oldest go first. */
export const kMaxDeadLetters = 1_000;

/** @type {Promise<import('idb').IDBPDatabase<any>> | null} */
let opening = null;
const open = () => {
  const forget = () => { opening = null; };
  opening ??= openDB(kDatabase, 1, {
    upgrade: (db) => { db.createObjectStore(kStore, { keyPath: 'key' }).createIndex(kByTime, kByTime); },
    blocking: (_old, _new, event) => { /** @type {IDBDatabase} */ (event.target).close(); forget(); },
    terminated: forget,
  });
  opening.catch(forget);
  return opening;
};

/** @param {Omit<DeadLetter, 'diedAt'>} letter @returns {Promise<DeadLetter[]>} those that had to go for it */
export async function bury(letter) {
  /** @type {DeadLetter[]} */
  const gone = [];
  const tx = (await open()).transaction(kStore, 'readwrite', { durability: 'strict' });
  await tx.store.put({ ...letter, diedAt: clock.now() });
  const tooMany = (await tx.store.count()) - kMaxDeadLetters;
  for (let cursor = await tx.store.index(kByTime).openCursor(); cursor && gone.length < tooMany; cursor = await cursor.continue()) {
    gone.push(cursor.value);
    await cursor.delete();
  }
  await tx.done;
  return gone;
}

/** The dead letters of a queue, or of all, oldest first. @param {string} [queueName] @returns {Promise<DeadLetter[]>} */
export async function deadLetters(queueName) {
  const all = await (await open()).getAllFromIndex(kStore, kByTime);
  return queueName === undefined ? all : all.filter((letter) => letter.queueName === queueName);
}

/** Removes one. @param {string} key @returns {Promise<boolean>} whether it was there */
export async function dropDeadLetter(key) {
  const tx = (await open()).transaction(kStore, 'readwrite', { durability: 'strict' });
  const found = (await tx.store.getKey(key)) !== undefined;
  await tx.store.delete(key);
  await tx.done;
  return found;
}

/**
 * Puts one at the end of its queue again, under its own key, as if pushed now. The caller replays. Killed in the middle, it is in both places: under the same key,
 * so that a server that knows keys does it once. @param {string} key @returns {Promise<boolean>} whether it was there
 */
export async function requeue(key) {
  /** @type {DeadLetter | undefined} */
  const letter = await (await open()).get(kStore, key);
  if (!letter) return false;
  const { id, ...entry } = letter.entry;
  const again = { ...entry, timestamp: clock.now(), tidegate: { key, attempts: letter.attempts } };
  await new QueueDb().addEntry(again);
  return dropDeadLetter(key);
}
