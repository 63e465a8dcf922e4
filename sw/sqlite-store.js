// The store on SQLite, for Node. WAL with synchronous=FULL: a transaction is on the disk when it returns, so it survives SIGKILL and power loss.
// Also the drain lock for Node. Decision 0001 says why `libsql`. Calls are synchronous inside, so one process never has two transactions open at once.
import { setImmediate } from 'node:timers/promises';
import Database from 'libsql';
import { StoreError } from './errors.js';
import {
  addTotals, bytesOf, docOf, holdsLease, kDrainState, kKeyedStores, kListLimit, kSchemaVersion, metaOf, nextLease, nextTicket, payloadKey, prefixEnd, recordOf,
  resolveActions, subtractTotals,
} from './store-rules.js';

/** @import { Clock } from './clock.js' */
/** @import { Locks } from './locks.js' */
/** @import { Store } from './store-contract.d.ts' */

/** How long a transaction waits for another process. */
const kBusyTimeoutMs = 5_000;
const kLockPollMs = 20;

/**
 * @param {{path: string, maxPages?: number}} options  maxPages: a ceiling for the file, in pages of 4 kB
 * @returns {Promise<Store>} throws StoreError
 */
export async function openSqliteStore({ path, maxPages }) {
  return createStore(new Connection(path, maxPages));
}

class Connection {
  /** @type {Map<string, any>} prepared statements by text */
  #statements = new Map();
  #closed = false;

  /** @param {string} path @param {number} [maxPages] */
  constructor(path, maxPages) {
    this.path = path;
    try {
      this.db = new Database(path, { timeout: kBusyTimeoutMs });
      this.db.pragma('journal_mode = WAL');
      this.db.pragma('synchronous = FULL');
      if (maxPages !== undefined) this.db.pragma(`max_page_count = ${Math.floor(maxPages)}`);
      this.#createSchema();
    } catch (error) {
      throw storeError(error);
    }
  }

  #createSchema() {
    const version = this.#version();
    if (version > kSchemaVersion)
      throw new StoreError('newer-schema', `store ${this.path}: expected schema ${kSchemaVersion} or older, got ${version}`);
    if (version === kSchemaVersion) return this.#addIndex();
    this.db.exec('BEGIN IMMEDIATE');
    if (this.#version() < 1) {   // another process may have been faster
      this.db.exec('CREATE TABLE ops (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE, lane TEXT, value TEXT)');
      for (const name of kKeyedStores) this.db.exec(`CREATE TABLE ${name} (key TEXT PRIMARY KEY, value TEXT, bytes BLOB)`);
      this.db.exec(`PRAGMA user_version = ${kSchemaVersion}`);
    }
    this.db.exec('COMMIT');
    this.#addIndex();
  }

  /** A file of an older release has none; one with it is the same to older code. */
  #addIndex() {
    this.db.exec('CREATE INDEX IF NOT EXISTS ops_lane ON ops (lane, seq)');
  }

  #version() {
    return Object.values(/** @type {any} */ (this.db.prepare('SELECT user_version FROM pragma_user_version').all()[0]))[0];
  }

  /** @param {string} sql @param {any[]} values @returns {any[]} */
  all(sql, ...values) {
    return this.#prepare(sql).all(...values);
  }

  /** @param {string} sql @param {any[]} values */
  run(sql, ...values) {
    return this.#prepare(sql).run(...values);
  }

  /** @param {string} sql */
  #prepare(sql) {
    let statement = this.#statements.get(sql);
    if (!statement) this.#statements.set(sql, (statement = this.db.prepare(sql)));
    return statement;
  }

  /** Runs `body` in one transaction: all of it is on the disk, or nothing. @template T @param {'DEFERRED'|'IMMEDIATE'} mode @param {() => T} body @returns {Promise<T>} */
  async transact(mode, body) {
    if (this.#closed) throw new StoreError('closed', `store ${this.path}: it was closed`);
    let begun = false;
    try {
      this.db.exec(`BEGIN ${mode}`);
      begun = true;
      const result = body();
      this.db.exec('COMMIT');
      return result;
    } catch (error) {
      try { if (begun) this.db.exec('ROLLBACK'); } catch { /* SQLite rolled back by itself (disk full, I/O error) */ }
      throw storeError(error);
    }
  }

  async close() {
    if (this.#closed) return;
    this.#closed = true;
    this.#statements.clear();
    this.db.close();
  }
}

/** @type {Record<string, StoreError['code']>} */
const kCodes = { SQLITE_FULL: 'quota', SQLITE_BUSY: 'blocked', SQLITE_LOCKED: 'blocked', SQLITE_CORRUPT: 'corrupt', SQLITE_NOTADB: 'corrupt' };

/** @param {any} error */
function storeError(error) {
  if (error instanceof StoreError) return error;
  return new StoreError(kCodes[error?.code] ?? 'internal', `SQLite: ${error?.code ?? error?.name ?? 'Error'}: ${error?.message ?? error}`, error);
}

/** @param {Connection} sql @returns {Store} */
function createStore(sql) {
  const read = (/** @type {() => any} */ body) => sql.transact('DEFERRED', body);
  const write = (/** @type {() => any} */ body) => sql.transact('IMMEDIATE', body);
  return {
    accept: (items, limits) => write(() => accept(sql, items, limits)),
    stage: (one) => write(() => performWrite(sql, one, one.bytes)),
    census: () => read(() => ({ rows: Number(sql.all('SELECT count(*) AS rows FROM ops')[0].rows), totals: readTotals(sql) })),
    // SQLite answers at once: without a turn of the event loop between two windows of a long queue, nothing that was sent would go out.
    rows: (afterSeq, limit) => setImmediate().then(() => read(() => sql.all('SELECT seq, value FROM ops WHERE seq > ? ORDER BY seq LIMIT ?', afterSeq, limit).map(rowOf))),
    ticket: (nowMs) => write(() => {
      const next = nextTicket(get(sql, 'state', 'ticket'), nowMs);
      put(sql, 'state', 'ticket', next);
      return next.number;
    }),
    rowById: (id) => read(() => sql.all('SELECT seq, value FROM ops WHERE id = ?', id).map(rowOf)[0]),
    get: (/** @type {string} */ store, /** @type {any} */ key) => read(() => get(sql, store, key)),
    getMany: (store, keys) => read(() => keys.map((key) => get(sql, store, key))),
    list: (store, { prefix = '', after, limit = kListLimit } = {}) => read(() => list(sql, store, prefix, after, limit)),

    acquireLease: (ask) => write(() => acquireLease(sql, ask)),
    renewLease: ({ token, nowMs, ttlMs }) => write(() => changeLease(sql, token, (lease) => ({ ...lease, untilMs: nowMs + ttlMs, ttlMs }))),
    releaseLease: async ({ token }) => {
      await write(() => changeLease(sql, token, (lease) => ({ ...lease, holder: null })));
    },

    commit: (commit) => write(() => performCommit(sql, commit)),
    close: () => sql.close(),
  };
}

/** @param {{seq: number, value: string}} found */
const rowOf = ({ seq, value }) => ({ ...JSON.parse(value), seq });

/** The driver hands blobs out as ArrayBuffer or Buffer. @param {any} blob */
const toBytes = (blob) => (ArrayBuffer.isView(blob) ? new Uint8Array(blob.buffer, blob.byteOffset, blob.byteLength) : new Uint8Array(blob));

/** @param {{value: string | null, bytes: any}} found */
function recordFrom({ value, bytes }) {
  if (value === null) return bytes === null ? undefined : toBytes(bytes);
  const record = JSON.parse(value);
  return bytes === null ? record : { ...record, bytes: toBytes(bytes) };
}

/** @param {Connection} sql @param {string} store @param {string | number} key */
function get(sql, store, key) {
  if (store === 'ops') return sql.all('SELECT seq, value FROM ops WHERE seq = ?', key).map(rowOf)[0];
  return sql.all(`SELECT value, bytes FROM ${table(store)} WHERE key = ?`, key).map(recordFrom)[0];
}

/** @param {Connection} sql @param {string} store @param {string} key @param {any} record */
function put(sql, store, key, record) {
  const value = JSON.stringify(metaOf(record)) ?? null;
  sql.run(`INSERT OR REPLACE INTO ${table(store)} (key, value, bytes) VALUES (?, ?, ?)`, key, value, bytesOf(record) ?? null);
}

/** A store's name as a table's; anything else never reaches the SQL. @param {string} store */
function table(store) {
  if (store !== 'ops' && !kKeyedStores.includes(store)) throw new StoreError('internal', `store: expected one of ${kKeyedStores}, got ${store}`);
  return store;
}

/** @param {Connection} sql @param {string} store @param {string} prefix @param {string | undefined} after @param {number} limit */
function list(sql, store, prefix, after, limit) {
  const upper = prefix === '' ? '\u{10ffff}' : prefixEnd(prefix);
  return sql
    .all(`SELECT key, value, bytes FROM ${table(store)} WHERE key >= ? AND key > ? AND key < ? ORDER BY key LIMIT ?`, prefix, after ?? '', upper, limit)
    .map((found) => ({ key: found.key, value: recordFrom(found) }));
}

/** @param {Connection} sql @param {any[]} items @param {any} limits */
function accept(sql, items, limits) {
  const exists = new Map();
  for (const { row } of items) {
    const doc = get(sql, 'docs', row.lane);
    exists.set(row.lane, doc !== undefined && !doc.deleted);
  }
  const totals = addTotals(readTotals(sql), items, limits);
  const seqs = resolveActions(items, exists).map((row, i) => {
    const { bytes } = items[i];
    const seq = Number(sql.run('INSERT INTO ops (id, lane, value) VALUES (?, ?, ?)', row.id, row.lane, JSON.stringify(row)).lastInsertRowid);
    if (bytes) put(sql, 'payloads', payloadKey(seq, 'next'), bytes);
    put(sql, 'docs', row.lane, docOf(row, seq, bytes));
    return seq;
  });
  put(sql, 'state', 'totals', { ...totals, lastSeq: Math.max(totals.lastSeq ?? 0, ...seqs) });
  return seqs;
}

/** Counted once, kept in the same transactions that change it from then on. @param {Connection} sql */
function readTotals(sql) {
  return get(sql, 'state', 'totals') ??
    sql.all("SELECT count(*) AS ops, coalesce(sum(json_extract(value, '$.sizeBytes')), 0) AS bytes FROM ops").map(({ ops, bytes }) => ({ ops, bytes }))[0];
}

/** @param {Connection} sql @param {any} ask */
function acquireLease(sql, ask) {
  const next = nextLease(get(sql, 'state', 'lease'), ask);
  if (!next) return null;
  put(sql, 'state', 'lease', next);
  return { ...next, ...Object.fromEntries(kDrainState.map((key) => [key, get(sql, 'state', key)])) };
}

/** @param {Connection} sql @param {number} token @param {(lease: any) => any} change */
function changeLease(sql, token, change) {
  const lease = get(sql, 'state', 'lease');
  if (!holdsLease(lease, token)) return false;
  put(sql, 'state', 'lease', change(lease));
  return true;
}

/** @param {Connection} sql @param {Parameters<Store['commit']>[0]} commit @returns {'ok'|'fenced'|'stale'} */
function performCommit(sql, { token, knownSeq, lanes, writes }) {
  if (!holdsLease(get(sql, 'state', 'lease'), token)) return 'fenced';
  if (lanes.some((lane) => sql.all('SELECT seq FROM ops WHERE lane = ? AND seq > ? LIMIT 1', lane, knownSeq).length > 0)) return 'stale';
  const removed = writes.filter((write) => write.store === 'ops' && write.remove);
  const totals = removed.length > 0 ? subtractTotals(readTotals(sql), removed.map(({ key }) => get(sql, 'ops', Number(key))).filter(Boolean)) : null;
  const sources = writes.map(({ from }) => (from ? bytesOf(get(sql, from.store, from.key)) : undefined));
  writes.forEach((write, i) => performWrite(sql, write, write.from ? sources[i] : write.bytes));
  if (totals) put(sql, 'state', 'totals', totals);
  return 'ok';
}

/** @param {Connection} sql @param {import('./store-contract.d.ts').Write} write @param {Uint8Array | undefined} bytes */
function performWrite(sql, write, bytes) {
  const { store, prefix } = write;
  const key = /** @type {string} */ (write.key);
  if (write.remove && prefix !== undefined) {
    sql.run(`DELETE FROM ${table(store)} WHERE key >= ? AND key < ?`, prefix, prefixEnd(prefix));
  } else if (write.remove) {
    sql.run(store === 'ops' ? 'DELETE FROM ops WHERE seq = ?' : `DELETE FROM ${table(store)} WHERE key = ?`, key);
  } else if (store === 'ops') {
    const row = recordOf(write, bytes);
    sql.run('INSERT INTO ops (seq, id, lane, value) VALUES (?, ?, ?, ?) ON CONFLICT (seq) DO UPDATE SET lane = excluded.lane, value = excluded.value',
      key, row.id, row.lane, JSON.stringify(row));
  } else {
    put(sql, store, key, recordOf(write, bytes));
  }
}

/**
 * One drain at a time over all processes: an exclusive transaction on a file beside the store. The operating system frees it when the process dies,
 * however it dies.
 * @param {{path: string, clock: Clock}} options @returns {Locks}
 */
export function sqliteLock({ path, clock }) {
  /** @returns {(() => void) | null} */
  const tryTake = () => {
    const db = new Database(path, { timeout: 0 });
    try {
      db.exec('BEGIN EXCLUSIVE');
      return () => db.close();
    } catch (error) {
      db.close();
      if (/** @type {any} */ (error).code === 'SQLITE_BUSY') return null;
      throw error;
    }
  };
  return {
    async take(signal) {
      for (;;) {
        const release = tryTake();
        if (release || signal.aborted) return release;
        await clock.sleep(kLockPollMs, signal);
      }
    },
    // A stopped process keeps its lock; its lease ran out, so we go on without.
    steal: async () => tryTake() ?? (() => {}),
  };
}
