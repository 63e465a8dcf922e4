// The door: what a caller hands to save(), checked and turned into the rows that one transaction appends. Needs no core and no worker.
// Whatever passes here is kept until the server or a person has answered it, so whatever cannot be sent is refused here, by name.
import { TidegateError } from './errors.js';
import { checkSchemaVersion } from './schema-version.js';

/** @import { AcceptItem, NewRow } from './store-contract.d.ts' */
/** @import { SaveItem } from './index.d.ts' */

export const kMaxOpBytes = 16 * 2 ** 20;        // the ceiling; above that is the upload path
export const kDefaultOpBytes = 2 ** 20;
export const kMaxQueuedOps = 100_000;
export const kMaxQueuedBytes = 256 * 2 ** 20;
export const kMaxDepth = 256;
export const kMaxFieldBytes = 256;
export const kMaxAtomicOps = 50;
export const kMaxDependencies = 64;   // as in outbox.h; each entity that `refs` name is one
export const kMaxRefs = 32;
export const kMaxPointerChars = 512;
export const kMaxPointerDepth = 32;
/** Ops of this entity are runs of tasks (sw/task-runs.js); the core knows it by this name too (kTaskEntity in outbox.h). */
export const kTaskEntity = 'tidegate.task';
export const kPriorities = ['critical', 'high', 'normal', 'low'];
const kActions = ['save', 'create', 'update', 'delete'];
const kBytes = 'application/octet-stream';
const kJson = 'application/json';   // written as "" in rows and docs, because nearly all are
const kJsonTypes = ['boolean', 'string', 'number', 'object'];

/**
 * @typedef {object} AcceptContext
 * @property {string} owner
 * @property {number} schemaVersion
 * @property {number} maxOpBytes
 * @property {number} [maxUploadBytes]  of what goes in pieces, where the app gave `uploads`
 * @property {(entity: string) => string[]} fieldNames  names (or JSON Pointers) of the fields that rules look at
 * @property {import('./clock.js').Clock} clock
 * @property {import('./random.js').Random} random
 */

/**
 * One checked item, ready for `store.accept`. Throws TidegateError; nothing was stored then.
 * @param {SaveItem} item @param {AcceptContext} context @param {string} path  where the item stands in the caller's argument @param {string} [group]
 * @returns {Promise<AcceptItem>}
 */
export async function buildRow(item, context, path, group) {
  if (item === null || typeof item !== 'object') throw wrongType(path, item, 'an object {entity, entityId, doc}');
  const nowMs = context.clock.now();
  const { entity, action = 'save', priority = 'normal', entityId = context.random.uuid(nowMs) } = item;
  checkEntity(entity, `${path}/entity`);
  const runs = entity === kTaskEntity;
  if (runs && (action !== 'create' || group)) throw outOfRange(`${path}/entity`, entity, 'another name, because this one is of runs of tasks: runTask() adds one');
  checkEntityId(entityId, `${path}/entityId`);
  oneOf(action, kActions, `${path}/action`);
  oneOf(priority, kPriorities, `${path}/priority`);
  checkSchemaVersion(item.schemaVersion, `${path}/schemaVersion`);
  const named = checkDependsOn(item.dependsOn, `${path}/dependsOn`);
  const source = action === 'delete' ? undefined : largeBlob(item, context.maxOpBytes);
  if (source) checkUpload(source.sizeBytes, context, `${path}/doc`, group);
  const body = action === 'delete' ? noBody(item, path) : source ?? await encodeBody(item, `${path}/doc`);
  if (group && body.contentType) throw wrongType(`${path}/doc`, item.doc, 'JSON in an atomic group');
  const sizeBytes = body.bytes?.length ?? source?.sizeBytes ?? 0;
  if (!source && sizeBytes > context.maxOpBytes)
    throw new TidegateError('limit', `${path}/doc`, `${path}/doc: expected at most ${context.maxOpBytes} bytes (maxOpBytes), got ${sizeBytes}`);
  const refs = item.refs === undefined ? undefined : checkRefs(item.refs, body.json, context.owner, `${path}/refs`);
  const dependsOn = [...new Set([...named, ...Object.values(refs ?? {})])];
  if (dependsOn.length > kMaxDependencies)
    throw new TidegateError('limit', `${path}/dependsOn`, `${path}/dependsOn: expected at most ${kMaxDependencies} operations and entities to wait for, got ${dependsOn.length}`);
  const fields = pickFields(body.json, context.fieldNames(entity));

  /** @type {NewRow} */
  const row = {
    id: context.random.uuid(nowMs), lane: laneOf(context.owner, entity, entityId), owner: context.owner, entity, entityId, action, priority,
    schemaVersion: item.schemaVersion ?? context.schemaVersion, createdAt: nowMs, contentType: body.contentType, sizeBytes, state: 'queued',
  };
  if (fields) row.fields = fields;
  if (dependsOn.length > 0) row.dependsOn = dependsOn;
  if (group) row.group = group;
  if (refs) row.refs = refs;
  if (source) row.upload = 'new';
  if (item.coalesce === false || runs || source) row.noFold = true;
  if (item.expiresAt !== undefined) row.expiresAt = checkInstant(item.expiresAt, `${path}/expiresAt`);
  return source ? { row, bytes: null, source: source.source } : { row, bytes: body.bytes };
}

/** The FIFO an op belongs to. @param {string} owner @param {string} entity @param {string} entityId */
export const laneOf = (owner, entity, entityId) => `${lanePrefix(owner, entity)}${encodeURIComponent(entityId)}`;

/** What the lanes of one entity type start with. @param {string} owner @param {string} entity */
export const lanePrefix = (owner, entity) => `${encodeURIComponent(owner)}:${entity}/`;

/** @param {unknown} entity @param {string} path @returns {asserts entity is string} */
export function checkEntity(entity, path) {
  if (typeof entity !== 'string') throw wrongType(path, entity, 'a string');
  if (!/^[A-Za-z][A-Za-z0-9_.-]{0,63}$/.test(entity)) throw outOfRange(path, entity, 'a letter, then up to 63 letters, digits, "_", "." or "-"');
}

/** @param {unknown} entityId @param {string} path @returns {asserts entityId is string} */
export function checkEntityId(entityId, path) {
  if (typeof entityId !== 'string') throw wrongType(path, entityId, 'a string');
  // eslint-disable-next-line no-control-regex
  const legal = entityId.length >= 1 && entityId.length <= 128 && !/[\u0000-\u001f\u007f-\u009f/]/.test(entityId) && isWellFormed(entityId);
  if (!legal || entityId === '.' || entityId === '..')
    throw outOfRange(path, entityId, '1–128 characters without control characters, "/" or half surrogates, and neither "." nor ".."');
}

/** @param {unknown} owner @param {string} path @returns {asserts owner is string} */
export function checkOwner(owner, path) {
  if (typeof owner !== 'string') throw wrongType(path, owner, 'a string');
  if (owner.length > 128 || !isWellFormed(owner)) throw outOfRange(path, owner, 'at most 128 characters without half surrogates');
}

/** @param {unknown} dependsOn @param {string} path @returns {string[]} */
function checkDependsOn(dependsOn, path) {
  if (dependsOn === undefined) return [];
  if (!Array.isArray(dependsOn)) throw wrongType(path, dependsOn, 'an array of op ids');
  dependsOn.forEach((id, i) => {
    if (typeof id !== 'string' || id === '' || id.length > 128) throw wrongType(`${path}/${i}`, id, 'an op id');
  });
  return dependsOn;
}

/**
 * Where the document names other entities, and the lanes of these. @param {unknown} refs @param {any} doc @param {string} owner @param {string} path
 * @returns {Record<string, string>}
 */
function checkRefs(refs, doc, owner, path) {
  if (typeof refs !== 'object' || refs === null || Array.isArray(refs)) throw wrongType(path, refs, 'an object {JSON Pointer: entity type}');
  const pairs = Object.entries(refs);
  if (pairs.length > kMaxRefs) throw new TidegateError('limit', path, `${path}: expected at most ${kMaxRefs} pointers, got ${pairs.length}`);
  return Object.fromEntries(pairs.map(([pointer, entity]) => {
    const at = below(path, pointer);
    if (pointer.length > kMaxPointerChars || !/^(\/([^/~]|~[01])*)+$/.test(pointer)) throw outOfRange(at, pointer, `a JSON Pointer (RFC 6901) of 1–${kMaxPointerChars} characters`);
    const depth = pointer.split('/').length - 1;
    if (depth > kMaxPointerDepth) throw new TidegateError('limit', at, `${shorten(at)}: expected at most ${kMaxPointerDepth} levels, got ${depth}`);
    checkEntity(entity, at);
    const id = valueAt(doc ?? null, pointer);
    if (typeof id !== 'string') throw wrongType(at, id, `a document with the id of a ${entity} at ${pointer}`);
    checkEntityId(id, at);
    return [JSON.stringify(pointer).slice(1, -1), laneOf(owner, entity, id)];   // as names stand in the text
  }));
}

/** @param {unknown} value @param {string} path @returns {number} */
function checkInstant(value, path) {
  if (typeof value !== 'number' || !(value > 0 && value <= 8.64e15)) throw outOfRange(path, value, 'milliseconds since 1970');
  return value;
}

/** @param {SaveItem} item @param {string} path */
function noBody(item, path) {
  if (item.doc !== undefined) throw wrongType(`${path}/doc`, item.doc, 'nothing, because a delete has no document');
  return { bytes: null, json: undefined, contentType: '' };
}

/** Bytes that are too many for one op; JSON goes whole or not at all, because it is compared and merged. @param {SaveItem} item @param {number} maxBytes */
function largeBlob({ doc, contentType }, maxBytes) {
  if (contentType === kJson) return undefined;
  checkContentType(contentType);
  const source = doc instanceof Blob ? doc : viewOf(doc);
  const sizeBytes = source instanceof Blob ? source.size : source?.length ?? 0;
  return source && sizeBytes > maxBytes ? { source, sizeBytes, contentType: contentType ?? typeOf(doc), bytes: null, json: undefined } : undefined;
}

/** Of a document that is no JSON. @param {any} doc */
const typeOf = (doc) => (doc instanceof Blob && doc.type) || kBytes;

/** @param {number} sizeBytes @param {AcceptContext} context @param {string} path @param {string} [group] */
function checkUpload(sizeBytes, { maxOpBytes, maxUploadBytes }, path, group) {
  const sentence = maxUploadBytes === undefined ? `expected at most ${maxOpBytes} bytes (maxOpBytes; larger blobs need the option uploads)`
    : sizeBytes > maxUploadBytes ? `expected at most ${maxUploadBytes} bytes (maxBytes of uploads)`
      : group ? `expected at most ${maxOpBytes} bytes (maxOpBytes) in an atomic group` : '';
  if (sentence) throw new TidegateError('limit', path, `${path}: ${sentence}, got ${sizeBytes}`);
}

/** The bytes that a document is, where it is bytes. @param {any} doc */
const viewOf = (doc) => (doc instanceof ArrayBuffer ? new Uint8Array(doc) : ArrayBuffer.isView(doc) ? new Uint8Array(doc.buffer, doc.byteOffset, doc.byteLength) : undefined);

/** @param {unknown} contentType */
function checkContentType(contentType) {
  if (contentType !== undefined && (typeof contentType !== 'string' || !/^[\w.+-]+\/[\w.+-]+(\s*;[ -~]*)?$/.test(contentType)))
    throw outOfRange('/contentType', contentType, 'a media type such as "image/png"');
}

/** JSON becomes UTF-8 once, here; bytes are copied, so that the caller may go on using theirs. @param {SaveItem} item @param {string} path */
async function encodeBody({ doc, contentType }, path) {
  const isBlob = doc instanceof Blob;
  const view = viewOf(isBlob ? await doc.arrayBuffer() : doc);
  if (view) {
    const bytes = new Uint8Array(view);   // a copy, and never of shared memory
    return contentType === kJson && !isBlob ? { bytes, json: parseJson(bytes, path), contentType: '' } : { bytes, json: undefined, contentType: contentType ?? typeOf(doc) };
  }
  if (contentType !== undefined && contentType !== kJson) throw wrongType(path, doc, `bytes or a Blob, because contentType is ${contentType}`);
  checkJson(doc, path, 1, Number.isFinite);
  return { bytes: new TextEncoder().encode(JSON.stringify(doc)), json: doc, contentType: '' };
}

/** JSON that comes as bytes goes as those bytes, with its numbers as they are written. @param {Uint8Array} bytes @param {string} path */
function parseJson(bytes, path) {
  let json;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (error) {
    throw new TidegateError('wrong-type', path, `${path}: expected one JSON text in UTF-8, got bytes that are not (${/** @type {Error} */ (error).message})`);
  }
  checkJson(json, path, 1, () => true);
  return json;
}

/**
 * Refuses what JSON would change in silence or cannot say: NaN, functions, bigints, half surrogates, cycles, too deep nesting.
 * An object with `toJSON` speaks for itself; `undefined` in an object is a property that is not there, as JSON has it.
 * @param {any} value @param {string} path @param {number} depth @param {(value: number) => boolean} isNumber
 */
function checkJson(value, path, depth, isNumber) {
  if (typeof value === 'string' && !isWellFormed(value)) throw outOfRange(path, value, 'text without half surrogates');
  if (typeof value === 'number' && !isNumber(value)) throw outOfRange(path, value, 'a finite number');
  if (!kJsonTypes.includes(typeof value)) throw wrongType(path, value, 'a JSON value');
  if (value === null || typeof value !== 'object') return;
  if (typeof value.toJSON === 'function') return checkJson(value.toJSON(), path, depth, isNumber);
  if (depth > kMaxDepth)
    throw new TidegateError('limit', path, `${shorten(path)}: expected at most ${kMaxDepth} levels of nesting (cycles have no end)`);
  if (Array.isArray(value)) return value.forEach((item, i) => checkJson(item, `${path}/${i}`, depth + 1, isNumber));
  for (const key of Object.keys(value)) {
    const at = below(path, key);
    if (!isWellFormed(key)) throw outOfRange(at, key, 'a name without half surrogates');
    if (value[key] !== undefined) checkJson(value[key], at, depth + 1, isNumber);
  }
}

/** Engines without isWellFormed (before 2023) let the core refuse the op instead. @param {any} text */
const isWellFormed = (text) => text.isWellFormed?.() ?? true;

/**
 * Copies the named fields, in order, as long as they fit into 256 bytes of JSON; one that does not fit is left out (a rule sees it as absent).
 * A name is a JSON Pointer when it starts with "/", else a path with dots.
 * @param {any} doc @param {string[]} names
 */
function pickFields(doc, names) {
  if (doc === null || typeof doc !== 'object') return undefined;
  /** @type {Record<string, unknown> | undefined} */
  let fields;
  let left = kMaxFieldBytes - 2;
  for (const name of names) {
    const value = valueAt(doc, name);
    if (value === undefined) continue;
    const copy = JSON.stringify({ [name]: value });
    const size = new TextEncoder().encode(copy).length - 1;
    if (size > left) continue;
    left -= size;
    fields = { ...fields, ...JSON.parse(copy) };
  }
  return fields;
}

/** The JSON Pointer to a member. @param {string} path @param {string} key */
const below = (path, key) => `${path}/${key.replace(/~/g, '~0').replace(/\//g, '~1')}`;

/** Of a JSON Pointer. @param {string} pointer */
export const stepsOf = (pointer) => pointer.split('/').slice(1).map((step) => step.replace(/~1/g, '/').replace(/~0/g, '~'));

/** @param {any} doc @param {string} name */
function valueAt(doc, name) {
  const steps = name.startsWith('/') ? stepsOf(name) : name.split('.');
  let value = doc;
  for (const step of steps) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, step)) return undefined;
    value = value[step];
  }
  return typeof value === 'function' ? undefined : value;
}

/** The field names a set of rules looks at, wherever in their conditions. @param {any} rules @returns {string[]} */
export function fieldsOfRules(rules) {
  if (rules === null || typeof rules !== 'object') return [];
  if (Array.isArray(rules)) return [...new Set(rules.flatMap(fieldsOfRules))];
  const own = typeof rules.field === 'string' ? [rules.field] : [];
  return [...new Set([...own, ...Object.values(rules).flatMap(fieldsOfRules)])];
}

/** @param {string} value @param {string[]} words @param {string} path */
export function oneOf(value, words, path) {
  if (!words.includes(value)) throw outOfRange(path, value, `one of ${words.join(', ')}`);
}

/** @param {string} path @param {unknown} value @param {string} expected */
const wrongType = (path, value, expected) => new TidegateError('wrong-type', path, `${shorten(path)}: expected ${expected}, got ${quote(value)}`);

/** @param {string} path @param {unknown} value @param {string} expected */
const outOfRange = (path, value, expected) => new TidegateError('out-of-range', path, `${shorten(path)}: expected ${expected}, got ${quote(value)}`);

/** @param {string} path */
const shorten = (path) => (path.length > 120 ? `${path.slice(0, 60)}…${path.slice(-50)}` : path);

/** The bad value, short enough for a message. @param {unknown} value */
export function quote(value) {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'bigint') return `${value}n`;
  if (value === null || typeof value !== 'object') return String(value);
  return Array.isArray(value) ? 'an array' : `an object (${value.constructor?.name ?? 'no prototype'})`;
}
