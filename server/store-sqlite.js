/**
 * The store on SQLite in one file (docs/decisions/0001). WAL with synchronous=FULL: a transaction that was answered survives SIGKILL and power loss.
 * The schema is documented in docs/server.md, because the independent checker reads it.
 *
 * The database calls are synchronous, so between BEGIN and COMMIT no other request of this process runs; BEGIN IMMEDIATE keeps other processes out.
 *
 * @typedef {import('./op.js').Op} Op
 * @typedef {import('./decide.js').Result} Result
 * @typedef {import('./decide.js').Decide} Decide
 * @typedef {import('./store.js').Document} Document
 * @typedef {import('./store.js').Store} Store
 * @typedef {InstanceType<typeof Database>} Connection
 */
import { createHash, randomBytes } from 'node:crypto';
import Database from 'libsql';
import { groupAfterFailure, refused, succeeded } from './decide.js';
import { fingerprintOf } from './op.js';
import { problem } from './problem.js';
import { SqliteUploads } from './uploads-sqlite.js';

/** Tables that are added later (uploads-sqlite.js) leave it as it is: whoever knows only the others finds them unchanged. */
export const SCHEMA_VERSION = 1;
const BUSY_TIMEOUT_MS = 5000;
/** Rows removed per transaction, so that a purge does not hold up requests. */
const PURGE_ROWS = 1000;

const SCHEMA = `
  CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE effects (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL, op_id TEXT NOT NULL,
    entity TEXT NOT NULL, entity_id TEXT NOT NULL,
    action TEXT NOT NULL, etag TEXT NOT NULL, sha256 TEXT, at_ms INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE documents (
    entity TEXT NOT NULL, entity_id TEXT NOT NULL,
    n INTEGER NOT NULL UNIQUE, etag TEXT NOT NULL, deleted INTEGER NOT NULL,
    key TEXT NOT NULL, at_ms INTEGER NOT NULL, content_type TEXT NOT NULL, body BLOB,
    PRIMARY KEY (entity, entity_id)
  ) STRICT;
  CREATE INDEX tombstones ON documents (at_ms) WHERE deleted = 1;
  CREATE TABLE keys (
    key TEXT PRIMARY KEY, fingerprint BLOB NOT NULL,
    status INTEGER NOT NULL, etag TEXT NOT NULL, at_ms INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX keys_by_time ON keys (at_ms);
`;

/**
 * Opens or creates the database. Throws an Error that names the file when it is no database, or one of a newer version.
 * @param {{file: string}} options   a path, or ":memory:"
 * @returns {Promise<Store>}
 */
export async function openSqliteStore({ file }) {
  /** @type {Connection} */
  let db;
  try {
    db = new Database(file, { timeout: BUSY_TIMEOUT_MS });
    makeDurable(db);
    createSchema(db);
  } catch (error) {
    throw new Error(`cannot open the database ${file}: ${/** @type {Error} */ (error).message}`, { cause: error });
  }
  return new SqliteStore(db);
}

/**
 * SQLite ignores a PRAGMA it cannot follow, so each is read back. Only a database in memory has no WAL, and nothing to lose.
 * @param {Connection} db
 */
function makeDurable(db) {
  db.exec('PRAGMA journal_mode = WAL');
  db.exec('PRAGMA synchronous = FULL');
  const { journal_mode: mode } = /** @type {{journal_mode: string}} */ (db.prepare('PRAGMA journal_mode').get());
  const { synchronous } = /** @type {{synchronous: number}} */ (db.prepare('PRAGMA synchronous').get());
  if (!(mode === 'wal' || mode === 'memory') || synchronous !== 2) {
    throw new Error(`it cannot be made durable: journal_mode is ${mode}, synchronous is ${synchronous}`);
  }
}

/** @param {Connection} db */
function createSchema(db) {
  inTransaction(db, () => {
    const { user_version: version } = /** @type {{user_version: number}} */ (db.prepare('PRAGMA user_version').get());
    if (version === SCHEMA_VERSION) return;
    if (version !== 0) throw new Error(`its schema has version ${version}, this server knows version ${SCHEMA_VERSION}`);
    db.exec(SCHEMA);
    // The epoch makes ETags and cursors of one database mean nothing to another.
    const epoch = randomBytes(4).readUInt32BE().toString(36).padStart(7, '0').slice(-4);
    db.prepare("INSERT INTO meta VALUES ('epoch', ?), ('horizon', '0')").run(epoch);
    db.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`);
  });
}

/**
 * @template T
 * @param {Connection} db
 * @param {() => T} work
 * @returns {T}
 */
function inTransaction(db, work) {
  db.exec('BEGIN IMMEDIATE');
  try {
    const value = work();
    db.exec('COMMIT');
    return value;
  } catch (error) {
    // SQLite has rolled back by itself after some errors (a full disk); a second ROLLBACK would only hide the first error.
    if (db.inTransaction) db.exec('ROLLBACK');
    throw error;
  }
}

/** @implements {Store} */
class SqliteStore {
  #db;
  /** @type {Record<string, any>|null} null once closed: the driver lets statements of a closed database run on */
  #statements;
  #epoch;

  /** @param {Connection} db */
  constructor(db) {
    this.#db = db;
    this.#statements = prepareAll(db);
    this.uploads = new SqliteUploads(db);
    this.#epoch = this.#meta('epoch');
  }

  get #sql() {
    if (this.#statements === null) throw new Error('the store is closed');
    return this.#statements;
  }

  /** @type {Store['apply']} */
  async apply(units, options) {
    return inTransaction(this.#db, () => {
      /** @type {Result[]} */
      const results = [];
      for (const unit of units) {
        if (unit.length === 1) results.push(this.#applyOp(unit[0], this.#binding(unit[0]), results, options));
        else results.push(...this.#applyGroup(unit, results, options));
      }
      return results;
    });
  }

  /**
   * @param {Op[]} group
   * @param {Result[]} before  results of the ops before this group
   * @param {ApplyOptions} options
   * @returns {Result[]}
   */
  #applyGroup(group, before, options) {
    // Bindings are read before anything is written: a group that fails must still know which of its ops took effect in an earlier request.
    const bindings = group.map((op) => this.#binding(op));
    /** @type {(Result|null)[]} */
    const results = [];
    for (const [index, op] of group.entries()) {
      const known = /** @type {Result[]} */ ([...before, ...results]);
      results.push(bindings[index] ? this.#applyOp(op, bindings[index], known, options) : null);
    }
    this.#sql.savepoint.run();
    let failed = -1;
    for (let index = 0; index < group.length && failed < 0; index += 1) {
      const result = results[index] ?? this.#applyOp(group[index], null, [...before, .../** @type {Result[]} */ (results)], options);
      results[index] = result;
      if (!succeeded(result)) failed = index;
    }
    if (failed >= 0) this.#sql.rollbackGroup.run();
    this.#sql.release.run();
    return failed < 0 ? /** @type {Result[]} */ (results) : groupAfterFailure(results, failed);
  }

  /**
   * What comes after an op whose entity got its id here is on that entity. Its key is bound to it as if it had named it so, as a repetition that is sent alone does.
   * @param {Op} op
   * @param {Result|null} earlier
   * @returns {Op}
   */
  #renamed(op, earlier) {
    if (earlier?.entityId === undefined) return op;
    const renamed = { ...op, entityId: earlier.entityId };
    return { ...renamed, fingerprint: fingerprintOf(renamed) };
  }

  /**
   * Everything is decided before anything is written, so a single op needs no savepoint: past the first write only the database can fail, and that fails
   * the whole call.
   * @param {Op} asked
   * @param {import('./store.js').Binding|null} bound
   * @param {Result[]} results  of the earlier ops of this call
   * @param {ApplyOptions} options
   * @returns {Result}
   */
  #applyOp(asked, bound, results, { nowMs, decide, onError }) {
    const earlier = asked.after === null ? null : results[asked.after];
    const op = this.#renamed(asked, earlier);
    const current = this.#document(op.entity, op.entityId);
    let decision;
    try {
      decision = decide(op, { bound, current, earlier });
    } catch (error) {
      onError?.(error);
      return refused(problem('internal'));
    }
    const named = (/** @type {string} */ entityId) => (entityId === asked.entityId ? {} : { entityId });
    if (!('effect' in decision)) return decision.replayed && bound ? { ...decision, ...named(bound.entityId) } : decision;
    const { etag, entityId } = this.#write(op, decision.status, decision.effect, nowMs);
    return { status: decision.status, etag, ...named(entityId) };
  }

  /**
   * @param {Op} op
   * @param {number} status
   * @param {import('./decide.js').Effect} effect
   * @param {number} nowMs
   * @returns {{etag: string, entityId: string}} the new ETag, and what it is of
   */
  #write(op, status, { action, contentType, body, newId }, nowMs) {
    const n = (this.#sql.lastNumber.get()?.seq ?? 0) + 1;
    const etag = `"${this.#epoch}-${n}"`;
    const entityId = newId ? `${this.#epoch}-${n}` : op.entityId;
    const sha256 = op.upload?.sha256 ?? (body && createHash('sha256').update(body).digest('hex'));
    this.uploads.dropBody(op.entity, entityId);
    this.#sql.addEffect.run(n, op.key, op.id, op.entity, entityId, action, etag, sha256, nowMs);
    this.#sql.putDocument.run(op.entity, entityId, n, etag, action === 'delete' ? 1 : 0, op.key, nowMs, contentType, body);
    if (op.upload) this.uploads.end(op.upload.id, etag);
    this.#sql.bind.run(op.key, op.fingerprint, status, etag, nowMs);
    return { etag, entityId };
  }

  /**
   * @param {Op} op
   * @returns {import('./store.js').Binding|null}
   */
  #binding(op) {
    const row = this.#sql.binding.get(op.key);
    if (!row) return null;
    // The ETag ends with the number of the effect, which is never removed.
    const { entity_id: entityId } = this.#sql.effectOn.get(Number(/(\d+)"$/.exec(row.etag)?.[1]));
    return { fingerprint: Buffer.from(row.fingerprint), status: row.status, etag: row.etag, entityId };
  }

  /**
   * @param {string} entity
   * @param {string} entityId
   * @returns {Document|null}
   */
  #document(entity, entityId) {
    const row = this.#sql.document.get(entity, entityId);
    return row ? this.#documentFrom(row) : null;
  }

  /**
   * The driver hands blobs out as ArrayBuffers.
   * @param {any} row
   * @returns {Document}
   */
  #documentFrom(row) {
    const upload = row.body === null && row.deleted === 0 ? this.uploads.bodyOf(row.key) : undefined;
    return {
      entity: row.entity, entityId: row.entity_id, etag: row.etag, deleted: row.deleted === 1, contentType: row.content_type, key: row.key,
      body: row.body === null ? null : Buffer.from(row.body), ...(upload && { upload }),
    };
  }

  /** @type {Store['read']} */
  async read(entity, entityId) {
    return this.#document(entity, entityId);
  }

  /**
   * A cursor is "epoch-n-h": told up to `n`, by a pull that began when the horizon was `h`. Tombstones up to the horizon may be gone; the ones purged before a pull began
   * concern nothing that pull ever told, so a first pull that is slow does not expire under its own feet.
   * @type {Store['changes']}
   */
  async changes(cursor, { limit, maxBytes }) {
    const horizon = Number(this.#meta('horizon'));
    const newest = this.#sql.lastNumber.get()?.seq ?? 0;
    let told = 0;
    let began = horizon;
    if (cursor !== null) {
      const match = /^([0-9a-z]{4})-(0|[1-9]\d{0,14})-(0|[1-9]\d{0,14})$/.exec(cursor);
      if (!match || match[1] !== this.#epoch) return null;
      [told, began] = [Number(match[2]), Number(match[3])];
      if (told > newest || Math.max(told, began) < horizon) return null;
    }
    const changes = [];
    let bytes = 0;
    let more = false;
    for (const { n, size } of this.#sql.changed.all(told, limit + 1)) {
      more = changes.length === limit || (changes.length > 0 && bytes + size > maxBytes);
      if (more) break;
      bytes += size;
      told = n;
      changes.push(this.#documentFrom(this.#sql.documentAt.get(n)));
    }
    // With nothing left the cursor moves to the newest number, so that a client without news does not fall behind the horizon.
    return { changes, cursor: `${this.#epoch}-${more ? told : newest}-${began}`, more };
  }

  /** @type {Store['purge']} */
  async purge({ keysBeforeMs, tombstonesBeforeMs }) {
    const keys = await this.#purgeInSteps(() => this.#sql.purgeKeys.run(keysBeforeMs, PURGE_ROWS).changes);
    const tombstones = await this.#purgeInSteps(() => {
      const last = this.#sql.lastTombstone.get(tombstonesBeforeMs, PURGE_ROWS);
      if (last.n === null) return 0;
      if (last.n > Number(this.#meta('horizon'))) this.#sql.setMeta.run('horizon', String(last.n));
      return this.#sql.purgeTombstones.run(tombstonesBeforeMs, PURGE_ROWS).changes;
    });
    return { keys, tombstones };
  }

  /** @param {() => number} step  removes at most PURGE_ROWS rows and says how many */
  async #purgeInSteps(step) {
    for (let removed = 0; ;) {
      const now = inTransaction(this.#db, step);
      removed += now;
      if (now < PURGE_ROWS) return removed;
      await new Promise((resolve) => { setImmediate(resolve); });
    }
  }

  /** @param {string} name */
  #meta(name) {
    return /** @type {string} */ (this.#sql.meta.get(name).value);
  }

  async close() {
    if (this.#statements === null) return;
    this.#statements = null;
    this.uploads.close();
    this.#db.close();
  }
}

/**
 * @typedef {Parameters<Store['apply']>[1]} ApplyOptions
 */

/**
 * @param {Connection} db
 * @returns {Record<string, any>}
 */
function prepareAll(db) {
  const oldTombstones = 'SELECT n FROM documents WHERE deleted = 1 AND at_ms < ? ORDER BY at_ms, n LIMIT ?';
  return Object.fromEntries(Object.entries({
    savepoint: 'SAVEPOINT atomic_group',
    rollbackGroup: 'ROLLBACK TO atomic_group',
    release: 'RELEASE atomic_group',
    meta: 'SELECT value FROM meta WHERE name = ?',
    setMeta: 'INSERT OR REPLACE INTO meta VALUES (?, ?)',
    lastNumber: "SELECT seq FROM sqlite_sequence WHERE name = 'effects'",
    addEffect: 'INSERT INTO effects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
    effectOn: 'SELECT entity_id FROM effects WHERE n = ?',
    document: 'SELECT * FROM documents WHERE entity = ? AND entity_id = ?',
    documentAt: 'SELECT * FROM documents WHERE n = ?',
    putDocument: 'INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
    changed: 'SELECT n, coalesce(length(body), 0) AS size FROM documents WHERE n > ? ORDER BY n LIMIT ?',
    binding: 'SELECT fingerprint, status, etag FROM keys WHERE key = ?',
    bind: 'INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?, ?)',
    purgeKeys: 'DELETE FROM keys WHERE key IN (SELECT key FROM keys WHERE at_ms < ? LIMIT ?)',
    lastTombstone: `SELECT max(n) AS n FROM (${oldTombstones})`,
    purgeTombstones: `DELETE FROM documents WHERE n IN (${oldTombstones})`,
  }).map(([name, text]) => [name, db.prepare(text)]));
}
