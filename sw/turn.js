// The turn: hands the core what happened, performs what it answers, until it says that nothing is left to do. Decides nothing.
//
//     enter (lock, lease) → restore → [ rows → step → load · commit → send, notify → outcomes ]* → idle → leave
//
// Every await is a place where the process may die; what must survive was committed before the request that depends on it left. So the order
// in `#perform` is the crash rules of docs/architecture.md, and tests/js/turn.test.js kills it at every await.
import { deferred } from './deferred.js';
import { StoreError, TidegateError, closedError } from './errors.js';
import { lockWithin } from './locks.js';
import { afterMark, markOf } from './step-mark.js';
import { bytesOf, metaOf } from './store-rules.js';

/** @import { Clock } from './clock.js' */
/** @import { Random } from './random.js' */
/** @import { Locks } from './locks.js' */
/** @import { Granted, Store } from './store-contract.d.ts' */
/** @import { Transport } from './transport.js' */
/** @import { CommandIn, Effect, EventIn, Input, Plan, ReadingsIn, Status } from '../wasm/protocol.js' */
/** @import { Planner } from '../wasm/index.js' */

export const kCodeVersion = '1';
/** A holder that did not renew for this long is overtaken. */
export const kLeaseMs = 30_000;
/** How long a drain waits for another holder before it says "busy". */
const kBusyMs = 60_000;
/** How long it waits for the lock before it looks whether the holder's lease ran out. */
const kLockWaitMs = 1_000;
const kRowWindow = 200;
const kListWindow = 100;
/** A core that traps this often in one drain is left alone until something wakes us again: two, one for each halving of kRowWindow, those that convict, and some. */
const kMaxTraps = 24;
const kPoisonReason = 'the core ended abnormally at this change';

/**
 * @typedef {object} TurnDeps
 * @property {() => Promise<Planner>} createPlanner
 * @property {Store} store
 * @property {Transport} transport
 * @property {Clock} clock
 * @property {Random} random
 * @property {Locks} locks
 * @property {() => ReadingsIn} readings
 * @property {number} [schemaVersion]  of the app's documents, as its code has them now
 * @property {(event: string, detail: any) => void} publish  to every page and listener
 * @property {import('./marker.js').Marker} [marker]  in a worker: of its database
 *
 * @typedef {{event?: EventIn, commands?: CommandIn[]}} Request
 * @typedef {{ok: boolean, reject: boolean, wakeAtMs: number | null, session?: any, answers?: any[], error?: Error}} End  how a drain ended; `reject`: fire this sync event again
 * @typedef {{answers: Promise<any[]>, end: Promise<End>}} Asked
 */

/** The core ended abnormally: its instance and all it knew are gone. */
class Trap extends TidegateError {
  /** @param {any} cause */
  constructor(cause) { super('internal', '', `the core ended abnormally: ${cause?.message ?? cause}`, { cause }); }
}
/** Someone else holds the lease now. */
class Fenced extends TidegateError {
  constructor() { super('busy', '', 'another tab, worker or process is draining'); }
}

/** @typedef {import('./turns.js').Entry} Entry */
/** @typedef {{planner: Planner, token: number, knownSeq: number, outcomes: any[]}} Kept  the planner of a drain that ended well, and what to tell it next */

/** One drain: from the lease to idle. */
export class Drain {
  /** @type {Entry[]} */
  taken = [];
  /** @type {Kept | null} */
  kept = null;
  /** @type {{entry: Entry, answers: any[]}[]} answers that wait for their commit */
  #held = [];
  /** @type {any[]} outcomes for the next step, with the bodies of answers */
  #outcomes = [];
  #inFlight = 0;
  #traps = 0;
  /** @type {any} the session that this drain ended */
  #session = null;
  #rowsToRead = true;
  /** The last step had a window of them, or what came meanwhile, and there are more. */
  #rowsFollow = false;
  /** @type {number[]} the ops that the step looks at: those whose rows, and those whose payloads it is given */
  #given = [];
  /** Whether steps are marked: the last drain ended abnormally. */
  #careful = false;
  /** The first of them looks at no op: where that one does not return, no op is to blame. */
  #apart = false;
  /** @type {import('./step-mark.js').StepMark} */
  #suspect = { seqs: [], limit: kRowWindow, deaths: 0 };
  #leasedAtMs = 0;
  #steppedAtMs = 0;
  /** @type {ReadingsIn} how busy this realm is, as the last step and the last timer showed */
  #strain = {};
  #alarm = deferred();
  #stop = new AbortController();   // ends the requests of this drain

  /** @param {TurnDeps} deps @param {Entry[]} waiting @param {AbortSignal} closing @param {(status: Status) => void} onStatus */
  constructor(deps, waiting, closing, onStatus) {
    this.deps = deps;
    this.waiting = waiting;
    this.closing = closing;
    this.onStatus = onStatus;
  }

  wake() {
    this.#alarm.resolve();
  }

  /** @param {string} holder @param {Kept | null} kept @returns {Promise<End>} never rejects */
  async run(holder, kept) {
    let release = () => {};
    this.holder = holder;
    try {
      const entered = await this.#enter(holder);
      if (!entered) return this.#failed(this.closing.aborted ? closedError() : new TidegateError('busy', '', 'another tab, worker or process is draining'));
      release = entered.release;
      this.lease = entered.lease;
      if (kept && kept.token + 1 === this.lease.token) this.#adopt(kept.planner, kept.knownSeq, kept.outcomes);   // nobody else was here meanwhile
      const end = await this.#turn();
      if (this.#careful) await this.#mark({ remove: true });
      return end;
    } catch (error) {
      if (hung(error)) this.lease = undefined;   // giving it back would wait for the same
      return this.#failed(/** @type {Error} */ (error));
    } finally {
      this.#stop.abort();
      while (this.#inFlight > 0) await this.#nextAlarm();
      if (this.lease) await this.deps.store.releaseLease(this.lease).catch(() => {});   // else it runs out
      try { release(); } catch { /* a lock that cannot be given back goes with this realm */ }
    }
  }

  /** @param {Error} error @returns {End} */
  #failed(error) {
    this.kept = null;
    if (!this.closing.aborted && !(error instanceof Fenced)) this.deps.publish('sync.failed', { class: error instanceof StoreError ? 'storage' : 'internal', message: error.message });
    return { ok: false, reject: !this.closing.aborted, wakeAtMs: null, error };
  }

  /** The lock first: who holds it knows that nobody else is alive. Without it, a lease that ran out is taken over. @param {string} holder */
  async #enter(holder) {
    const { clock, store, locks } = this.deps;
    const deadlines = this.waiting.map(({ event }) => event?.deadlineMs ?? Infinity);
    const giveUpAtMs = Math.min(clock.now() + kBusyMs, ...deadlines);
    const ask = (/** @type {boolean | null | undefined} */ takeover) => {
      const nowMs = clock.now();
      this.#leasedAtMs = nowMs;   // from when it was asked for: this process may be frozen before it hears the answer
      return store.acquireLease({ holder, nowMs, ttlMs: kLeaseMs, codeVersion: kCodeVersion, takeover });
    };
    while (!this.closing.aborted && clock.now() < giveUpAtMs) {
      const release = await lockWithin(locks, clock, kLockWaitMs, this.closing);
      const lease = await ask(release && true).catch((error) => { release?.(); throw error; });
      if (lease) return { lease, release: release ?? (await locks.steal()) };
      release?.();
      await clock.sleep(kLockWaitMs / 10, this.closing);
    }
    return null;
  }

  /** What the drain before left: whether to be careful, and what must not be looked at again. */
  async #takeMark() {
    const { abandoned, step } = /** @type {Granted} */ (this.lease);
    this.#careful = this.#apart = abandoned || Boolean(step);
    this.#given = [];
    if (!step) return;
    const { guilty, ...suspect } = afterMark(step, kRowWindow);
    this.#suspect = suspect;
    const rows = (await this.deps.store.getMany('ops', guilty)).filter(Boolean);
    const writes = rows.map((row) => ({ store: 'ops', key: row.seq, value: { ...row, state: 'quarantined', unknown: row.sends > 0, reason: kPoisonReason } }));   // it may have been applied
    await this.#mark({ value: { ...suspect, over: true } }, writes);
    for (const { id, owner, entity, entityId } of rows) this.deps.publish('op.quarantined', { id, owner, entity, entityId, reason: kPoisonReason });
  }

  /** @param {boolean} [over]  the step returned */
  async #markStep(over) {
    if (this.#careful) await this.#mark({ value: { ...markOf(this.#given, this.#suspect), over } });
  }

  /** A mark that cannot be stored keeps nothing from going on. @param {{value?: any, remove?: boolean}} mark @param {any[]} [writes] */
  async #mark(mark, writes = []) {
    const { token } = /** @type {Granted} */ (this.lease);
    const result = await this.deps.store.commit({ token, knownSeq: 0, lanes: [], writes: [{ store: 'state', key: 'step', ...mark }, ...writes] }).catch(failure);
    if (result === 'fenced') throw new Fenced();
  }

  async #restore() {
    await this.#takeMark();
    const planner = await this.deps.createPlanner();
    const { snapshot, core, settings, rules } = /** @type {Granted} */ (this.lease);
    const state = { core, settings, rules, schemaVersion: this.deps.schemaVersion };
    let restored = callCore(() => planner.restore((!this.#careful && bytesOf(snapshot)) || null, state));
    if (!restored.ok) {   // a damaged snapshot: the rows are the truth, so all of them are read again
      this.deps.publish('sync.snapshot-refused', restored.error);
      restored = callCore(() => planner.restore(null, state));
    }
    if (!restored.ok) throw new TidegateError(restored.error.code, restored.error.path, restored.error.message);
    this.#adopt(planner, restored.knownSeq, []);
  }

  /** @param {Planner} planner @param {number} knownSeq @param {any[]} outcomes */
  #adopt(planner, knownSeq, outcomes) {
    this.planner = planner;
    this.knownSeq = knownSeq;
    this.#outcomes = outcomes;
    this.#rowsToRead = true;
  }

  /** @returns {Promise<End>} */
  async #turn() {
    for (;;) {
      if (this.closing.aborted) throw closedError();
      try {
        if (!this.planner) await this.#restore();
        const plan = await this.#step();
        if (await this.#isOver(plan)) {
          const { token } = /** @type {Granted} */ (this.lease);
          this.kept = { planner: this.#planner(), token, knownSeq: this.knownSeq ?? 0, outcomes: this.#outcomes };
          return { ok: true, reject: plan.reject, wakeAtMs: plan.wakeAtMs ?? null, session: this.#session };
        }
      } catch (error) {
        if (!(error instanceof Trap)) throw error;
        await this.#recover(error);
      }
    }
  }

  /** One input in, one plan out and performed. @returns {Promise<Plan>} */
  async #step() {
    await this.#renewLease();
    const { entries, input } = await this.#gather();
    await this.#markStep();
    let plan;
    try {
      plan = callCore(() => this.#planner().step(input));
    } catch (error) {
      for (const entry of entries) entry.answers.reject(error);
      if (error instanceof Trap || input.commands.length === 0) throw error;
      plan = callCore(() => this.#planner().step({ ...input, commands: [] }));   // a malformed command is its caller's affair
    }
    this.#strain.stepMs = this.deps.clock.now() - this.#steppedAtMs;
    await this.#markStep(true);
    this.#given = [];
    this.#hold(entries, plan.answers ?? []);
    const stored = await this.#perform(plan.effects);
    await this.#renewLease();   // frozen meanwhile, others may have gone on: what this plan says is no longer so
    this.#publish(plan);
    this.#answer(stored);
    const failure = stored.find((result) => result instanceof Error);
    if (failure && plan.idle) throw failure;   // nothing is left to wait for in this drain
    return plan;
  }

  /** What came since the last step, with one event and one answer at most. Bytes go in here, because the core forgets slots that a step does not mention. */
  async #gather() {
    const { clock, random, store, readings } = this.deps;
    if (this.#apart) {
      this.#apart = false;
      return { entries: [], input: { nowMs: clock.now(), seed: random.seed(), more: true, rows: [], outcomes: [], commands: [] } };
    }
    const entries = beforeSecond(this.waiting, 'event', this.#again ? 1 : 0);
    this.taken.push(...entries);
    /** @type {Input['rows']} */
    let rows = [];
    this.#rowsToRead ||= entries.length > 0;
    this.#rowsFollow &&= this.#outcomes.length > 0;   // the first sends do not wait until a long queue is read: what is under way goes on between two windows
    if (this.#rowsToRead && !this.#rowsFollow && !(this.#careful && this.#given.length > 0)) {   // suspects apart
      rows = await store.rows(/** @type {number} */ (this.knownSeq), this.#suspect.limit);
      this.#rowsFollow = this.#rowsToRead = rows.length === this.#suspect.limit;
      if (rows.length > 0) this.knownSeq = rows.at(-1).seq;
      this.#given.push(...rows.map(({ seq }) => seq));
      rows = rows.splice(0);   // out of the store's request: a browser keeps that, and what is in it, until its next full collection
    }
    const outcomes = beforeSecond(this.#outcomes, 'answerSlot', 0).map(({ body, answerSlot, ...outcome }) => {   // a batch's answer is what takes the core longest
      if (body) callCore(() => this.#planner().put(answerSlot, body));
      return outcome;
    });
    const event = this.#eventOf(entries);
    /** @type {any} */
    const input = { nowMs: (this.#steppedAtMs = clock.now()), seed: random.seed(), readings: { ...readings(), ...this.#strain }, rows, outcomes, commands: entries.flatMap((entry) => entry.commands) };
    this.#strain = {};
    if (event) input.event = event;
    if (this.#rowsToRead) input.more = true;
    if (this.#suspect.limit < kRowWindow) input.maxOps = this.#suspect.limit;
    return { entries, input };
  }

  /**
   * What woke us, for the core; a bare command counts as a message. Once the browser's own sync event is told, nothing replaces it: by it the core says
   * whether the browser should fire again. The earliest deadline holds for all of the drain. A core that was restored knows nothing of it, and is told again.
   * @param {Entry[]} entries @returns {EventIn | undefined}
   */
  #eventOf(entries) {
    if (this.#again) {
      this.#again = false;
      return this.#event ?? undefined;
    }
    if (entries.length === 0) return undefined;
    const event = entries.find((entry) => entry.event)?.event ?? (this.#event ? undefined : { type: 'message' });
    if (!event || (event.type !== 'sync' && this.#event?.type === 'sync')) return undefined;
    const deadlineMs = Math.min(event.deadlineMs ?? Infinity, this.#event?.deadlineMs ?? Infinity);
    return (this.#event = /** @type {EventIn} */ (deadlineMs < Infinity ? { ...event, deadlineMs } : event));
  }

  /** @type {EventIn | null} the last one told */
  #event = null;
  #again = false;

  /** Answers wait until what they say is stored. @param {Entry[]} entries @param {any[]} answers */
  #hold(entries, answers) {
    let at = 0;
    for (const entry of entries) this.#held.push({ entry, answers: answers.slice(at, (at += entry.commands.length)) });
  }

  /** @param {('ok'|'stale'|Error)[]} stored */
  #answer(stored) {
    const failure = stored.find((result) => result instanceof Error);
    if (failure) for (const { entry } of this.#held.splice(0)) entry.answers.reject(failure);
    if (allStored(stored)) for (const { entry, answers } of this.#held.splice(0)) entry.answer(answers);
  }

  /** @param {Plan} plan */
  #publish(plan) {
    if (plan.status) {
      this.onStatus(plan.status);
      this.deps.publish('status', plan.status);
      if (plan.status.isActive) this.deps.publish('sync.progress', plan.status.currentProgress);
    }
    for (const rejected of plan.rejected ?? []) this.deps.publish('sync.rejected', rejected);
  }

  /**
   * Performs the effects in order; sends are started, not awaited. After a commit that did not answer "ok" nothing of this plan happens any more
   * but loads: a send must never leave, and a page never be told, before what it rests on is stored.
   * @param {Effect[]} effects @returns {Promise<('ok'|'stale'|Error)[]>} what became of the commits
   */
  async #perform(effects) {
    /** @type {('ok'|'stale'|Error)[]} */
    const stored = [];
    for (const effect of effects) {
      const { id, type } = effect;
      const good = allStored(stored);
      if (type === 'load') this.#outcomes.push({ id, ...(await this.#load(effect).catch(failure)) });
      else if (type === 'list') this.#outcomes.push({ id, ...(await this.#list(effect).catch(failure)) });
      else if (!good) { if (type !== 'notify') this.#outcomes.push({ id, skipped: true }); }
      else if (type === 'commit') stored.push(await this.#commit(effect));
      else if (type === 'notify') this.#notify(/** @type {string} */ (effect.event), effect.detail);
      else await this.#send(effect);   // send, ask, run
    }
    return stored;
  }

  /** @param {string} event @param {any} detail */
  #notify(event, detail) {
    if (detail?.sessionId && detail.endTime) this.#session = detail;   // what sync() answers
    this.deps.publish(event, detail);
  }

  /** @param {Effect} effect */
  async #load(effect) {
    const items = effect.items ?? [];
    /** @type {number[]} */
    const missing = [];
    /** @type {{slot: number, value: any}[]} */
    const metas = [];
    const byStore = [...new Set(items.map(({ store }) => store))].map((name) => items.filter(({ store }) => store === name));
    const found = await Promise.all(byStore.map((wanted) => this.deps.store.getMany(wanted[0].store, wanted.map(({ key }) => key))));
    const payloads = items.filter(({ store }) => store === 'payloads');
    this.#given.push(...payloads.map(({ key }) => parseInt(key)));
    if (payloads.length > 0) await this.#markStep();   // taking the bytes in can be what ends it
    const records = found.flat();
    byStore.flat().forEach(({ slot }, i) => {
      const bytes = bytesOf(records[i]);
      const value = metaOf(records[i]);
      if (value !== undefined) metas.push({ slot, value });
      if (bytes) callCore(() => this.#planner().put(slot, bytes));
      else missing.push(slot);
    });
    return { missing, metas };
  }

  /** Keys and what is not bytes, of a few records at a time, because the store reads the bytes with them. @param {Effect} effect */
  async #list({ items = [], after }) {
    const [{ store, key }] = items;
    const found = await this.deps.store.list(/** @type {any} */ (store), { prefix: key, after, limit: kListWindow, loose: true });
    return { metas: found.map(({ key, value }) => ({ key, value: metaOf(value) })) };
  }

  /** @param {Effect} effect @returns {Promise<'ok'|'stale'|Error>} */
  async #commit({ id, knownSeq = 0, lanes = [], writes = [] }) {
    const { token } = /** @type {Granted} */ (this.lease);
    const withBytes = writes.map(({ slot, ...write }) =>
      (slot === undefined ? write : { ...write, bytes: callCore(() => this.#planner().bytes(slot)) }));
    try {
      const result = await this.deps.store.commit({ token, knownSeq, lanes, writes: /** @type {any} */ (withBytes) });
      if (result === 'fenced') throw new Fenced();
      if (result === 'stale') {
        this.#rowsToRead = true;
        this.#rowsFollow = false;
      }
      this.#outcomes.push({ id, commit: result });
      return result;
    } catch (error) {
      this.#outcomes.push({ id, ...failure(error) });
      return /** @type {Error} */ (error);
    }
  }

  /** @param {Effect} effect */
  async #send(effect) {
    await this.#renewLease();   // frozen since the commit, others may be at work, or have been told to pause; asked again where the request leaves
    const { id, slot, answerSlot } = effect;
    const body = slot === undefined ? undefined : callCore(() => this.#planner().bytes(slot));
    const stop = this.#stop.signal;
    this.#inFlight += 1;
    this.deps.transport
      .send({ ...effect, mayLeave: () => this.#isLeased(kLeaseMs) }, body, stop)
      .catch((error) => ({ failure: 'network', message: String(error?.message ?? error) }))
      .then((outcome) => {
        this.#inFlight -= 1;
        if (!stop.aborted) this.#outcomes.push({ ...outcome, id, answerSlot });
        this.wake();
      });
  }

  /** Waits until there is something to tell the core; true when the drain is over. @param {Plan} plan */
  async #isOver(plan) {
    if (this.#rowsToRead) return false;
    if (plan.idle && this.#inFlight === 0) return true;   // who asked meanwhile gets a drain of his own: the core has forgotten the events of this one
    if (this.waiting.length > 0) return false;
    // A time that was past when the core named it means: as soon as something under way has ended.
    const untilMs = plan.wakeAtMs && plan.wakeAtMs > this.#steppedAtMs ? plan.wakeAtMs : Infinity;
    while (this.#outcomes.length === 0 && this.waiting.length === 0 && !this.closing.aborted) {
      const nowMs = this.deps.clock.now();
      if (nowMs >= untilMs) {
        this.#strain.timerLateMs = nowMs - untilMs;
        return false;
      }
      if (this.#inFlight === 0 && untilMs === Infinity) throw new TidegateError('internal', '', 'the core neither acts nor waits nor ends');
      await this.#nextAlarm(Math.min(untilMs, this.#leasedAtMs + kLeaseMs / 3) - nowMs);
      await this.#renewLease();
    }
    return false;
  }

  /** Whether our lease was asked for within the last `ms`; a clock that was set back to before that says nothing. @param {number} ms */
  #isLeased(ms) {
    return !Math.floor((this.deps.clock.now() - this.#leasedAtMs) / ms);
  }

  /** Resolves when something arrived, or after `ms`. @param {number} [ms] */
  async #nextAlarm(ms = Infinity) {
    const cancel = ms === Infinity ? () => {} : this.deps.clock.timer(ms, () => this.wake());
    await this.#alarm.promise;
    cancel();
    this.#alarm = deferred();
  }

  /** Our lease is good when it resolves, however long this process was frozen on the way. */
  async #renewLease() {
    const { token } = /** @type {Granted} */ (this.lease);
    while (!this.#isLeased(kLeaseMs / 3)) {
      const nowMs = this.deps.clock.now();
      if (!(await this.deps.store.renewLease({ token, nowMs, ttlMs: kLeaseMs }))) throw new Fenced();
      this.#leasedAtMs = nowMs;
    }
  }

  /** After a trap: a new instance, restored from the store. What was on the wire is unknown, and the store says so. @param {Trap} trap */
  async #recover(trap) {
    this.#traps += 1;
    this.deps.publish('sync.core-restarted', { message: trap.message });
    for (const { entry } of this.#held.splice(0)) entry.answers.reject(trap);
    if (this.#traps >= kMaxTraps || (this.#careful && this.#given.length === 0)) throw trap;   // no op is to blame
    this.#stop.abort();
    while (this.#inFlight > 0) await this.#nextAlarm();
    this.#stop = new AbortController();
    const { clock, store } = this.deps;
    const again = { holder: /** @type {string} */ (this.holder), nowMs: clock.now(), ttlMs: kLeaseMs, codeVersion: kCodeVersion };
    const lease = await store.acquireLease(again);   // a new token, and the state as it is stored now
    if (!lease) throw new Fenced();
    this.lease = lease;
    this.planner = undefined;
    this.#again = true;
  }

  #planner() {
    return /** @type {Planner} */ (this.planner);
  }
}

/** Calls the core; whatever it throws that is not a refused input means that the instance is dead. @template T @param {() => T} call @returns {T} */
function callCore(call) {
  try {
    return call();
  } catch (error) {
    if (/** @type {any} */ (error)?.name === 'InputError') throw error;
    throw new Trap(error);
  }
}

/** A store that does not answer: what it was asked may still happen, so only what is read anew is known. @param {any} error */
const hung = (error) => error.code === 'hung';

/** A failure of the store is an outcome; anything else is not the store's, and one that hangs ends the drain. @param {unknown} error */
function failure(error) {
  if (!(error instanceof StoreError) || hung(error)) throw error;
  return { error: { code: error.code, message: error.message } };
}

/** @param {('ok'|'stale'|Error)[]} results of the commits of one plan @returns {boolean} */
const allStored = (results) => results.every((result) => result === 'ok');

/** Takes what comes before the second that has this member, `had` counted in. @param {any[]} list @param {string} member @param {number} had */
function beforeSecond(list, member, had) {
  for (const [i, item] of list.entries()) if (item[member] && had++) return list.splice(0, i);
  return list.splice(0);
}
