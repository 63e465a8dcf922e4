// What must hold, looked at from outside: the database, the requests, the server, and what everybody is told. The numbers are those of docs/simulator.md.
import { legible, nextKey, parked, record, records, rows, textOf } from './disk.js';

/** In every document and in every token: nothing that is told may hold it. */
export const kCanary = 'canary-7f3a';
const kSlackMs = 2;
/** What the body of an answer may take after the request was given up, and how far apart looks are. */
const kOverdueMs = 1_000;

/**
 * @typedef {import('./realm.js').Realm} Realm
 * @typedef {{id: string, seq: number, lane: string, owner: string, name: string, effects: number, end: string, askedCancel?: boolean, askedRetry?: boolean}} Known
 */

export class Check {
  /** @type {Map<string, Known>} by id: what was accepted, and what the store holds although its caller never heard of it */
  ops = new Map();
  /** @type {Map<number, Known>} */
  #bySeq = new Map();
  /** @type {Set<string>} ids whose caller was told that they are stored */
  accepted = new Set();
  /** @type {Map<string, string>} key → what was sent under it */
  #bodies = new Map();
  /** @type {Set<{realm: Realm, token: number, effect: any, lanes: Set<string>, atMs: number}>} requests under way */
  #flying = new Set();
  /** @type {Map<number, number>} token → the time that a server asked for, as its core was told */
  #told = new Map();
  #storedUntilMs = 0;
  paused = false;

  /** @param {import('./history.js').History} history */
  constructor(history) {
    this.history = history;
    this.world = history.world;
  }

  /** @param {number} invariant @param {string} text */
  fail(invariant, text) { this.world.fail(invariant, text); }

  /** Nothing that was saved can be read in a database that is sealed. */
  #sealed() {
    const found = legible();
    if (found) this.fail(22, `the database is sealed, and ${found}`);
  }

  /** Everything that is in the outbox is known from then on. */
  know() {
    this.#sealed();
    for (const { id, seq, lane, owner = '', entity, entityId } of rows()) {
      if (this.ops.has(id)) continue;
      const op = { id, seq, lane, owner, name: `${entity}/${entityId}`, effects: 0, end: '' };
      this.ops.set(id, op);
      this.#bySeq.set(seq, op);
      this.world.counts.accepted += 1;
    }
  }

  /** A save resolved: it is stored, at this very moment. @param {{id: string, seq: number}[]} saved */
  saved(saved) {
    this.know();
    for (const { id } of saved) {
      this.accepted.add(id);
      if (!this.ops.has(id)) this.fail(1, `op ${id} was accepted and is not in the outbox`);
    }
  }

  // --- commits -----------------------------------------------------------------------------------------------------------------

  /** @param {any} commit @returns {Map<number, {row: any, next: string | undefined}>} the rows it writes, as they are before it */
  beforeCommit({ writes }) {
    this.know();
    const before = new Map();
    for (const { store, key } of writes) if (store === 'ops') before.set(key, { row: record('ops', key), next: textOf(record('payloads', nextKey(key))) });
    return before;
  }

  /** @param {Realm} realm @param {any} commit @param {any} seen @param {string} result */
  afterCommit(realm, { token, writes }, before, result) {
    const { counts } = this.world;
    counts.commits += 1;
    if (result === 'fenced') counts.fenced += 1;
    if (result === 'stale') counts.stale += 1;
    if (result !== 'ok') return;
    if (record('state', 'lease')?.token !== token) this.fail(11, `a commit under token ${token} was stored, the lease has ${record('state', 'lease')?.token}`);
    this.#sealed();
    this.#storedUntilMs = Math.max(this.#storedUntilMs, this.#told.get(token) ?? 0);
    const audit = new Map(writes.filter((/** @type {any} */ { store, value }) => store === 'history' && value?.opId).map((/** @type {any} */ { value }) => [value.opId, value]));
    const based = new Set(writes.filter((/** @type {any} */ { store }) => store === 'bases').map((/** @type {any} */ { key }) => key));
    const lanes = new Set(based);
    counts.conflicts += [...audit.values()].filter(({ kind }) => kind === 'conflict').length;
    for (const { store, key, remove } of writes) {
      if (store === 'docs') lanes.add(key);
      if (store !== 'ops') continue;
      const op = this.#bySeq.get(key);
      const { row, next } = before.get(key);
      if (op) lanes.add(op.lane);
      if (remove && op && row) this.#left(op, row, next, audit.get(op.id), based);
      else if (!remove) this.#rewritten(op, row, record('ops', key));
    }
    for (const lane of based) this.#base(lane);
    for (const lane of lanes) this.#view(lane);
    this.#counted();
  }

  /** An op leaves by an outcome, or by a record that says why. @param {Known} op @param {any} row @param {string | undefined} next @param {any} why @param {Set<string>} based */
  #left(op, row, next, why, based) {
    const kind = why && why.kind !== 'conflict' ? why.kind : '';
    op.end = kind || 'done';
    if (kind === 'folded') {
      if (row.sends > 0) this.fail(1, `op ${op.id} was folded although it was sent`);
      if (!rows().some(({ id }) => id === why.into)) this.fail(1, `op ${op.id} was folded into an op that is not there`);
    } else if (kind === 'cancelled') {
      if (why.by === 'user' && !op.askedCancel) this.fail(1, `op ${op.id} was cancelled by a user who did not ask`);
      if (op.effects > 0) this.fail(4, `op ${op.id} was given up (${why.by}) although the server applied it`);
    } else if (kind === 'expired') {
      if (op.effects > 0) this.fail(4, `op ${op.id} expired although the server applied it`);
    } else if (kind === 'done') {
      const there = this.#versions(op.name).some(({ body }) => body && next !== undefined && same(body.toString(), next));
      if (!there && !based.has(op.lane)) this.fail(3, `op ${op.id} counts as done, and the server never had its document`);
    } else {
      const versions = this.#versions(op.name);
      const gone = row.action === 'delete' && (versions.length === 0 || versions.some(({ deleted }) => deleted));
      if (op.effects === 0 && !gone) this.fail(3, `op ${op.id} counts as done, and the server has no effect of it`);
      if (!based.has(op.lane)) this.fail(1, `op ${op.id} left the outbox without a record and without its new base`);
    }
  }

  /** @param {Known | undefined} op @param {any} before @param {any} row */
  #rewritten(op, before, row) {
    if (!op || !before) return this.fail(1, `a row was written for op ${row?.id ?? row?.seq}, which has ended`);
    if (row.id !== op.id || row.lane !== op.lane) this.fail(1, `the row of op ${op.id} names another op`);
    if ((row.sends ?? 0) < (before.sends ?? 0)) this.fail(8, `op ${op.id} was sent more often than its row says`);
    if ((row.attempts ?? 0) < (before.attempts ?? 0) && !op.askedRetry) this.fail(8, `the attempts of op ${op.id} went back`);
    if (parked(row) && !parked(before) && op.effects > 0 && !row.reason?.includes('no answer')) this.fail(4, `op ${op.id} was parked (${row.reason}) although the server applied it`);
  }

  /** @param {string} name */
  #versions(name) { return this.history.server.versions.get(name) ?? []; }

  /** A base is a version that the server has, byte for byte as JSON. @param {string} lane */
  #base(lane) {
    const base = record('bases', lane);
    if (!base || base.deleted) return;
    const version = this.#versions(nameOf(lane)).find(({ etag }) => etag === base.etag);
    if (!version) return this.fail(17, `the base of ${lane} is version ${base.etag}, which the server never had`);
    const text = textOf(base);
    if (text === undefined || version.body === null || [...this.ops.values()].some((op) => op.lane === lane && op.askedRetry)) return;
    if (!same(text, version.body.toString())) this.fail(17, `the base of ${lane} at ${base.etag} is not what the server has: ${text.slice(0, 200)} instead of ${version.body.toString().slice(0, 200)}`);
  }

  /** View = base ⊕ pending: what the app sees is the newest pending document, or the base when nothing is pending. @param {string} lane */
  #view(lane) {
    const pending = rows().filter((row) => row.lane === lane);
    if (pending.some((row) => parked(row) || row.undo)) return;
    const last = pending.at(-1);
    const doc = record('docs', lane);
    const shown = doc && !doc.deleted ? textOf(doc) : undefined;
    const under = last ? record('payloads', nextKey(last.seq)) : record('bases', lane);
    const deleted = last ? last.action === 'delete' : under?.deleted;
    if (last && !deleted && under === undefined) return this.fail(1, `op ${last.id} lost its payload`);
    if (deleted || under === undefined) return shown !== undefined && (last || under) ? this.fail(18, `${lane} is shown although it is deleted`) : undefined;
    const text = textOf(under);
    if (text === undefined) return;
    if (shown === undefined) return this.fail(18, `${lane} is not shown although it exists`);
    if (!same(shown, text)) this.fail(18, `${lane} shows ${shown.slice(0, 200)} instead of ${text.slice(0, 200)}`);
  }

  /** What the store says it holds is what it holds: the mark outside of the database is compared with it. */
  #counted() {
    const totals = record('state', 'totals');
    const all = rows();
    if (totals && (totals.ops !== all.length || (all.length === 0 && totals.bytes !== 0))) this.fail(13, `the store says that it holds ${totals.ops} ops (${totals.bytes} bytes), it has ${all.length}`);
  }

  // --- requests ----------------------------------------------------------------------------------------------------------------

  /** An answer came: what it asks for counts from when the core hears of it. @param {Realm} realm @param {number} id @param {Response} response */
  answered(realm, id, { status, headers }) {
    const seconds = headers.get('retry-after');
    if ((status === 429 || status === 503) && seconds) realm.asked.set(id, Number(seconds));
  }

  /** What a core hears. @param {Realm} realm @param {any} input */
  heard(realm, { outcomes = [], nowMs, readings }) {
    realm.readings = readings;
    for (const { id } of outcomes) {
      const seconds = realm.asked.get(id);
      realm.asked.delete(id);
      if (seconds) this.#told.set(realm.token, Math.max(this.#told.get(realm.token) ?? 0, nowMs + 1000 * seconds));
    }
  }

  /** @param {Realm} realm @param {any} effect @param {Uint8Array | undefined} body */
  sent(realm, effect, body) {
    const { nowMs } = this.world;
    const lease = record('state', 'lease');
    if (lease?.token !== realm.token || lease.holder === null) this.fail(11, `a request left under token ${realm.token}, the lease has ${lease?.token} of ${lease?.holder}`);
    if (this.paused) this.fail(10, 'a request left although sync is paused');
    if (realm.readings.online === false) this.fail(10, 'a request left while the device said that it is offline');
    const until = Math.max(this.#storedUntilMs, this.#told.get(realm.token) ?? 0);
    if (nowMs + kSlackMs < until) this.fail(8, `a request left ${Math.round(until - nowMs)} ms before the time the server asked for`);
    const owner = effect.owner ?? '';
    const signedIn = record('state', 'core')?.owner;
    if (signedIn !== undefined && signedIn !== owner) this.fail(14, `a request of ${JSON.stringify(owner)} left while ${JSON.stringify(signedIn)} was signed in`);
    const ops = opsOf(effect, body);
    const seqs = new Set();
    for (const { id, key, content } of ops) {
      const op = this.ops.get(id);
      const row = op && record('ops', op.seq);
      if (!op || !row) { this.fail(1, `op ${id} was sent after it had left the outbox`); continue; }
      this.world.counts.attempts += 1;
      if (row.state !== 'sending') this.fail(15, `op ${id} was sent before the store knew that it is being sent (${row.state ?? 'queued'})`);
      if ((row.owner ?? '') !== owner) this.fail(14, `op ${id} of ${JSON.stringify(row.owner)} was sent as ${JSON.stringify(owner)}`);
      const bound = this.#bodies.get(key) ?? content;
      this.#bodies.set(key, bound);
      if (bound !== content) this.fail(2, `key ${key} was sent with two bodies: ${bound.slice(0, 150)} and ${content.slice(0, 150)}`);
      if (row.untilMs > nowMs + kSlackMs) this.fail(8, `op ${id} was sent before its wait was over`);
      for (const parent of row.dependsOn ?? []) {
        const above = rows().find((other) => other.id === parent);
        if (above && !(row.group && above.group === row.group)) this.fail(6, `op ${id} was sent before its parent ${parent} was done`);
      }
      if (rows().some((other) => other.lane === op.lane && other.seq < op.seq && !seqs.has(other.seq) && !parked(other))) this.fail(5, `op ${id} was sent before an earlier change of the same entity`);
      seqs.add(op.seq);
    }
    const lanes = new Set(ops.map(({ id }) => this.ops.get(id)?.lane ?? ''));
    for (const other of this.#flying)
      if (other.token === realm.token) for (const lane of lanes) if (other.lanes.has(lane)) this.fail(5, `two requests for ${lane} are under way`);
    this.#flying.add({ realm, token: realm.token, effect, lanes, atMs: nowMs });
  }

  /** @param {Realm} realm @param {any} effect */
  landed(realm, effect) {
    for (const one of this.#flying) if (one.realm === realm && one.effect === effect) this.#flying.delete(one);
  }

  /** @param {Realm} realm */
  gone(realm) {
    for (const one of this.#flying) if (one.realm === realm) this.#flying.delete(one);
  }

  /** A drain gives its lease back: then nothing of it is under way. @param {Realm} realm @param {number} token */
  released(realm, token) {
    for (const one of this.#flying) if (one.realm === realm && one.token === token && realm.alive) this.fail(11, `the lease was given back while a request for ${[...one.lanes]} is under way`);
  }

  /** Requests end with the time that the core gave them. */
  overdue() {
    for (const { realm, effect, atMs } of this.#flying)
      if (realm.alive && !realm.isFrozen && this.world.nowMs > atMs + effect.timeoutMs + kOverdueMs) this.fail(10, `a request has been under way for ${Math.round(this.world.nowMs - atMs)} ms, it had ${effect.timeoutMs}`);
  }

  /** The server did something. @param {any} effect */
  effect({ key, subject }) {
    const op = this.ops.get(key.split('.')[0]);
    if (!op) return;
    this.world.counts.effects += 1;
    op.effects += 1;
    if (op.effects > 1) this.fail(2, `op ${op.id} took effect twice, now under key ${key}`);
    if (op.end === 'folded') this.fail(2, `op ${op.id} took effect although it was folded`);
    if (subject !== op.owner) this.fail(14, `op ${op.id} of ${JSON.stringify(op.owner)} took effect under the credentials of ${JSON.stringify(subject)}`);
  }

  // --- what is told ------------------------------------------------------------------------------------------------------------

  /** @param {Realm} realm @param {string} type @param {any} detail */
  published(realm, type, detail) {
    if (JSON.stringify(detail ?? null).includes(kCanary)) this.fail(20, `the event ${type} carries a secret: ${JSON.stringify(detail).slice(0, 300)}`);
    if (type === 'sync.storage-lost') this.fail(13, `storage is said to be lost, and nothing was: ${JSON.stringify(detail)}`);
    if (type === 'sync.unreadable') this.fail(22, `what was sealed is said to be unreadable: ${JSON.stringify(detail)}`);
    if (type === 'sync.failed' && detail.class === 'internal' && /expected|malformed|must/.test(detail.message)) this.fail(21, `a drain ended because of somebody's input: ${detail.message}`);
    if (type === 'status') this.#status(realm, detail);
  }

  /** @param {Realm} realm @param {any} status */
  #status(realm, status) {
    if (status.state === 'completed' && status.queueSize > 0) this.fail(13, 'the status says completed with ops pending');
    realm.status = status;
    // One who was overtaken may still tell what is so; not what was so.
    if (record('state', 'lease')?.token !== realm.token) this.#compare(realm, 'others have gone on: ');
  }

  /** A drain ended well: what was told last is what the store holds of what the core was shown. @param {Realm} realm */
  idle(realm) {
    const { status } = realm;
    if (!status || !realm.alive || record('state', 'lease')?.token !== realm.token || this.world.dice.on('quota')) return;   // an end that could not be stored is one of memory until it can
    this.#compare(realm, '');
  }

  /** @param {Realm} realm @param {string} why */
  #compare({ status, knownSeq }, why) {
    const signedIn = record('state', 'core')?.owner;
    const his = rows().filter((row) => row.seq <= knownSeq && (signedIn === undefined || (row.owner ?? '') === signedIn));
    const pending = his.filter((row) => !parked(row)).length;
    if (status.queueSize !== pending || status.deadLetters !== his.length - pending)
      this.fail(13, `${why}the status says ${status.queueSize} pending and ${status.deadLetters} dead, the store has ${pending} and ${his.length - pending}`);
  }

  // --- after the faults --------------------------------------------------------------------------------------------------------

  atEnd() {
    this.know();
    for (const row of rows()) if (!this.#mayRemain(row)) return this.fail(17, `long after the faults ceased op ${row.id} is still ${row.state ?? 'queued'}: ${JSON.stringify(row).slice(0, 400)}`);
    for (const op of this.ops.values()) {
      const queued = record('ops', op.seq) !== undefined;
      if (!op.end && !queued) this.fail(1, `op ${op.id} is gone without a trace`);
      if (op.end && queued) this.fail(1, `op ${op.id} has ended and is queued`);
    }
    this.#counted();
    for (const lane of new Set([...this.ops.values()].map((op) => op.lane))) {
      this.#view(lane);
      const current = this.history.server.current(nameOf(lane));
      if (!current || rows().some((row) => row.lane === lane) || ownerOf(lane) !== this.history.lastOwner) continue;
      const base = record('bases', lane);
      if (!base && current.deleted) continue;
      if (base?.etag !== current.etag) this.fail(17, `the server has ${lane} at ${current.etag}, the client at ${base?.etag}`);
      else this.#base(lane);
    }
    for (const [key, value] of records('history')) if (value.kind !== 'conflict' && JSON.stringify(value).includes(kCanary)) this.fail(20, `history ${key} carries a document`);
  }

  /** What waits for a person, for one who is not signed in, or for such a one. @param {any} row @param {Set<string>} [seen] @returns {boolean} */
  #mayRemain(row, seen = new Set()) {
    if (seen.has(row.id)) return false;
    seen.add(row.id);
    if (parked(row) || (row.state === 'conflict' && row.reason) || (row.owner ?? '') !== this.history.lastOwner) return true;
    const others = rows().filter((other) => row.dependsOn?.includes(other.id) || (other.lane === row.lane && other.seq < row.seq && !parked(other)) || (row.group && other.group === row.group && other.id !== row.id));
    return others.some((other) => this.#mayRemain(other, seen));
  }
}

/** The ops of a request. @param {any} effect @param {Uint8Array | undefined} body */
function opsOf(effect, body) {
  const text = Buffer.from(body ?? []).toString();
  if (effect.url === 'batch') {
    const lines = text.split('\n');
    const ops = [];
    for (let at = 1; at < lines.length - 1; at++) {
      const { id, key = id, action, codec = '', body } = JSON.parse(lines[at]);
      ops.push({ id, key, content: `${action === 'delete' ? 'delete' : 'write'} ${codec} ${body ? lines[(at += 1)] : ''}` });
    }
    return ops;
  }
  const quoted = effect.headers?.['idempotency-key'];
  if (!quoted) return [];   // a read
  const key = quoted.slice(1, -1);
  return [{ id: key.split('.')[0], key, content: `REST ${effect.method} ${text}` }];
}

/** "owner:ENTITY/id" → "ENTITY/id". @param {string} lane */
const nameOf = (lane) => decodeURIComponent(lane.slice(lane.indexOf(':') + 1));
/** @param {string} lane */
const ownerOf = (lane) => decodeURIComponent(lane.slice(0, lane.indexOf(':')));

/** The same JSON value, or the same bytes. @param {string} a @param {string} b */
function same(a, b) {
  if (a === b) return true;
  try { return sorted(JSON.parse(a)) === sorted(JSON.parse(b)); } catch { return false; }
}
/** @param {any} value @returns {string} */
const sorted = (value) => (Array.isArray(value) ? `[${value.map(sorted)}]` : value !== null && typeof value === 'object'
  ? `{${Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${sorted(value[name])}`)}}` : JSON.stringify(value));
