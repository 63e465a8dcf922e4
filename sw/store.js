// The store on IndexedDB, and the only file that names it. Every write is one strict transaction and counts from its `complete` event on:
// a request may succeed and its transaction still abort (quota), so `success` means nothing.
import { StoreError } from './errors.js';
import {
  addTotals, bytesOf, docOf, holdsLease, kDrainState, kKeyedStores, kListLimit, kSchemaVersion, nextLease, nextTicket, payloadKey, prefixEnd, recordOf,
  resolveActions, subtractTotals,
} from './store-rules.js';

/** @import { Clock } from './clock.js' */
/** @import { Store } from './store-contract.d.ts' */

/** How long an open may be blocked by another (perhaps frozen) tab before we say so. */
const kOpenTimeoutMs = 10_000;
/** A transaction that did not answer by then is not waited for: as long as a drain's lease lasts. */
export const kAnswerMs = 30_000;
/** Up to so many ops that came after the drain read them are read again to see whether they matter to a commit. */
const kNewerLookedAt = 200;
/** So many rows are held at a time where all of them are looked at. */
const kRowWindow = 500;
/** So many writes of a commit are asked for in one task: the page's own thread goes on between two. */
const kWrittenAtOnce = 100;
/** How often a lost connection is opened anew within one call. */
const kConnectTries = 3;

/** Whether this realm has IndexedDB at all. */
export const storeSupported = () => typeof indexedDB !== 'undefined';

/**
 * What a request answers: to be awaited at once or not at all. One that fails takes its transaction with it, and a commit has hundreds, so nothing is made for those that
 * nobody awaits.
 * @param {IDBRequest} request @returns {any}
 */
const answerOf = (request) => ({
  then: (/** @type {(result: any) => void} */ resolve, /** @type {(error: any) => void} */ reject) => {
    request.addEventListener('success', () => resolve(request.result));
    request.addEventListener('error', () => reject(request.error));
  },
});

/** A transaction, store or index whose requests are promises of their answers. @param {any} source @returns {any} */
const asking = (source) => new Proxy(source, {
  get: (_, method) => (/** @type {any[]} */ ...args) => {
    const asked = source[method](...args);
    return asked instanceof IDBRequest ? answerOf(asked) : asking(asked);
  },
});

/** @param {string} name @param {number} version @param {(db: IDBDatabase, oldVersion: number) => void} upgrade @returns {Promise<IDBDatabase>} */
async function openDatabase(name, version, upgrade) {
  const request = indexedDB.open(name, version);
  request.addEventListener('upgradeneeded', ({ oldVersion }) => upgrade(request.result, oldVersion));
  return answerOf(request);
}

/**
 * @param {{clock: Clock, name?: string}} options
 * @returns {Promise<Store>} throws StoreError
 */
export async function openStore({ clock, name = 'tidegate' }) {
  const connection = new Connection(name, clock);
  await connection.get();
  return createStore(connection);
}

/** One connection, opened anew when the browser takes it away (site data cleared, another version wants to upgrade). */
class Connection {
  /** @type {Promise<IDBDatabase> | null} */
  #db = null;
  #closed = false;

  /** @param {string} name @param {Clock} clock */
  constructor(name, clock) {
    this.name = name;
    this.clock = clock;
  }

  /** @returns {Promise<IDBDatabase>} */
  get() {
    if (this.#closed) return Promise.reject(new StoreError('closed', `store ${this.name}: it was closed`));
    if (!this.#db) {
      const opening = this.#open();
      this.#db = opening;
      opening.catch(() => this.forget(opening));
    }
    return this.#db;
  }

  /** The next call opens anew. @param {Promise<IDBDatabase>} db */
  forget(db) {
    if (this.#db === db) this.#db = null;
  }

  async close() {
    this.#closed = true;
    const db = await this.#db?.catch(() => null);
    db?.close();
  }

  async #open() {
    const stop = new AbortController();
    /** @type {Promise<IDBDatabase>} */
    const opening = openDatabase(this.name, kSchemaVersion, upgrade).then((db) => {
      db.addEventListener('close', () => { this.#db = null; });
      db.addEventListener('versionchange', () => {
        this.#db = null;
        db.close();
      });
      return db;
    });
    const timeout = this.clock.sleep(kOpenTimeoutMs, stop.signal).then(() => null);
    try {
      const db = await Promise.race([opening, timeout]);
      if (db) return db;
      opening.then((late) => late.close(), () => {});
      throw new StoreError('blocked', `store ${this.name}: another tab kept the database from opening for ${kOpenTimeoutMs} ms`);
    } catch (error) {
      throw storeError(error);
    } finally {
      stop.abort();
    }
  }

  /**
   * Runs `body` in one transaction and resolves with its result on `complete`. A transaction that cannot even begin means the connection is gone;
   * then nothing ran, and a new connection is tried. One that does not answer in time is given up with "hung", and its connection with it; it may still come to its end.
   * `body` may await requests of `tx` and nothing else, and need not wait for the last of them.
   * @template T
   * @param {string[]} stores @param {'readonly'|'readwrite'} mode @param {(tx: any) => Promise<T>} body @param {'strict'|'relaxed'} [durability] @param {number} [answerMs]
   * @returns {Promise<T>}
   */
  async run(stores, mode, body, durability = 'strict', answerMs = kAnswerMs) {
    for (let tries = 1; ; tries++) {
      const opening = this.get(), db = await opening;
      let tx;
      try {
        tx = db.transaction(stores, mode, { durability });
      } catch (error) {
        this.#db = null;
        if (tries < kConnectTries) continue;
        throw storeError(error);
      }
      return await new Promise((resolve, reject) => {
        const cancel = this.clock.timer(answerMs, () => {
          this.forget(opening);
          db.close();
          reject(new StoreError('hung', `store ${this.name}: a transaction did not answer within ${answerMs} ms`));
        });
        settle(tx, body).finally(cancel).then(resolve, reject);
      });
    }
  }
}

/** @template T @param {IDBTransaction} tx @param {(tx: any) => Promise<T>} body @returns {Promise<T>} */
async function settle(tx, body) {
  const ended = new Promise((resolve) => {
    tx.addEventListener('complete', resolve);
    tx.addEventListener('abort', resolve);
  });
  try {
    const result = await body(asking(tx));
    tx.commit();
    if ((await ended).type === 'abort') throw new DOMException('the transaction was aborted', 'AbortError');
    return result;
  } catch (error) {
    try { tx.abort(); } catch { /* it has ended already */ }
    await ended;
    throw storeError(error instanceof StoreError || !tx.error ? error : tx.error);
  }
}

/**
 * A database of one store, for one record that is made once: whoever comes second gets what the first one made. For sw/keys.js.
 * @param {string} name @param {string} key
 */
export async function openRecord(name, key) {
  const db = await openDatabase(name, 1, (fresh) => { fresh.createObjectStore(key); }).catch((error) => { throw storeError(error); });
  const run = (/** @type {IDBTransactionMode} */ mode, /** @type {(record: any) => Promise<any>} */ body) =>
    settle(db.transaction([key], mode, { durability: 'strict' }), (tx) => body(tx.objectStore(key)));
  return {
    read: () => run('readonly', (record) => record.get(key)),
    /** The record, after `change` saw what is there; nothing is written where it answers null. @param {(found: any) => any} change */
    update: (change) => run('readwrite', async (record) => {
      const found = await record.get(key);
      const next = change(found);
      if (next) await record.put(next, key);
      return next ?? found;
    }),
    close: () => db.close(),
  };
}

/** Takes a database of openRecord() away. @param {string} name @returns {Promise<void>} */
export const removeRecord = (name) => Promise.resolve(answerOf(indexedDB.deleteDatabase(name))).catch((error) => { throw storeError(error); });

/** @param {IDBDatabase} db @param {number} oldVersion */
function upgrade(db, oldVersion) {
  if (oldVersion >= 1) return;
  db.createObjectStore('ops', { keyPath: 'seq', autoIncrement: true }).createIndex('id', 'id', { unique: true });
  for (const name of kKeyedStores) db.createObjectStore(name);
}

/** @type {Record<string, StoreError['code']>} */
const kCodes = { QuotaExceededError: 'quota', VersionError: 'newer-schema', InvalidStateError: 'closed', UnknownError: 'corrupt', DataError: 'corrupt' };

/** @param {any} error */
function storeError(error) {
  if (error instanceof StoreError) return error;
  return new StoreError(kCodes[error?.name] ?? 'internal', `IndexedDB: ${error?.name ?? 'Error'}: ${error?.message ?? error}`, error);
}

/** @param {Connection} connection @returns {Store} */
function createStore(connection) {
  const everything = ['ops', ...kKeyedStores];
  return {
    // Waited for as long as it takes: where it fails nothing was written, and an app saves again.
    accept: (items, limits) => connection.run(['ops', 'payloads', 'docs', 'state'], 'readwrite', (tx) => accept(tx, items, limits), 'strict', Infinity),

    stage: (write) => connection.run(['payloads'], 'readwrite', (tx) => performWrite(tx, write)),

    census: () => connection.run(['ops', 'state'], 'readonly', async (tx) => {
      const [rows, totals] = await Promise.all([tx.objectStore('ops').count(), readTotals(tx)]);
      return { rows, totals };
    }),

    ticket: (nowMs) => connection.run(['state'], 'readwrite', async (tx) => {
      const state = tx.objectStore('state');
      const next = nextTicket(await state.get('ticket'), nowMs);
      await state.put(next, 'ticket');
      return next.number;
    }, 'relaxed'),

    rows: (afterSeq, limit) =>
      connection.run(['ops'], 'readonly', (tx) => tx.objectStore('ops').getAll(IDBKeyRange.lowerBound(afterSeq, true), limit)),

    rowById: (id) => connection.run(['ops'], 'readonly', (tx) => tx.objectStore('ops').index('id').get(id)),

    get: (/** @type {string} */ store, /** @type {any} */ key) => connection.run([store], 'readonly', (tx) => tx.objectStore(store).get(key)),

    getMany: (store, keys) =>
      connection.run([store], 'readonly', (tx) => Promise.all(keys.map((key) => tx.objectStore(store).get(key)))),

    list: (store, { prefix = '', after, limit = kListLimit } = {}) =>
      connection.run([store], 'readonly', async (tx) => {
        const range = rangeOf(prefix, after);
        const [keys, values] = await Promise.all([tx.objectStore(store).getAllKeys(range, limit), tx.objectStore(store).getAll(range, limit)]);
        return keys.map((/** @type {string} */ key, /** @type {number} */ i) => ({ key, value: values[i] }));
      }),

    acquireLease: (ask) => connection.run(['state'], 'readwrite', (tx) => acquireLease(tx.objectStore('state'), ask), 'relaxed'),
    renewLease: ({ token, nowMs, ttlMs }) =>
      changeLease(connection, token, (lease) => ({ ...lease, untilMs: nowMs + ttlMs, ttlMs })),
    releaseLease: async ({ token }) => {
      await changeLease(connection, token, (lease) => ({ ...lease, holder: null }));
    },

    commit: (commit) => connection.run(everything, 'readwrite', (tx) => performCommit(tx, commit)),
    close: () => connection.close(),
  };
}

/** @param {string} prefix @param {string | undefined} after */
function rangeOf(prefix, after) {
  if (prefix === '') return after === undefined ? null : IDBKeyRange.lowerBound(after, true);
  return IDBKeyRange.bound(after ?? prefix, prefixEnd(prefix), after !== undefined, true);
}

/** @param {any} tx @param {any[]} items @param {any} limits */
async function accept(tx, items, limits) {
  const ops = tx.objectStore('ops'), docs = tx.objectStore('docs');
  const lanes = [...new Set(items.map(({ row }) => row.lane))];
  const [totals, ...shown] = await Promise.all([readTotals(tx), ...lanes.map((lane) => docs.get(lane))]);
  const next = addTotals(totals, items, limits);
  const rows = resolveActions(items, new Map(lanes.map((lane, i) => [lane, Boolean(shown[i] && !shown[i].deleted)])));
  const seqs = await Promise.all(rows.map((row) => ops.add(row)));
  /** @type {import('./store-contract.d.ts').Write[]} */
  const writes = [{ store: 'state', key: 'totals', value: { ...next, lastSeq: Math.max(totals.lastSeq ?? 0, ...seqs) } }];
  rows.forEach((row, i) => {
    const { bytes } = items[i];
    if (bytes) writes.push({ store: 'payloads', key: payloadKey(seqs[i], 'next'), bytes });
    writes.push({ store: 'docs', value: docOf(row, seqs[i], bytes), key: row.lane });
  });
  for (const write of writes) performWrite(tx, write);
  return seqs;
}

/** Counted once, kept in the same transactions that change it from then on. @param {any} tx */
async function readTotals(tx) {
  const totals = await tx.objectStore('state').get('totals');
  if (totals) return totals;
  const counted = { ops: 0, bytes: 0 };
  await someRow(tx.objectStore('ops'), 0, ({ sizeBytes = 0 }) => {
    counted.ops += 1;
    counted.bytes += sizeBytes;
    return false;
  });
  return counted;
}

/** Whether `holds` of one of the rows after `afterSeq`; it is asked in their order. @param {any} ops @param {number} afterSeq @param {(row: any) => boolean} holds */
async function someRow(ops, afterSeq, holds) {
  for (let after = afterSeq; ;) {
    const rows = await ops.getAll(IDBKeyRange.lowerBound(after, true), kRowWindow);
    if (rows.some(holds)) return true;
    if (rows.length < kRowWindow) return false;
    after = rows.at(-1).seq;
  }
}

/** @param {any} state @param {any} ask @returns {Promise<any>} */
async function acquireLease(state, ask) {
  const [lease, ...found] = await Promise.all(['lease', ...kDrainState].map((key) => state.get(key)));
  const next = nextLease(lease, ask);
  if (!next) return null;
  await state.put(next, 'lease');
  return { ...next, ...Object.fromEntries(kDrainState.map((key, i) => [key, found[i]])) };
}

/** @param {Connection} connection @param {number} token @param {(lease: any) => any} change */
function changeLease(connection, token, change) {
  return connection.run(['state'], 'readwrite', async (tx) => {
    const state = tx.objectStore('state');
    const lease = await state.get('lease');
    if (!holdsLease(lease, token)) return false;
    await state.put(change(lease), 'lease');
    return true;
  }, 'relaxed');
}

/**
 * All that it asks first is asked at once, because each question costs a way to the browser's own process and back.
 * @param {any} tx @param {Parameters<Store['commit']>[0]} commit @returns {Promise<'ok'|'fenced'|'stale'>}
 */
async function performCommit(tx, { token, knownSeq, lanes, writes: asked }) {
  const ops = tx.objectStore('ops');
  const isGone = (/** @type {any} */ write) => write.store === 'ops' && write.remove;
  const gone = rangesOf(asked.filter(isGone).map(({ key }) => key));
  /** @type {any[]} */
  const writes = [...gone.map((key) => ({ store: 'ops', key, remove: true })), ...asked.filter((write) => !isGone(write))];
  const [lease, newest, totals, sources, rows] = await Promise.all([
    tx.objectStore('state').get('lease'),
    lanes.length > 0 && ops.openKeyCursor(IDBKeyRange.lowerBound(knownSeq, true), 'prev'),
    gone.length > 0 && readTotals(tx),
    Promise.all(writes.map(({ from }) => from && tx.objectStore(from.store).get(from.key))),
    Promise.all(gone.map((range) => ops.getAll(range, asked.length))),
  ]);
  if (!holdsLease(lease, token)) return 'fenced';
  if (newest && (await hasNewer(tx, lanes, knownSeq, newest.key))) return 'stale';
  if (totals) writes.push({ store: 'state', key: 'totals', value: subtractTotals(totals, rows.flat()) });
  let written;
  for (const [i, write] of writes.entries()) {
    if (i % kWrittenAtOnce === 0) await written;
    written = performWrite(tx, write, bytesOf(sources[i]));
  }
  return 'ok';
}

/** The ranges that hold these keys and no other: of keys that lie side by side, one. @param {any[]} keys */
function rangesOf(keys) {
  const all = new Set(keys.sort((a, b) => a - b));
  const lasts = keys.filter((key) => !all.has(key + 1));
  return keys.filter((key) => !all.has(key - 1)).map((first, i) => IDBKeyRange.bound(first, lasts[i]));
}

/**
 * Whether one of the ops after `knownSeq`, of which `newest` is the last, changes one of the lanes. A few are looked at; of many, as while a long queue is read in, the
 * documents say it: an accept leaves its sequence number there.
 * @param {any} tx @param {string[]} lanes @param {number} knownSeq @param {number} newest
 */
async function hasNewer(tx, lanes, knownSeq, newest) {
  if (newest - knownSeq > kNewerLookedAt) {
    const docs = await Promise.all(lanes.map((lane) => tx.objectStore('docs').get(lane)));
    if (docs.every((doc) => !doc || typeof doc.seq === 'number')) return docs.some((doc) => doc?.seq > knownSeq);
  }
  const touched = new Set(lanes);
  return someRow(tx.objectStore('ops'), knownSeq, ({ lane }) => touched.has(lane));
}

/** @param {any} tx @param {import('./store-contract.d.ts').Write} write @param {Uint8Array} [bytes]  those of another record, where it takes them from there */
function performWrite(tx, write, bytes = write.bytes) {
  const store = tx.objectStore(write.store);
  if (write.remove) return store.delete(write.prefix === undefined ? write.key : rangeOf(write.prefix, undefined));
  const record = recordOf(write, bytes);
  return write.store === 'ops' ? store.put(record) : store.put(record, write.key);
}
