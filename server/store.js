/**
 * The store contract. Another database is another file with these five calls; tests/js/server-store.contract.js is the suite it must pass.
 *
 * A store keeps four things and changes them together or not at all:
 * - documents: the current version or tombstone of each entity, bodies as the exact bytes they came as;
 * - keys: what each idempotency key is bound to;
 * - effects: an append-only log, one record per effect;
 * - the order of changes, which is the order of effects: each effect has a number `n`, and a document carries the `n` of its last effect. So a page of changes
 *   is the documents after a cursor in order of `n`, each once, in its newest version.
 *
 * ETags are made by the store, strong, and never used twice, also not after a tombstone was purged.
 *
 * @typedef {object} Document
 * @property {string} entity
 * @property {string} entityId
 * @property {string} etag          with its quotes
 * @property {boolean} deleted      a tombstone: body is null then
 * @property {string} contentType
 * @property {Buffer|null} body      null also where it lies in pieces
 * @property {string} key           idempotency key of the op that made this version
 * @property {{id: string, length: number}} [upload]   where the body lies in pieces
 *
 * @typedef {object} Binding
 * @property {Buffer} fingerprint
 * @property {number} status
 * @property {string} etag
 * @property {string} entityId      of the entity that it was an effect on: another than the op named, where the store gave it one
 *
 * @typedef {object} Page
 * @property {Document[]} changes
 * @property {string} cursor        opaque; everything up to here was told
 * @property {boolean} more
 *
 * @typedef {object} Upload        a body on its way, in pieces
 * @property {string} id            what its address ends with; nobody can guess it
 * @property {string} key           idempotency key of the op it is the body of; one upload per key
 * @property {Buffer} fingerprint   what the key is bound to
 * @property {string} entity
 * @property {string} entityId
 * @property {string} contentType
 * @property {number} length        how many bytes it will have
 * @property {number} received      how many are here
 * @property {number} atMs          when the last ones came
 * @property {string|null} etag     once the effect is there: what it left
 *
 * @typedef {object} Uploads        bodies that come in pieces. `apply` takes their ops: it binds the pieces to the document, and drops those of the document before
 * @property {(upload: Omit<Upload, 'received'|'etag'|'atMs'>, options: {nowMs: number, maxUnfinished: number}) => Promise<Upload|null>} begin
 *   Takes the upload in, empty. Where there is one of this key already, that one is answered and nothing changes. Null: `maxUnfinished` have not ended yet.
 * @property {(id: string) => Promise<Upload|null>} read
 * @property {(id: string, offset: number, piece: Buffer, nowMs: number) => Promise<number|null>} append
 *   Adds a piece, durable when the promise resolves with what is there then. Null, and nothing was added: there is no such upload, it does not end at `offset`, the
 *   piece would carry it over its length, or its effect is there.
 * @property {(id: string) => AsyncIterable<Buffer>} pieces
 *   In order, one in memory at a time. They stay as long as the document they belong to is the newest of its entity.
 * @property {(id: string) => Promise<boolean>} drop
 *   Takes an upload away that has no effect yet; false where there is none.
 * @property {(options: {unfinishedBeforeMs: number, endedBeforeMs: number}) => Promise<number>} purge
 *   Removes uploads to which nothing was added since, those with an effect only where their document is not the newest of its entity any more. Says how many.
 *
 * @typedef {object} Store
 * @property {(units: import('./op.js').Op[][], options: {nowMs: number, decide: import('./decide.js').Decide, onError?: (error: unknown) => void})
 *   => Promise<import('./decide.js').Result[]>} apply
 *   Decides and carries out ops in order, in one transaction that no other writer can interleave with, durable when the promise resolves. For each op it looks up
 *   its key's binding and its entity's document, asks `decide`, and where that names an effect writes document, effect record and binding. A **unit** of several ops
 *   is an atomic group: when one fails, none of it was applied (groupAfterFailure in decide.js says what is answered). A `decide` that throws fails its own
 *   unit with 500, is told to `onError`, and leaves the others alone. An effect with `newId` is on an entity with a new id, never used before; what comes `after` it in
 *   the call is on that entity, too, and the result of either says so (`entityId`), also when it is answered again. A failure of the database rejects the promise, and then nothing of the call was applied.
 *   The results are flat, one per op, in order.
 * @property {(entity: string, entityId: string) => Promise<Document|null>} read
 *   The document or tombstone; null for an entity never seen.
 * @property {(cursor: string|null, options: {limit: number, maxBytes: number}) => Promise<Page|null>} changes
 *   One page after the cursor, from the start when it is null. A page holds at most `limit` documents and ends before the body that would carry it over
 *   `maxBytes`, but never before its first. Null when tombstones after this cursor may have been purged, or the cursor is not of this database.
 * @property {(options: {keysBeforeMs: number, tombstonesBeforeMs: number}) => Promise<{keys: number, tombstones: number}>} purge
 *   Removes bindings and tombstones made before these times, and says how many. Effects are never removed.
 * @property {Uploads} uploads
 * @property {() => Promise<void>} close
 *   Gives the database up. Calls after it reject.
 */
export {};
