// What the two stores have in common: the names, the lease, how a write becomes a record. Pure; docs/architecture.md is the contract.
import { StoreError } from './errors.js';

/** @import { AcceptItem, AcceptLimits, Lease, Totals, Write } from './store-contract.d.ts' */

export const kSchemaVersion = 1;
/** All stores but `ops`: string keys, arbitrary records. */
export const kKeyedStores = ['payloads', 'bases', 'docs', 'state', 'history'];
/** Names in `state` that a drain is handed with its lease. */
export const kDrainState = ['snapshot', 'core', 'settings', 'rules', 'step'];
export const kListLimit = 1000;

/** The first string after every string that starts with `prefix` (keys are ASCII: lanes and ids are percent-encoded). @param {string} prefix */
export const prefixEnd = (prefix) => prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);

/** The key of an op's bytes; what all its keys begin with, without `part`. As payload_key() of the core. @param {number} seq */
export const payloadKey = (seq, part = '') => `${String(seq).padStart(12, '0')}:${part}`;

/** What the keys of an upload's pieces begin with (sw/uploads.js); the core takes them away by it (let_go in planner.cpp). @param {string} id */
export const piecesOf = (id) => `up:${id}:`;

/** The bytes inside a record: the record itself, or its `bytes`. @param {any} record @returns {Uint8Array | undefined} */
export const bytesOf = (record) => [record, record?.bytes].find((part) => part instanceof Uint8Array);

/** A record without its bytes; undefined when it is bytes alone. @param {any} record */
export function metaOf(record) {
  if (record instanceof Uint8Array) return undefined;
  if (!(record?.bytes instanceof Uint8Array)) return record;
  const { bytes: _, ...meta } = record;
  return meta;
}

/** The record a write puts down. @param {Write} write @param {Uint8Array | undefined} bytes */
export function recordOf(write, bytes) {
  if (write.store === 'ops') return { ...write.value, seq: write.key };
  if (write.value === undefined) return bytes;
  return bytes === undefined ? write.value : { ...write.value, bytes };
}

/**
 * The lease after `holder` asked for it, or null while another holder lives. A lease is over when its time is; also when it claims to last longer than any
 * lease does, because then the clock was set back. `takeover` is for a caller that holds the origin-wide lock, so that nobody else can be alive; null where somebody else
 * holds it: a lease that was given back is then not free before its time is over, because whoever has the lock is about to give it up, or to begin again.
 * Every lease has a new token, the fencing token: commits of earlier holders are refused from then on. The first one is the time, so that a drain whose
 * database was emptied under it does not hold a token of the new one.
 * @param {Lease | undefined} lease
 * @param {{holder: string, nowMs: number, ttlMs: number, codeVersion: string, takeover?: boolean | null}} ask
 * @returns {Lease | null}
 */
export function nextLease(lease, { holder, nowMs, ttlMs, codeVersion, takeover = false }) {
  const left = lease && (lease.holder || takeover === null) ? lease.untilMs - nowMs : 0;
  const held = left > 0 && left <= Math.max(ttlMs, lease?.ttlMs ?? 0);
  if (held && lease?.holder !== holder && !takeover) return null;
  return { token: (lease?.token ?? Math.floor(nowMs)) + 1, holder, untilMs: nowMs + ttlMs, ttlMs, codeVersion, abandoned: Boolean(lease?.holder) };
}

/** @param {{number: number} | undefined} last @param {number} nowMs */
export const nextTicket = (last, nowMs) => ({ number: Math.max((last?.number ?? 0) + 1, Math.floor(nowMs)) });

/** Whether a commit or renewal under `token` may write. @param {Lease | undefined} lease @param {number} token */
export const holdsLease = (lease, token) => lease?.token === token && lease.holder !== null;

/**
 * The totals after `items` were added. The first op ever gives the installation its id. Throws "full" when the outbox would outgrow its limits: accepting refuses, it never evicts.
 * @param {Totals} totals @param {AcceptItem[]} items @param {AcceptLimits} limits
 * @returns {Totals}
 */
export function addTotals(totals, items, { maxOps, maxBytes }) {
  const ops = totals.ops + items.length;
  const bytes = items.reduce((sum, { row }) => sum + row.sizeBytes, totals.bytes);
  if (ops > maxOps) throw new StoreError('full', `outbox: expected at most ${maxOps} operations (maxQueuedOps), got ${ops}`);
  if (bytes > maxBytes) throw new StoreError('full', `outbox: expected at most ${maxBytes} bytes (maxQueuedBytes), got ${bytes}`);
  return { ...totals, ops, bytes, install: totals.install ?? items[0]?.row.id };
}

/** The totals after the rows `gone` left. A merge may have changed a row's size since it was counted; with the last row that is forgotten. @param {Totals} totals @param {{sizeBytes?: number}[]} gone */
export function subtractTotals(totals, gone) {
  const ops = totals.ops - gone.length;
  return { ...totals, ops, bytes: ops > 0 ? gone.reduce((sum, row) => sum - (row.sizeBytes ?? 0), totals.bytes) : 0 };   // the core leaves zeros out
}

/**
 * Turns "save" into create or update by whether `docs` shows the entity, in order, so that the second of two saves of a new entity is an update.
 * @param {AcceptItem[]} items @param {Map<string, boolean>} exists  lane → shown; changed as the items pass
 */
export function resolveActions(items, exists) {
  return items.map(({ row }) => {
    const action = row.action === 'save' ? (exists.get(row.lane) ? 'update' : 'create') : row.action;
    exists.set(row.lane, action !== 'delete');
    return { ...row, action };
  });
}

/** The optimistic document an accepted row leaves in `docs`; of a sealed row what it says of itself stays sealed. @param {any} row @param {number} seq @param {any} bytes */
export function docOf(row, seq, bytes) {
  const { entity, entityId, owner, contentType, sealed } = row;
  const doc = { ...(sealed ? { sealed } : { entity, entityId, owner, contentType }), deleted: row.action === 'delete', opId: row.id, seq };
  return bytes ? { ...doc, bytes: bytesOf(bytes) } : doc;
}
