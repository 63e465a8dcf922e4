// The calls of the client, the same in page, worker and Node: writing goes through the store at once, everything else is asked of whoever drains.
import { TidegateError, closedError } from './errors.js';
import { subscribe } from './listeners.js';
import { eraseOwner, finishErasure, writeOwnerData } from './owner-data.js';
import {
  buildRow, checkEntity, checkEntityId, checkOwner, fieldsOfRules, kDefaultOpBytes, kMaxAtomicOps, kMaxOpBytes, kMaxQueuedBytes, kMaxQueuedOps,
  kPriorities, kTaskEntity, laneOf, lanePrefix, oneOf, quote, stepsOf,
} from './accept.js';
import { checkSchemaVersion } from './schema-version.js';
import { readQueue, writeQueue } from './queue-file.js';
import { answerManagement } from './management.js';
import { Appender } from './append.js';
import { ticketOf } from './account.js';
import { kListLimit } from './store-rules.js';
import { isOf, opsOf, pagesOf } from './paging.js';
import { backgroundOf } from './background.js';
import { kNoCore, statusWithoutCore } from './platform.js';

/** @import { Client, ClientOptions, Listener, Op, Priority, SaveItem, SaveOptions, Status } from './index.d.ts' */
/** @import { Account } from './account.js' */
/** @import { Clock } from './clock.js' */
/** @import { Locks } from './locks.js' */
/** @import { Random } from './random.js' */
/** @import { AcceptItem, NewRow, Store } from './store-contract.d.ts' */
/** @import { CommandIn, EventIn, OpRow } from '../wasm/protocol.js' */

const kImportAtOnce = 200;
const kOpsPage = 100;
const kDirections = ['push', 'pull', 'both'];
const kOperations = ['delta', 'full'];
const kTriggers = ['periodic', 'connectivity', 'data-change', 'manual', 'push', 'start'];
/** The core remembers the ids of the ops of this many commits (kMaxLeftRecords). */
const kLeftRecords = 500;
/** The default, and the ceiling where it is another. */
const kLimits = { maxOpBytes: [kDefaultOpBytes, kMaxOpBytes], maxQueuedOps: [kMaxQueuedOps], maxQueuedBytes: [kMaxQueuedBytes] };

/**
 * @typedef {{event?: EventIn, commands?: CommandIn[]}} Request
 * @typedef {(request: Request, until: 'answers' | 'end') => Promise<any>} Ask  answers of the commands, or how the drain ended
 *
 * @typedef {object} CallDeps
 * @property {Store} store
 * @property {Clock} clock
 * @property {Random} random
 * @property {Account} account
 * @property {Locks} locks
 * @property {Ask} ask
 * @property {(documents: {entity: string, entityId: string, deleted?: true}[]) => void} accepted  something new is in the store
 * @property {() => Record<string, boolean>} supported
 * @property {import('./marker.js').Marker} marker
 * @property {Set<Listener>} listeners
 * @property {import('./transport.js').Reach} reach
 * @property {import('./task-runs.js').Tasks} tasks  those that this realm executes, where it drains
 * @property {() => Promise<void>} close  ends everything behind the calls
 */

/** @param {ClientOptions} options @param {CallDeps} deps @returns {Promise<Client>} */
export async function createCalls(options, deps) {
  const { store, clock, random, ask, account, locks, accepted, supported, listeners, marker, tasks } = deps;
  const { owner = '', schemaVersion = 0, fields = {}, uploads } = options;
  checkOwner(owner, '/owner');
  checkSchemaVersion(options.schemaVersion, '/schemaVersion');
  const limits = readLimits(options);
  const queueLimits = { maxOps: limits.maxQueuedOps, maxBytes: limits.maxQueuedBytes };
  const appender = new Appender(store, queueLimits);
  /** @param {import('./store-contract.d.ts').AcceptItem[]} items */
  const accept = (items) => (uploads ? uploads.keeping(store, items, queueLimits, (kept) => appender.append(kept)) : appender.append(items));
  const stop = new AbortController();
  const erasing = { store, locks, clock, random, signal: stop.signal };
  await marker.check();
  await finishErasure(erasing);
  uploads?.tidy(store, clock.now()).catch(() => {});   // again at the next start
  let ruleFields = fieldsOfRules(await store.get('state', 'rules'));
  let closed = false;
  const context = {
    owner, schemaVersion, clock, random, maxOpBytes: limits.maxOpBytes, maxUploadBytes: uploads?.maxBytes,
    fieldNames: (/** @type {string} */ entity) => [...new Set([...(fields[entity] ?? []), ...ruleFields])],
  };

  /** What the core cannot know of a status, and what can be said without it. @param {string} [reason] */
  const realm = async (reason) => ({ ...(reason && await statusWithoutCore(reason, store)), supported: supported(), storage: marker.loss });

  /** One command and what it answers. @param {CommandIn} command @param {EventIn} [event] */
  const command = async (command, event) => {
    if (closed) throw closedError();
    const [answer] = await ask({ event, commands: [command] }, 'answers');
    if (answer?.error) throw refusal(answer.error);
    return answer?.value;
  };

  /** One command about an op of this owner. @param {string} type @param {string} id @param {Priority} [priority] */
  const commandOf = async (type, id, priority) => {
    const row = typeof id === 'string' ? await store.rowById(id) : undefined;
    if (!row || !isOf(row, owner)) throw new TidegateError('unknown-op', '/id', `no op ${quote(id)} is in the outbox`);
    return command({ type, id, ...(priority !== undefined && { priority }) });
  };

  /** Asks, and waits for the end of the drain. @param {Request} request */
  const askToTheEnd = async (request) => {
    if (closed) throw closedError();
    const { answers, ...end } = await ask(request, 'end');
    if (!end.ok) throw end.error;
    if (answers?.[0]?.error) throw refusal(answers[0].error);
    return end;
  };

  /** @param {import('./store-contract.d.ts').AcceptItem[]} items */
  const announce = (items) => {
    marker.note();
    accepted(items.map(({ row: { entity, entityId, action } }) => ({ entity, entityId, ...(action === 'delete' && { deleted: /** @type {const} */ (true) }) })));
  };

  /** @param {SaveItem[]} items @param {string} path @param {string} [group] */
  const append = async (items, path, group) => {
    if (closed) throw closedError();
    if (group && (await store.get('state', 'settings'))?.mode === 'rest')   // one request for each op: it would wait for ever
      throw new TidegateError('out-of-range', '/atomic', 'atomic: expected false while the setting mode is "rest", got true');
    const rows = [];
    for (const [i, item] of items.entries()) rows.push(await buildRow(item, context, path && `${path}/${i}`, group));
    for (const [i, { row }] of rows.entries())
      if (row.dependsOn) await checkParents(store, row, rows.slice(0, i), path && `${path}/${i}`);
    const seqs = await accept(rows);
    announce(rows);
    return rows.map(({ row }, i) => ({ id: row.id, entityId: row.entityId, seq: seqs[i] }));
  };

  /** @param {string} entity @param {string} entityId */
  const laneFor = (entity, entityId) => {
    account.mustBeHere();
    checkEntity(entity, '/entity');
    checkEntityId(entityId, '/entityId');
    return laneOf(owner, entity, entityId);
  };

  /** Asks for a drain, and waits until that is taken. @param {import('./index.d.ts').SyncOptions | undefined} options @param {EventIn} event @param {string} [type] */
  const flush = async (options, event, type = 'flush') => {
    checkSync(options);
    account.mustBeHere();
    await command({ type, value: { ...options, owner } }, event);
  };

  /** @param {Record<string, unknown>} [options] */
  const sync = async (options) => {
    checkSync(options);
    account.mustBeHere();
    const { session, reject, wakeAtMs } = await askToTheEnd({ event: { type: 'manual', trigger: 'manual' }, commands: [{ type: 'flush', value: { ...options, owner } }] });
    return { ...session, reject, wakeAtMs };
  };

  /** @type {Client} */
  const client = {
    save: async (entity, entityId, doc, options = {}) =>
      (await append([{ ...options, entity, entityId: entityId ?? undefined, doc }], ''))[0],

    saveAll: async (items, { atomic = false } = {}) => {
      if (!Array.isArray(items)) throw new TidegateError('wrong-type', '/items', `items: expected an array, got ${quote(items)}`);
      if (atomic && items.length > kMaxAtomicOps)
        throw new TidegateError('limit', '/items', `items: expected at most ${kMaxAtomicOps} in an atomic group, got ${items.length}`);
      return items.length === 0 ? [] : append(items, '/items', atomic ? random.uuid(clock.now()) : '');
    },

    delete: async (entity, entityId, options = {}) => (await append([{ ...options, entity, entityId, action: 'delete' }], ''))[0],

    get: async (entity, entityId) => {
      const lane = laneFor(entity, entityId);
      // Perhaps the id that the server gave it.
      const doc = await store.get('docs', lane) ?? await store.get('docs', (await store.get('bases', lane))?.alias ?? lane);
      return shownDoc(doc)?.doc ?? uploads?.shown(store, doc);
    },

    list: async (entity, { after, limit } = {}) => {
      account.mustBeHere();
      checkEntity(entity, '/entity');
      const prefix = lanePrefix(owner, entity);
      const found = await store.list('docs', { prefix, after: after === undefined ? undefined : laneFor(entity, after), limit });
      const listed = await Promise.all(found.map(({ value }) => shownDoc(value) ?? waiting(store, value)));
      return listed.flatMap((one) => one ?? []);
    },

    exportQueue: async () => {
      account.mustBeHere();
      return writeQueue(store, owner, clock.now());
    },
    importQueue: async (file) => {
      if (closed) throw closedError();
      const items = await readQueue(store, owner, file, uploads !== undefined);
      for (let at = 0; at < items.length; at += kImportAtOnce) await accept(items.slice(at, at + kImportAtOnce));
      if (items.length > 0) announce(items);
      return { imported: items.length };
    },

    exportData: async (of = owner) => {
      account.mustBeHere();
      if (of !== owner) throw new TidegateError('out-of-range', '/owner', `owner: expected that of this client (${quote(owner)}), got ${quote(of)}`);
      return writeOwnerData(store, owner, clock.now());
    },
    erase: async (of = owner) => {
      if (closed) throw closedError();
      checkOwner(of, '/owner');
      // Where no core can run, the transaction that begins the erasure signs him out.
      await ask({ commands: [{ type: 'signOut', value: { owner: of, ticket: await ticketOf(store, clock) } }] }, 'end').catch(() => {});
      if (of === owner) account.is(false);
      await eraseOwner(erasing, of);
      marker.note();
    },
    signIn: async () => {
      await command(account.command('signIn', await ticketOf(store, clock)));
      account.is(true);
    },
    signOut: async () => {
      await askToTheEnd({ commands: [account.command('signOut', await ticketOf(store, clock))] });
      account.is(false);
    },

    ops: async ({ state, limit = kOpsPage, after = 0 } = {}) => {
      account.mustBeHere();
      return listOps(store, owner, state, limit, after);
    },
    op: async (id) => {
      account.mustBeHere();
      const row = await store.rowById(id);
      return (await shownOps(store, row && isOf(row, owner) ? [row] : []))[0];
    },
    history: async (options = {}) => {
      account.mustBeHere();
      return listHistory(store, owner, options);
    },

    cancel: (id) => commandOf('cancel', id),
    retry: (id) => commandOf('retry', id),
    restore: async (key) => {
      const entry = await store.get('history', key);
      if (entry?.kind !== 'conflict' || entry.owner !== owner) throw new TidegateError('unknown-conflict', '/key', `key: expected that of a conflict in the audit trail, got ${quote(key)}`);
      const { entity, entityId, clashes } = entry;
      let doc = shownDoc(await store.get('docs', laneFor(entity, entityId)))?.doc;
      for (const { path, ours, theirs, winner } of clashes) doc = withValue(doc, stepsOf(path), winner === 'ours' ? theirs : ours);
      return (await append([{ entity, entityId, doc }], ''))[0];
    },
    drop: (id) => commandOf('drop', id),
    setPriority: (id, priority) => commandOf('setPriority', id, priority),
    explain: (id) => commandOf('explain', id),
    preview: async (options = {}) => {
      account.mustBeHere();
      return command({ type: 'preview', value: options });
    },
    isSyncRecommended: (weight) => command({ type: 'isSyncRecommended', value: weight }),
    start: (options) => flush(options, { type: 'manual', trigger: 'manual' }),
    scheduleSync: async (options = {}, trigger = 'data-change', priority = 'low') => {
      oneOf(trigger, kTriggers, '/trigger');
      oneOf(priority, kPriorities, '/priority');
      await flush({ minPriority: priority, ...options }, { type: 'message', trigger }, 'schedule');
    },
    cancelSync: async (sessionId = '') => command({ type: 'cancelSync', session: String(sessionId) }),
    pause: () => command({ type: 'pause' }),
    resume: () => command({ type: 'resume' }),

    sync,
    pull: (options) => sync({ ...options, direction: 'pull' }),

    status: async () => {
      account.mustBeHere();
      const value = await command({ type: 'status' }).catch(async (error) => {
        if (error.code === kNoCore) error.status = await realm(error.message);
        throw error;
      });
      return { ...value, ...(await realm()) };
    },
    metrics: async () => {
      account.mustBeHere();
      return command({ type: 'metrics' });
    },
    settings: (changes) => command({ type: 'settings', value: changes }),
    rules: () => command({ type: 'rules' }),
    setRules: async (rules) => {
      await command({ type: 'rules', value: rules });
      ruleFields = fieldsOfRules(rules);
    },

    manage: async (name, init) => {
      if (closed) throw closedError();
      return answerManagement(name, new Request(`https://tidegate.invalid/${encodeURIComponent(name)}`, init), ask, deps.reach, realm);
    },
    connectivityTest: async () => (await client.manage('connectivity-test', { method: 'POST' })).json(),

    registerTask: (task) => tasks.register(task),
    runTask: async (taskId, input = null, { priority, dependsOn, expiresAt } = {}) =>
      (await append([{ entity: kTaskEntity, entityId: taskId, action: 'create', doc: input, priority, dependsOn, expiresAt }], ''))[0],

    subscribe: (listener) => subscribe(listeners, listener),
    isSupported: supported,

    close: async () => {
      if (closed) return;
      closed = true;
      stop.abort();
      listeners.clear();
      await appender.close();
      await marker.close();
      await deps.close();
      await store.close();
    },
    get background() { return backgroundOf(client); },
  };
  return client;
}

/** @param {any} [options] */
function checkSync(options = {}) {
  if (options === null || typeof options !== 'object') throw new TidegateError('wrong-type', '/options', `options: expected an object, got ${quote(options)}`);
  const { direction, operation, minPriority } = options;
  if (direction !== undefined) oneOf(direction, kDirections, '/direction');
  if (operation !== undefined) oneOf(operation, kOperations, '/operation');
  if (minPriority !== undefined) oneOf(minPriority, kPriorities, '/minPriority');
}

/** @param {{code: string, path?: string, message: string}} error */
const refusal = ({ code, path = '', message }) => new TidegateError(code, path, message);

/**
 * Refuses a dependency on an op that never was: neither is it waiting, nor among those that left, nor older than what is remembered of these. Likewise a ref to an
 * entity that is not there; one that stands under the id that the server gave it needs no ref any more.
 * @param {Store} store @param {NewRow} row @param {AcceptItem[]} before  those that are saved with it, before it @param {string} path
 */
async function checkParents(store, row, before, path) {
  for (const [pointer, lane] of Object.entries(row.refs ?? {})) {
    const shown = await store.get('docs', lane);
    if (shown && !shown.deleted) continue;
    if (!row.group && before.some(({ row: { lane: saved, action } }) => saved === lane && action !== 'delete')) continue;
    if (!(await store.get('bases', lane))?.alias)
      throw new TidegateError('orphan', `${path}/refs`, `${path}/refs: expected at ${pointer} the id of an entity that was saved before${row.group ? ', and not in this atomic group' : ''}, got ${quote(decodeURIComponent(lane.split('/')[1]))}`);
    row.dependsOn = row.dependsOn?.filter((name) => name !== lane);
    delete row.refs?.[pointer];
  }
  const lanes = Object.values(row.refs ?? {});
  for (const [i, id] of (row.dependsOn ?? []).entries()) {
    if (lanes.includes(id) || await store.rowById(id)) continue;
    const left = await store.list('history', { prefix: 'left/', limit: kLeftRecords });
    if (left.some(({ value }) => value.ids.includes(id))) continue;
    const acceptedMs = parseInt(id.replace('-', '').slice(0, 12), 16);   // UUIDv7 begins with its time
    if (left.length === kLeftRecords && acceptedMs < left[0].value.at) continue;
    throw new TidegateError('orphan', `${path}/dependsOn/${i}`, `${path}/dependsOn/${i}: expected the id of an operation that was saved before, got ${quote(id)}`);
  }
}

/**
 * A document with the value at a JSON Pointer replaced; `text` is JSON, or null to take it out.
 * @param {any} doc @param {string[]} steps @param {string | null} text @returns {any}
 */
function withValue(doc, [name, ...rest], text) {
  if (name === undefined) return text === null ? doc : JSON.parse(text);
  const copy = Array.isArray(doc) ? [...doc] : { ...doc };
  const at = Array.isArray(copy) && name === '-' ? copy.length : name;
  if (rest.length > 0 || text !== null) copy[at] = withValue(copy[at], rest, text);
  else if (Array.isArray(copy)) copy.splice(Number(at), 1);
  else delete copy[at];
  return copy;
}

/** Limits a caller may lower, or raise up to the ceiling. @param {any} options */
function readLimits(options) {
  return Object.fromEntries(Object.entries(kLimits).map(([name, [limit, ceiling = limit]]) => {
    const { [name]: value = limit } = options;
    if (!Number.isInteger(value) || value < 1 || value > ceiling)
      throw new TidegateError('out-of-range', `/${name}`, `${name}: expected a whole number from 1 to ${ceiling}, got ${quote(value)}`);
    return [name, value];
  }));
}

/** What an app sees of a document: JSON parsed, anything else as a Blob; nothing where it is deleted. @param {any} doc */
function shownDoc(doc) {
  if (!doc || doc.deleted || !doc.bytes) return undefined;
  const { entity, entityId, contentType, opId, seq, bytes } = doc;
  const json = contentType === '' || contentType === undefined || contentType === 'application/json';
  const content = json ? JSON.parse(new TextDecoder().decode(bytes)) : new Blob([bytes], { type: contentType });
  return { entity, entityId, contentType: json ? 'application/json' : contentType, opId, seq, doc: content };
}

/**
 * Of a large blob that the server does not have yet all but its bytes, which only get() puts together.
 * @param {Store} store @param {any} doc @returns {Promise<import('./index.d.ts').Listed | undefined>}
 */
async function waiting(store, { entity, entityId, contentType, deleted, opId, seq }) {
  const row = deleted || !opId ? undefined : await store.rowById(opId);
  return row?.upload ? { entity, entityId, contentType, opId, seq, doc: undefined, sizeBytes: row.sizeBytes } : undefined;
}

/** Ops as they are shown; of a row that the core could not read it has said what it is. @param {Store} store @param {OpRow[]} rows @returns {Promise<Op[]>} */
async function shownOps(store, rows) {
  const { unread } = (await store.get('state', 'core')) ?? {};
  return rows.map((row) => shownOp({ ...row, ...unread?.[row.seq] }));
}

/** An op as it is shown (docs/guide-service-worker.md). @param {OpRow} row @returns {Op} */
function shownOp(row) {
  const { id, seq, entity, entityId, action, priority, createdAt, attempts = 0, sizeBytes = 0, state = 'queued' } = row;
  /** @type {Op} */
  const op = {
    id, seq, entity, entityId, action, priority: priority ?? 'normal', score: row.score, state, localVersion: seq, createdAt, attempts, sizeBytes,
  };
  if (row.untilMs) op.nextAttempt = row.untilMs;
  if (row.upload) op.sentBytes = parseInt(row.upload) || 0;   // "new", or it begins with them (uploads.js)
  const told = /** @type {any} */ (row);
  for (const key of ['reason', 'lastAttempt', 'error', 'unreadable']) if (told[key]) /** @type {any} */ (op)[key] = told[key];
  return op;
}

/** Records without a name are nobody's in particular. @param {Store} store @param {string} owner @param {{prefix?: string, after?: string, limit?: number}} options */
async function listHistory(store, owner, { prefix, after, limit = kListLimit }) {
  const found = [];
  for await (const page of pagesOf(store, 'history', { prefix, after, limit }))
    for (const record of page) {
      const { owner: whose = owner } = record.value;
      if (whose === owner && found.push(record) === limit) return found;
    }
  return found;
}

/** @param {Store} store @param {string} owner @param {string | undefined} state @param {number} limit @param {number} after */
async function listOps(store, owner, state, limit, after) {
  const found = [];
  for await (const rows of opsOf(store, owner, after))
    for (const op of await shownOps(store, rows)) if (op.state === (state ?? op.state) && found.push(op) === limit) return found;
  return found;
}
