/**
 * The uploads of the SQLite store (`Uploads` in store.js): two tables beside the others. Pieces belong to an upload; the document of which they are the body has the key
 * of that upload and no body of its own. docs/server.md documents the columns.
 *
 * @typedef {import('./store.js').Uploads} Uploads
 * @typedef {import('./store-sqlite.js').Connection} Connection
 */

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS uploads (
    key TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, fingerprint BLOB NOT NULL,
    entity TEXT NOT NULL, entity_id TEXT NOT NULL, content_type TEXT NOT NULL,
    length INTEGER NOT NULL, received INTEGER NOT NULL, etag TEXT, at_ms INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS unfinished_uploads ON uploads (at_ms) WHERE etag IS NULL;
  CREATE TABLE IF NOT EXISTS pieces (upload TEXT NOT NULL, at INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (upload, at)) STRICT;
`;
/** Removed per transaction: the pieces of one may be a thousand rows. */
const PURGE_UPLOADS = 4;

/** @implements {Uploads} */
export class SqliteUploads {
  #db;
  /** @type {Record<string, any>|null} */
  #statements;

  /** @param {Connection} db */
  constructor(db) {
    db.exec(SCHEMA);
    this.#db = db;
    this.#statements = prepareAll(db);
  }

  get #sql() {
    if (this.#statements === null) throw new Error('the store is closed');
    return this.#statements;
  }

  /** @template T @param {() => T} work @returns {T} */
  #inTransaction(work) {
    this.#sql.begin.run();
    try {
      const value = work();
      this.#sql.commit.run();
      return value;
    } catch (error) {
      if (this.#db.inTransaction) this.#sql.rollback.run();
      throw error;
    }
  }

  /** @type {Uploads['begin']} */
  async begin({ key, id, fingerprint, entity, entityId, contentType, length }, { nowMs, maxUnfinished }) {
    return this.#inTransaction(() => {
      const there = this.#sql.ofKey.get(key);
      if (there) return uploadFrom(there);
      if (this.#sql.unfinished.get().n >= maxUnfinished) return null;
      this.#sql.add.run(key, id, fingerprint, entity, entityId, contentType, length, nowMs);
      return uploadFrom(this.#sql.ofKey.get(key));
    });
  }

  /** @type {Uploads['read']} */
  async read(id) {
    const row = this.#sql.ofId.get(id);
    return row ? uploadFrom(row) : null;
  }

  /** @type {Uploads['append']} */
  async append(id, offset, piece, nowMs) {
    return this.#inTransaction(() => {
      if (this.#sql.grow.run(piece.length, nowMs, id, offset, piece.length).changes === 0) return null;
      this.#sql.addPiece.run(id, offset, piece);
      return offset + piece.length;
    });
  }

  /** @type {Uploads['pieces']} */
  async* pieces(id) {
    for (let at = -1; ;) {
      const row = this.#sql.pieceAfter.get(id, at);
      if (!row) return;
      yield Buffer.from(row.bytes);
      at = row.at;
    }
  }

  /** @type {Uploads['drop']} */
  async drop(id) {
    return this.#inTransaction(() => {
      if (this.#sql.ofId.get(id)?.etag !== null) return false;
      this.#remove(id);
      return true;
    });
  }

  /** @type {Uploads['purge']} */
  async purge({ unfinishedBeforeMs, endedBeforeMs }) {
    for (let removed = 0; ;) {
      const old = this.#inTransaction(() => {
        const ids = [...this.#sql.oldUnfinished.all(unfinishedBeforeMs, PURGE_UPLOADS), ...this.#sql.oldEnded.all(endedBeforeMs, PURGE_UPLOADS)];
        for (const { id } of ids) this.#remove(id);
        return ids.length;
      });
      removed += old;
      if (old === 0) return removed;
      await new Promise((resolve) => { setImmediate(resolve); });
    }
  }

  /** @param {string} id */
  #remove(id) {
    this.#sql.dropPieces.run(id);
    this.#sql.drop.run(id);
  }

  // For the store, inside its own transactions.

  /** The upload whose pieces are the body of a document of this key. @param {string} key @returns {{id: string, length: number} | undefined} */
  bodyOf(key) {
    const row = this.#sql.ofKey.get(key);
    return row && { id: row.id, length: row.length };
  }

  /** The newest document of the entity is about to be another: its pieces go. @param {string} entity @param {string} entityId */
  dropBody(entity, entityId) {
    this.#sql.dropBody.run(entity, entityId);
  }

  /** Its effect is there. @param {string} id @param {string} etag */
  end(id, etag) {
    this.#sql.end.run(etag, id);
  }

  close() {
    this.#statements = null;
  }
}

/**
 * @param {any} row
 * @returns {import('./store.js').Upload}
 */
function uploadFrom({ key, id, fingerprint, entity, entity_id: entityId, content_type: contentType, length, received, etag, at_ms: atMs }) {
  return { key, id, fingerprint: Buffer.from(fingerprint), entity, entityId, contentType, length, received, etag, atMs };
}

/**
 * @param {Connection} db
 * @returns {Record<string, any>}
 */
function prepareAll(db) {
  return Object.fromEntries(Object.entries({
    begin: 'BEGIN IMMEDIATE',
    commit: 'COMMIT',
    rollback: 'ROLLBACK',
    ofKey: 'SELECT * FROM uploads WHERE key = ?',
    ofId: 'SELECT * FROM uploads WHERE id = ?',
    unfinished: 'SELECT count(*) AS n FROM uploads WHERE etag IS NULL',
    add: 'INSERT INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?, 0, NULL, ?)',
    grow: 'UPDATE uploads SET received = received + ?, at_ms = ? WHERE id = ? AND received = ? AND received + ? <= length AND etag IS NULL',
    addPiece: 'INSERT INTO pieces VALUES (?, ?, ?)',
    pieceAfter: 'SELECT at, bytes FROM pieces WHERE upload = ? AND at > ? ORDER BY at LIMIT 1',
    end: 'UPDATE uploads SET etag = ? WHERE id = ?',
    drop: 'DELETE FROM uploads WHERE id = ?',
    dropPieces: 'DELETE FROM pieces WHERE upload = ?',
    dropBody: `DELETE FROM pieces WHERE upload = (SELECT uploads.id FROM documents JOIN uploads USING (key)
      WHERE documents.entity = ? AND documents.entity_id = ?)`,
    oldUnfinished: 'SELECT id FROM uploads WHERE etag IS NULL AND at_ms < ? LIMIT ?',
    oldEnded: `SELECT id FROM uploads WHERE etag IS NOT NULL AND at_ms < ? AND NOT EXISTS (SELECT 1 FROM documents AS d
      WHERE d.entity = uploads.entity AND d.entity_id = uploads.entity_id AND d.key = uploads.key AND d.deleted = 0) LIMIT ?`,
  }).map(([name, text]) => [name, db.prepare(text)]));
}
