// The independent checker: what became of every accepted operation?
//
// It reads three things that different parties wrote and believes none of them alone:
//   - the app's acceptance log, written by whoever called save() and fsynced before the save counted as accepted;
//   - the server's effect log and documents, from the server's SQLite file;
//   - the client's visible records (its ops and its history), dumped through the client's public calls.
// It imports nothing from wasm/, sw/, web/ or server/: a mistake there must not be repeated here. It decides nothing about how
// a run is made; runs that went wrong on purpose (tests/js/headless-checker.test.js) show that each finding can be found.
//
// The acceptance log has two kinds of lines. Before each save: {"saving":n,"entity","entityId","action","sha256"}. After it
// resolved: {"accepted":n,"opId",…the same}. n is the place of the version in the input, sha256 that of the canonical document
// (json-text.mjs). A `saving` without its `accepted` is a save that a kill cut off: its op may exist or not, both are right,
// but only for that one document.
//
// Findings, each with a sentence saying which op and why:
//   lost         an accepted op with neither an effect, nor a fold or cancel record leading to a live successor, nor a visible
//                dead letter
//   duplicated   an effect beyond the one an accepted op may have: a second effect of the same op, an effect of an op nobody
//                accepted, or the document of one op applied again under the id of another
//   unconverged  an entity whose server document is not its last accepted version, a client view that differs from it, an
//                entity the app never wrote, an op that is neither finished nor dead
//   misordered   an entity whose effects came in another order than its ops were accepted

import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';

import Database from 'libsql';

import { canonical } from './json-text.mjs';

/**
 * @typedef {{n: number, entity: string, entityId: string, action: string, sha256: string, opId: string | null}} Save
 *     opId is null for a save cut off by a kill
 * @typedef {{seq: number, opId: string, entity: string, entityId: string, action: string, content: string | null}} Effect
 *     content: the server's own hash of the bytes it left behind, comparable among effects only; null where it left none
 * @typedef {{entity: string, entityId: string, deleted: boolean, text: string | null}} Document
 * @typedef {{id: string, state: string}} ClientOp
 * @typedef {{opId: string, kind: string, by: string | null}} ClientRecord  kind: folded, cancelled; by: the op it names
 * @typedef {{ops: ClientOp[], records: ClientRecord[], documents: Document[]}} Client
 * @typedef {{lost: string[], duplicated: string[], unconverged: string[], misordered: string[], accepted: number, effects: number,
 *     folded: number, dead: number, unlogged: number}} Report
 */

/** States in which an op may rest for ever and be seen. Everything else must be gone when the run has drained. */
const RESTING = new Set(['dead', 'quarantined', 'done', 'folded', 'cancelled']);
const DEAD = new Set(['dead', 'quarantined']);

/** @param {string} entity @param {string} entityId */
const nameOf = (entity, entityId) => `${entity}/${entityId}`;

/** @param {string} text a JSON text */
export const documentHash = (text) => createHash('sha256').update(canonical(text)).digest('hex');

/**
 * @param {{saves: Save[], effects: Effect[], documents: Document[], client: Client}} evidence
 * @returns {Report}
 */
export function check({ saves, effects, documents, client }) {
  const accepted = saves.filter((save) => save.opId !== null);
  const acceptedIds = new Set(accepted.map((save) => save.opId));
  const effectsOf = groupBy(effects, (effect) => effect.opId);
  const states = new Map(client.ops.map((op) => [op.id, op.state]));
  const succession = new Succession(accepted, effectsOf, states, client.records);
  return {
    lost: accepted.flatMap((save) => succession.lossOf(/** @type {string} */ (save.opId))),
    duplicated: [...repeatedOps(effectsOf), ...unacceptedOps(saves, effectsOf), ...repeatedDocuments(accepted, effects)],
    unconverged: [...differences(saves, documents, client.documents), ...unfinished(client.ops)],
    misordered: misordered(accepted, effects),
    accepted: accepted.length,
    effects: effects.length,
    folded: client.records.length,
    dead: client.ops.filter((op) => DEAD.has(op.state)).length,
    unlogged: [...effectsOf.keys()].filter((opId) => !acceptedIds.has(opId)).length,
  };
}

/** Follows an op through fold and cancel records to something that is really there. */
class Succession {
  /** @param {Save[]} accepted @param {Map<string, Effect[]>} effectsOf @param {Map<string, string>} states @param {ClientRecord[]} records */
  constructor(accepted, effectsOf, states, records) {
    this.effectsOf = effectsOf;
    this.states = states;
    this.records = new Map(records.map((record) => [record.opId, record]));
    this.entities = new Map(accepted.map((save) => [save.opId, nameOf(save.entity, save.entityId)]));
    for (const [opId, [effect]] of effectsOf) this.entities.set(opId, nameOf(effect.entity, effect.entityId));
  }

  /** The sentence saying that `opId` was lost, or nothing. @param {string} opId @returns {string[]} */
  lossOf(opId) {
    const path = [opId];
    for (;;) {
      const last = path[path.length - 1];
      if (this.effectsOf.has(last) || DEAD.has(this.states.get(last) ?? '')) return [];
      const state = this.states.get(last);
      if (state !== undefined && !RESTING.has(state)) return []; // Still queued: not lost, but `unfinished` will say so.
      const record = this.records.get(last);
      if (record === undefined) return [`${path.join(' → ')}: no effect, no fold or cancel record, no dead letter`];
      if (record.by === null) return [`${path.join(' → ')}: ${record.kind}, but the record names no successor`];
      if (path.includes(record.by)) return [`${path.join(' → ')} → ${record.by}: the records name each other and nothing was sent`];
      const other = this.entities.get(record.by);
      if (other !== undefined && other !== this.entities.get(opId)) {
        return [`${path.join(' → ')} → ${record.by}: folded into an op of another entity, ${other}`];
      }
      path.push(record.by);
    }
  }
}

/** @param {Map<string, Effect[]>} effectsOf */
function repeatedOps(effectsOf) {
  return [...effectsOf].flatMap(([opId, effects]) => effects.slice(1).map(
    (effect) => `${opId}: a second effect on ${nameOf(effect.entity, effect.entityId)}, number ${effect.seq} in the effect log`));
}

/**
 * An effect of an op that was never accepted is allowed only where a kill cut a save off, once for each such save.
 * @param {Save[]} saves @param {Map<string, Effect[]>} effectsOf
 */
function unacceptedOps(saves, effectsOf) {
  const known = new Set(saves.map((save) => save.opId));
  const cutOff = countBy(saves.filter((save) => save.opId === null), (save) => nameOf(save.entity, save.entityId));
  const findings = [];
  for (const [opId, [effect]] of effectsOf) {
    if (known.has(opId)) continue;
    const name = nameOf(effect.entity, effect.entityId);
    const left = cutOff.get(name) ?? 0;
    cutOff.set(name, left - 1);
    if (left <= 0) findings.push(`${opId}: an effect on ${name} of an op that nobody accepted`);
  }
  return findings;
}

/**
 * One document of an entity applied under several op ids, although the app saved a different one with each: the op's own
 * effect went missing and another's was made again.
 * @param {Save[]} accepted @param {Effect[]} effects
 */
function repeatedDocuments(accepted, effects) {
  const savedBy = new Map(accepted.map((save) => [save.opId, save.sha256]));
  const findings = [];
  const known = effects.filter((effect) => effect.content !== null && savedBy.has(effect.opId));
  for (const same of groupBy(known, (effect) => `${nameOf(effect.entity, effect.entityId)} ${effect.content}`).values()) {
    const saved = new Set([savedBy.get(same[0].opId)]);
    for (const effect of same.slice(1)) {
      const own = savedBy.get(effect.opId);
      if (!saved.has(own)) findings.push(`${effect.opId}: made the document of ${same[0].opId} on ${nameOf(effect.entity, effect.entityId)} again`);
      saved.add(own);
    }
  }
  return findings;
}

/** @param {Save[]} saves @param {Document[]} documents @param {Document[]} views */
function differences(saves, documents, views) {
  const last = new Map();
  for (const save of saves) if (save.opId !== null) last.set(nameOf(save.entity, save.entityId), save);
  const byName = (/** @type {Document[]} */ list) => new Map(list.map((document) => [nameOf(document.entity, document.entityId), document]));
  const server = byName(documents);
  const client = byName(views);
  const findings = [];
  for (const [name, save] of last) {
    const expected = save.action === 'delete' ? null : save.sha256;
    if (hashOf(server.get(name)) !== expected) findings.push(`${name}: the server's document is not version ${save.n}, the last accepted`);
    if (hashOf(client.get(name)) !== expected) findings.push(`${name}: the client shows another document than version ${save.n}, the last accepted`);
  }
  const tried = new Set(saves.map((save) => nameOf(save.entity, save.entityId)));
  for (const name of server.keys()) if (!tried.has(name)) findings.push(`${name}: the server has an entity that was never saved`);
  return findings;
}

/** @param {Document | undefined} document @returns {string | null} */
function hashOf(document) {
  return document === undefined || document.deleted || document.text === null ? null : documentHash(document.text);
}

/** @param {ClientOp[]} ops */
function unfinished(ops) {
  return ops.filter((op) => !RESTING.has(op.state)).map((op) => `${op.id}: still ${op.state}`);
}

/** @param {Save[]} accepted @param {Effect[]} effects */
function misordered(accepted, effects) {
  const places = new Map(accepted.map((save, place) => [save.opId, place]));
  const reached = new Map();
  const findings = [];
  for (const effect of effects) {
    const place = places.get(effect.opId);
    if (place === undefined) continue;
    const name = nameOf(effect.entity, effect.entityId);
    if (place < (reached.get(name) ?? -1)) findings.push(`${effect.opId}: took effect on ${name} after a later op`);
    reached.set(name, Math.max(place, reached.get(name) ?? -1));
  }
  return findings;
}

/** @template T @param {T[]} items @param {(item: T) => string} key @returns {Map<string, T[]>} */
function groupBy(items, key) {
  const groups = new Map();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group === undefined) groups.set(key(item), [item]);
    else group.push(item);
  }
  return groups;
}

/** @template T @param {T[]} items @param {(item: T) => string} key @returns {Map<string, number>} */
function countBy(items, key) {
  return new Map([...groupBy(items, key)].map(([name, group]) => [name, group.length]));
}

/**
 * The acceptance log. Its last line may be torn by a kill and then counts for nothing; any other line that cannot be read is
 * an error, because a checker that skips evidence proves nothing.
 * @param {string} file
 * @returns {Save[]} in the order of acceptance
 */
export function readAcceptanceLog(file) {
  const saves = [];
  /** @type {any} the save begun last and not yet accepted */
  let open = null;
  for (const line of jsonLines(file)) {
    if (line.saving !== undefined) {
      if (open !== null) saves.push({ ...open, opId: null });
      const { saving, ...rest } = line;
      open = { n: saving, ...rest };
    } else {
      const { accepted, ...rest } = line;
      saves.push({ n: accepted, ...rest });
      open = null;
    }
  }
  if (open !== null) saves.push({ ...open, opId: null });
  return saves;
}

/**
 * The server's side, from its SQLite file (docs/server.md describes the tables). The server must have ended.
 * @param {string} file
 * @returns {{effects: Effect[], documents: Document[]}}
 */
export function readServer(file) {
  const [effects, documents] = query(file, [
    'SELECT n, op_id, entity, entity_id, action, sha256 FROM effects ORDER BY n',
    'SELECT entity, entity_id, deleted, body FROM documents ORDER BY entity, entity_id',
  ]);
  return {
    effects: effects.map((row) => ({
      seq: row.n, opId: row.op_id, entity: row.entity, entityId: row.entity_id, action: row.action, content: row.sha256,
    })),
    documents: documents.map((row) => ({
      entity: row.entity, entityId: row.entity_id, deleted: row.deleted !== 0, text: textOf(row.body),
    })),
  };
}

/**
 * The client's side: what its public calls showed (one {"op"} or {"record"} a line), and the documents the app would see, as
 * the bytes in its SQLite file, because public calls hand out parsed numbers.
 * @param {{dump: string, database: string}} files
 * @returns {Client & {conflicts: number}}  conflicts: how many the client noted
 */
export function readClient({ dump, database }) {
  const lines = jsonLines(dump);
  const [documents] = query(database, ['SELECT value, bytes FROM docs ORDER BY key']);
  return {
    ops: lines.flatMap(({ op }) => (op ? [{ id: op.id, state: op.state }] : [])),
    records: lines.flatMap(({ record }) => (SUCCESSIONS.has(record?.kind) ? [recordOf(record)] : [])),
    conflicts: lines.filter(({ record }) => record?.kind === 'conflict').length,
    documents: documents.map(({ value, bytes }) => {
      const { entity, entityId, deleted } = JSON.parse(value);
      return { entity, entityId, deleted, text: textOf(bytes) };
    }),
  };
}

/** Kinds of records that end an op because of another op. */
const SUCCESSIONS = new Set(['folded', 'cancelled']);

/** @param {{kind: string, opId: string, into?: string, by?: string}} record @returns {ClientRecord} */
function recordOf({ kind, opId, into, by }) {
  return { opId, kind, by: into ?? by ?? null };
}

/** @param {string} file @param {string[]} statements @returns {any[][]} */
function query(file, statements) {
  // The driver creates a file that is not there, and writes where it is told not to.
  if (!existsSync(file)) throw new Error(`${file}: no such database`);
  const database = new Database(file);
  try {
    database.exec('PRAGMA query_only = ON');
    return statements.map((statement) => database.prepare(statement).all());
  } finally {
    database.close();
  }
}

/** A document's bytes as text; null where there are none. @param {any} bytes */
function textOf(bytes) {
  return bytes === null ? null : new TextDecoder('utf-8', { fatal: true }).decode(bytes);
}

/** @param {string} file */
function jsonLines(file) {
  const lines = readFileSync(file, 'utf8').split('\n');
  lines.pop(); // What follows the last line end: nothing, or a line torn by a kill.
  return lines.map((line, index) => {
    try {
      return JSON.parse(line);
    } catch {
      throw new Error(`${file}:${index + 1}: not JSON: ${line.slice(0, 80)}`);
    }
  });
}
