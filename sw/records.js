// What a record looks like when it is sealed, and how it is opened again.
//
//     ops       {seq, id, lane, action, group?, sizeBytes, sealed}      lane: names of owner, entity type and entity id, each an HMAC
//     docs      {opId, seq, deleted, sealed, bytes}                     as an accept leaves it: `sealed` is that of the op
//     the rest  {sealed, deleted?, bytes?; of docs: seq}                `sealed` is "<key>.<base64>"; bytes are nonce and ciphertext
//
// What stays readable is what the transactions of the store look at: which op and lane it is, the newest op of a lane, whether an entity is shown, how much room it takes. Pure but for the ciphers.
import { bytesOf, metaOf } from './store-rules.js';
import { Unreadable } from './sealing.js';

/** @import { Cause, Keyring, Ring } from './sealing.js' */

/** The entity type of an op that cannot be read: no app can have one of this name. */
export const kUnreadableEntity = '?';
/** Of `state`, what the store's own transactions read, and what says nothing of anybody: switches must hold also when the keys are lost. */
export const kPlainState = ['lease', 'totals', 'settings', 'step', 'ticket', 'sealed'];
/** Of these the key is a lane, so it is sealed with the record. */
export const kByLane = ['docs', 'bases'];

/** @param {any} record */
export const isSealed = (record) => typeof record?.sealed === 'string';

/** Whether a row stands for one that could not be read: it must never be written over that. @param {any} row */
export const isStandIn = (row) => row.entity === kUnreadableEntity && row.entityId === row.id;

/** @param {string} id @param {string} lane */
const rowPlace = (id, lane) => ['ops', id, lane];
/** Of which lane it is says the row. @param {string} key "<seq>:<part>", of which the part counts @param {string} [id] of the op */
export const payloadPlace = (key, id = '') => ['payloads', key.slice(key.indexOf(':') + 1), id];
/** @param {string} store @param {string} key @param {string} part */
const recordPlace = (store, key, part) => [store, key, part];

/** @param {Keyring} keyring @param {Ring} ring @param {any} row */
export async function sealRow(keyring, ring, row) {
  const { seq, id, action, group, sizeBytes = 0 } = row;
  const lane = await keyring.laneKey(String(row.lane));
  return { ...(seq && { seq }), id, lane, action, ...(group && { group }), sizeBytes, sealed: await keyring.sealText(ring, row, rowPlace(id, lane)) };
}

/** @param {Keyring} keyring @param {any} row as it is stored @returns {Promise<any>} throws Unreadable */
export async function openRow(keyring, row) {
  if (!isSealed(row)) return row;
  const opened = await keyring.openText(row.sealed, rowPlace(row.id, row.lane));
  // "save" became one of these two inside the transaction that stored it.
  return { ...opened, seq: row.seq, ...(opened.action === 'save' && { action: row.action === 'update' ? 'update' : 'create' }) };
}

/**
 * What is handed out in place of a row that cannot be read: quarantined, so never sent, with nothing to send. The record itself stays as it is.
 * @param {any} row as it is stored @param {Unreadable} error @param {string} owner @param {boolean} foreign  whose it is cannot be known
 */
export function standIn({ seq, id, group, sizeBytes }, error, owner, foreign) {
  return {
    seq, id, lane: `${encodeURIComponent(owner)}:${kUnreadableEntity}/${encodeURIComponent(id)}`, owner, entity: kUnreadableEntity, entityId: id, action: 'create',
    priority: 'normal', createdAt: 0, sizeBytes, ...(group && { group }), state: 'quarantined', reason: error.message,
    error: { class: 'storage', message: error.message }, unreadable: error.why, ...(foreign && { foreign }),
  };
}

/** A payload is nothing but bytes. @param {Keyring} keyring @param {Ring} ring @param {string[]} place @param {Uint8Array | undefined} bytes */
export async function sealPayload(keyring, ring, place, bytes) {
  const sealed = await keyring.sealText(ring, undefined, place);
  return { value: { sealed }, bytes: bytes && await keyring.seal(ring, bytes, place) };
}

/**
 * @param {Keyring} keyring @param {Ring} ring @param {string} store @param {string} key as it is stored @param {string} name as it is asked for
 * @param {any} value @param {Uint8Array | undefined} bytes
 */
export async function sealRecord(keyring, ring, store, key, name, value, bytes) {
  const said = kByLane.includes(store) ? { lane: name, value } : value;
  const [sealed, sealedBytes] = await Promise.all([
    keyring.sealText(ring, said, recordPlace(store, key, 'value')), bytes && keyring.seal(ring, bytes, recordPlace(store, key, 'bytes')),
  ]);
  return { value: { sealed, ...(value?.deleted && { deleted: true }), ...(store === 'docs' && { seq: value.seq }) }, bytes: sealedBytes };
}

/**
 * A record of a keyed store, and the lane it belongs to where there is one. @param {Keyring} keyring @param {string} store @param {string} key as it is stored
 * @param {any} record @param {string} [id]  of a payload: the op it belongs to
 * @returns {Promise<{lane?: string, record: any}>} throws Unreadable
 */
export async function openRecord(keyring, store, key, record, id) {
  if (!isSealed(record)) return { lane: kByLane.includes(store) ? key : undefined, record };
  const [keyId] = record.sealed.split('.');
  const bytesIn = async (/** @type {string[]} */ place) => { const bytes = bytesOf(record); return bytes && keyring.open(keyId, bytes, place); };
  if (store === 'payloads') return { record: await bytesIn(payloadPlace(key, id)) };
  if (store === 'docs' && record.opId !== undefined) {
    const { opId, seq } = record;
    const [row, bytes] = await Promise.all([keyring.openText(record.sealed, rowPlace(opId, key)), bytesIn(payloadPlace('next', opId))]);
    const { lane, entity, entityId, owner, contentType, action } = row;
    return { lane, record: joined({ entity, entityId, owner, contentType, deleted: action === 'delete', opId, seq }, bytes) };
  }
  const [said, bytes] = await Promise.all([keyring.openText(record.sealed, recordPlace(store, key, 'value')), bytesIn(recordPlace(store, key, 'bytes'))]);
  return kByLane.includes(store) ? { lane: said.lane, record: joined(said.value, bytes) } : { record: joined(said, bytes) };
}

/** @param {any} value @param {Uint8Array | undefined} bytes */
const joined = (value, bytes) => (value === undefined ? bytes : bytes ? { ...value, bytes } : value);

/** Value and bytes of a record that is plain. @param {any} record */
export const partsOf = (record) => ({ value: metaOf(record), bytes: bytesOf(record) });
