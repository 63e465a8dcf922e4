// The turn against a core that follows a script: what is performed, in which order, and what the core hears of it. tests/js/node-client.test.js does the
// same with the real core.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StoreError } from '../../sw/errors.js';
import { webLocks } from '../../sw/locks.js';
import { openSqliteStore } from '../../sw/sqlite-store.js';
import { kLeaseMs } from '../../sw/turn.js';
import { Turns } from '../../sw/turns.js';
import { dying, everyKill, kStores } from './mortal.js';
import { bytes, everything, item, kLimits } from './store.contract.js';

const kDone = { effects: [], rejected: [], answers: [], idle: true, reject: false };
const plan = (more) => ({ ...kDone, idle: false, ...more });
const text = (found) => new TextDecoder().decode(found);
class InputError extends Error { name = 'InputError'; code = 'wrong-type'; path = '/commands/0'; }

/** A clock that stands still until it is moved. */
function manualClock() {
  let nowMs = 1_000_000;
  const timers = new Set();
  return {
    now: () => nowMs,
    utcOffsetMinutes: () => 0,
    timer(ms, run) {
      const timer = { atMs: nowMs + ms, run };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    sleep(ms) { return new Promise((resolve) => this.timer(ms, resolve)); },
    pending: () => timers.size,
    move(ms) {
      nowMs += ms;
      for (const timer of [...timers]) if (timer.atMs <= nowMs && timers.delete(timer)) timer.run();
    },
  };
}

/** Web Locks within this test. */
function fakeLockManager() {
  const queue = [];
  let held = null;
  const next = () => {
    if (held || queue.length === 0) return;
    const { callback, resolve, reject } = queue.shift();
    held = { reject };
    const mine = held;
    callback().then(resolve).finally(() => { if (held === mine) { held = null; next(); } });
  };
  return {
    request(_name, { signal, steal }, callback) {
      return new Promise((resolve, reject) => {
        const entry = { callback, resolve, reject };
        if (steal) { held?.reject(new DOMException('stolen', 'AbortError')); held = null; queue.unshift(entry); } else queue.push(entry);
        signal?.addEventListener('abort', () => { const at = queue.indexOf(entry); if (at >= 0) { queue.splice(at, 1); reject(signal.reason); } });
        next();
      });
    },
    isHeld: () => held !== null,
  };
}

const steps = () => new Promise((resolve) => setImmediate(resolve));
async function until(condition, what = 'the awaited condition') {
  for (let i = 0; i < 2000; i++) { if (await condition()) return; await steps(); }
  assert.fail(`${what} did not come`);
}

let uuid = 0;

/** A world of one store and one scripted core per planner made. */
async function world({ scripts = [[]], send, store, restore = () => ({ ok: true, knownSeq: 0 }), locks = webLocks(fakeLockManager()), clock = manualClock() } = {}) {
  const own = store ?? await openSqliteStore({ path: ':memory:' });
  const log = [], inputs = [], published = [], planners = [];
  const createPlanner = async () => {
    const script = [...(scripts[Math.min(planners.length, scripts.length - 1)])];
    const slots = new Map();
    const planner = {
      slots,
      restore(snapshot, state) { log.push('restore'); return restore(snapshot, state); },
      step(input) {
        inputs.push(input);
        const next = script.shift() ?? kDone;
        return typeof next === 'function' ? next(input, planner) : next;
      },
      put(slot, given) { slots.set(slot, given); },
      bytes(slot) { assert.ok(slots.has(slot), `slot ${slot}`); return slots.get(slot); },
    };
    planners.push(planner);
    return planner;
  };
  const sends = [];
  const transport = {
    send(effect, body, signal) {
      log.push(`send ${effect.id}`);
      return new Promise((resolve, reject) => {
        sends.push({ effect, body, signal, resolve, reject });
        signal.addEventListener('abort', () => resolve({ failure: 'aborted', message: '', startedAtMs: 0, endedAtMs: 0 }));
        if (send) resolve(send(effect, body));
      });
    },
  };
  const recorded = new Proxy(own, { get: (target, name) => (typeof target[name] !== 'function' ? target[name] : (...args) => {
    if (['commit', 'getMany', 'acquireLease', 'releaseLease'].includes(name)) log.push(name === 'commit' ? `commit ${args[0].writes.map(({ key }) => key).join()}` : name);
    return target[name](...args);
  }) });
  const deps = {
    createPlanner, store: recorded, transport, clock, locks, random: { seed: () => 7, uuid: () => `holder-${++uuid}` }, readings: () => ({ online: true }),
    publish: (type, detail) => { published.push([type, detail]); log.push(`publish ${type}`); },
  };
  return { store: own, log, inputs, published, planners, sends, clock, deps, turns: new Turns(deps) };
}
const history = (id, key) => ({ type: 'commit', id, knownSeq: 100, lanes: [], writes: [{ store: 'history', key, value: { n: 1 } }] });
const sending = (id, more = {}) => ({ type: 'send', id, method: 'POST', url: 'batch', headers: {}, timeoutMs: 1000, ...more });
const kOk = { status: 200, headers: {}, startedAtMs: 1, endedAtMs: 2, sentBytes: 0, bodyBytes: 0 };

test('a drain takes the lease, restores, shows the rows with the event, and leaves when the core is idle', async () => {
  const { store, turns, inputs, log } = await world();
  const [seq] = await store.accept([item('1', 'a')], kLimits);
  const end = await turns.ask({ event: { type: 'sync', trigger: 'connectivity', lastChance: true } }).end;
  assert.deepEqual(end, { ok: true, reject: false, wakeAtMs: null, session: null });
  assert.equal(inputs.length, 1);
  const { rows, event, nowMs, seed, readings } = inputs[0];
  assert.deepEqual([rows.map((row) => row.seq), event.lastChance, nowMs, seed, readings], [[seq], true, 1_000_000, 7, { online: true }]);
  assert.deepEqual(log, ['acquireLease', 'restore', 'releaseLease', 'publish sync.ended']);
});

test('loads, commits, then sends: in the order of the plan, the answer\'s body in its slot before the step that hears of it', async () => {
  let heard;
  const listen = (input, planner) => {
    if (!input.outcomes.some(({ id }) => id === 3)) return plan({});
    heard = text(planner.slots.get(9));
    return kDone;
  };
  const { store, turns, log, inputs, sends } = await world({
    scripts: [[
      plan({ effects: [{ type: 'load', id: 1, items: [{ slot: 1, store: 'payloads', key: '000000000001:next' }, { slot: 2, store: 'bases', key: 'none' }, { slot: 3, store: 'docs', key: ':NOTE/1' }] }] }),
      plan({ effects: [{ ...history(2, 'h'), writes: [{ store: 'payloads', key: '000000000001:body', slot: 1 }] }, sending(3, { slot: 3, answerSlot: 9 }), { type: 'notify', id: 4, event: 'sync.started', detail: { n: 1 } }] }),
      listen, listen,
    ]],
    send: () => ({ ...kOk, body: bytes('answer') }),
  });
  const [seq] = await store.accept([item('1', 'mine')], kLimits);
  assert.equal(seq, 1);
  await turns.ask({ event: { type: 'manual' } }).end;
  assert.deepEqual(log.slice(2, -2), ['getMany', 'getMany', 'getMany', 'commit 000000000001:body', 'send 3', 'publish sync.started']);
  const { outcomes } = inputs[1];
  assert.deepEqual(outcomes[0].missing, [2]);
  assert.deepEqual(outcomes[0].metas.map(({ slot, value }) => [slot, value.entity, value.bytes]), [[3, 'NOTE', undefined]]);
  assert.equal(text(await store.get('payloads', '000000000001:body')), 'mine');
  assert.equal(text(sends[0].body), 'mine');
  assert.equal(heard, 'answer');
  assert.deepEqual(inputs.flatMap((input) => input.outcomes).map(({ id, commit, status, body, answerSlot }) => [id, commit ?? status, body, answerSlot]),
    [[1, undefined, undefined, undefined], [2, 'ok', undefined, undefined], [3, 200, undefined, undefined]]);
});

test('a commit that fails keeps back every later commit, send and notice of its plan; the core hears why', async () => {
  const effects = [history(1, 'a'), history(2, 'b'), sending(3), { type: 'notify', id: 4, event: 'op.done', detail: {} }, { type: 'load', id: 5, items: [] }];
  const { store, turns, inputs, log, published } = await world({ scripts: [[plan({ effects }), kDone]] });
  const real = store.commit;
  store.commit = async () => { throw new StoreError('quota', 'no room'); };
  const end = await turns.ask({ event: { type: 'manual' } }).end;
  assert.equal(end.ok, true);
  assert.deepEqual(inputs[1].outcomes, [
    { id: 1, error: { code: 'quota', message: 'no room' } }, { id: 2, skipped: true }, { id: 3, skipped: true }, { id: 5, missing: [], metas: [] }]);
  assert.deepEqual(log.filter((entry) => entry.startsWith('send') || entry === 'publish op.done'), []);
  store.commit = real;
  assert.deepEqual(await store.list('history'), []);
  assert.deepEqual(published.map(([type]) => type), ['sync.ended']);
});

test('after a stale commit the new rows are shown with the outcome, and nothing was sent', async () => {
  const lane = ':NOTE/1';
  const { store, turns, inputs, sends } = await world({ scripts: [[
    plan({ effects: [{ ...history(1, 'a'), knownSeq: 1, lanes: [lane] }, sending(2)] }), kDone] ] });
  await store.accept([item('1', 'a')], kLimits);
  const commit = store.commit.bind(store);
  store.commit = async (given) => { store.commit = commit; await store.accept([item('1', 'b')], kLimits); return commit(given); };
  await turns.ask({ event: { type: 'manual' } }).end;
  assert.deepEqual(inputs[1].rows.map(({ seq }) => seq), [2]);
  assert.deepEqual(inputs[1].outcomes, [{ id: 1, commit: 'stale' }, { id: 2, skipped: true }]);
  assert.equal(sends.length, 0);
});

test('a fenced commit ends the turn: nothing is sent, requests under way are given up, the planner is dropped', async () => {
  const { store, turns, inputs, sends, planners } = await world({ scripts: [[plan({ effects: [sending(1)] }), plan({ effects: [history(2, 'a'), sending(3)] })], []] });
  const { end } = turns.ask({ event: { type: 'manual' } });
  await until(() => sends.length === 1);
  const thief = await store.acquireLease({ holder: 'thief', nowMs: 0, ttlMs: kLeaseMs, codeVersion: '1', takeover: true });
  const joined = turns.ask({ event: { type: 'message' } });
  const ended = await end;
  assert.deepEqual([ended.ok, ended.reject, ended.error.code], [false, true, 'busy']);
  assert.deepEqual([sends.length, sends[0].signal.aborted, inputs.length], [1, true, 2]);
  assert.equal((await joined.end).ok, false);
  assert.equal(await store.renewLease({ token: thief.token, nowMs: 0, ttlMs: 1 }), true, 'the thief keeps his lease');
  await store.releaseLease(thief);
  assert.equal((await turns.ask({ event: { type: 'manual' } }).end).ok, true);
  assert.equal(planners.length, 2);
});

test('sends run at once, and the turn goes on with each outcome as it comes', async () => {
  const { turns, sends, inputs } = await world({ scripts: [[plan({ effects: [sending(1), sending(2), sending(3)] }), plan({}), plan({}), kDone]] });
  const { end } = turns.ask({ event: { type: 'manual' } });
  await until(() => sends.length === 3);
  for (const at of [1, 0, 2]) {
    const count = inputs.length;
    sends[at].resolve(kOk);
    await until(() => inputs.length > count);
  }
  assert.equal((await end).ok, true);
  assert.deepEqual(inputs.map(({ outcomes }) => outcomes.map(({ id }) => id)), [[], [2], [1], [3]]);
});

test('FF-11: requests made at once share one drain; one made during it joins it; none is forgotten', async () => {
  const { turns, sends, inputs, log } = await world({ scripts: [[plan({ effects: [sending(1)], answers: [{ ok: 1 }] }), plan({ answers: [{ ok: 2 }, { ok: 3 }] }), kDone]] });
  const first = turns.ask({ event: { type: 'message' }, commands: [{ type: 'status' }] });
  const second = turns.ask({});
  await until(() => sends.length === 1);
  const third = turns.ask({ commands: [{ type: 'pause' }, { type: 'metrics' }] });
  assert.deepEqual(await first.answers, [{ ok: 1 }]);
  assert.deepEqual(await second.answers, []);
  assert.deepEqual(await third.answers, [{ ok: 2 }, { ok: 3 }]);
  sends[0].resolve(kOk);
  await Promise.all([first.end, second.end, third.end]);
  assert.equal(log.filter((entry) => entry === 'acquireLease').length, 1);
  const late = turns.ask({});
  assert.equal((await late.end).ok, true);
  assert.deepEqual(inputs.map(({ commands }) => commands.length), [1, 2, 0, 0]);
});

test('a request that comes in the very moment a drain ends gets a drain', async () => {
  const { turns } = await world();
  const ends = [];
  let chain = turns.ask({}).end;
  for (let i = 0; i < 20; i++) chain = chain.then((end) => { ends.push(end.ok); return turns.ask({}).end; });
  await chain;
  assert.equal(ends.length, 20);
});

test('a message that joins a drain begun by the browser\'s sync event does not replace that event', async () => {
  const { turns, inputs, sends } = await world({ scripts: [[plan({ effects: [sending(1)] }), plan({ idle: false }), { ...kDone, reject: true, wakeAtMs: 5, session: null }]] });
  const sync = turns.ask({ event: { type: 'sync', tag: 'tidegate' } });
  await until(() => sends.length === 1);
  turns.ask({ event: { type: 'page' } });
  await until(() => inputs.length === 2);
  sends[0].resolve(kOk);
  assert.deepEqual(await sync.end, { ok: true, reject: true, wakeAtMs: 5, session: null });
  assert.deepEqual(inputs.map(({ event }) => event?.type), ['sync', undefined, undefined]);
});

test('a sync event that joins a drain is told; of two events of one moment each gets its step', async () => {
  const { turns, inputs } = await world({ scripts: [[kDone, kDone, kDone]] });
  const asked = [turns.ask({ event: { type: 'message' } }), turns.ask({ event: { type: 'online' } }), turns.ask({ event: { type: 'sync' } })];
  await Promise.all(asked.map(({ end }) => end));
  assert.deepEqual(inputs.map(({ event }) => event.type), ['message', 'online', 'sync']);
});

test('answers of commands wait until what they say is stored', async () => {
  const { store, turns } = await world({ scripts: [[{ ...plan({ effects: [history(1, 'a')] }), answers: [{ ok: true }] }, kDone]] });
  await turns.ask({ commands: [{ type: 'pause' }] }).answers;
  assert.deepEqual(await store.get('history', 'a'), { n: 1 });
});

test('answers whose commit failed are failures', async () => {
  const { store, turns } = await world({ scripts: [[{ ...plan({ effects: [history(1, 'a')] }), answers: [{ ok: true }] }, kDone]] });
  store.commit = async () => { throw new StoreError('quota', 'no room'); };
  await assert.rejects(turns.ask({ commands: [{ type: 'pause' }] }).answers, { name: 'StoreError', code: 'quota' });
});

test('a malformed command fails alone: the step happens without it', async () => {
  const { turns, inputs } = await world({ scripts: [[() => { throw new InputError('settings: expected an object'); }, kDone]] });
  const asked = turns.ask({ commands: [{ type: 'settings', value: 5 }] });
  await assert.rejects(asked.answers, { name: 'InputError', path: '/commands/0' });
  assert.equal((await asked.end).ok, true);
  assert.deepEqual(inputs.map(({ commands }) => commands.length), [1, 0]);
});

test('rows come in windows; the core is told that more follow, and is not left idle before it has seen them all', async () => {
  const { store, turns, inputs } = await world();
  const items = Array.from({ length: 1100 }, (_, i) => item(String(i), 'x'));
  await store.accept(items, { maxOps: 5000, maxBytes: 1e9 });
  await turns.ask({ event: { type: 'start' } }).end;
  assert.deepEqual(inputs.map(({ rows, more }) => [rows.length, more ?? false]), [...Array(5).fill([200, true]), [100, false]]);
  assert.deepEqual(inputs.map(({ event }) => event?.type), ['start', ...Array(5).fill(undefined)]);
});

test('restore gets what was stored; rows after its sequence are read, and a refused snapshot means all rows', async () => {
  const seen = [];
  const refusing = (snapshot, state) => {
    seen.push([snapshot && [...snapshot], state]);
    return snapshot ? { ok: false, error: { code: 'snapshot-damaged', path: '', message: 'checksum' } } : { ok: true, knownSeq: 0 };
  };
  const { store, turns, inputs, published } = await world({ restore: refusing });
  const [first, second] = await store.accept([item('1', 'a'), item('2', 'b')], kLimits);
  const { token } = await store.acquireLease({ holder: 'x', nowMs: 0, ttlMs: 1, codeVersion: '1' });
  await store.commit({ token, knownSeq: second, lanes: [], writes: [
    { store: 'state', key: 'snapshot', value: { seq: second }, bytes: new Uint8Array([1, 2]) }, { store: 'state', key: 'settings', value: { enabled: true } }] });
  await store.releaseLease({ token });
  await turns.ask({}).end;
  const state = { core: undefined, settings: { enabled: true }, rules: undefined, schemaVersion: undefined };
  assert.deepEqual(seen, [[[1, 2], state], [null, state]]);
  assert.deepEqual(inputs[0].rows.map(({ seq }) => seq), [first, second]);
  assert.ok(published.some(([type, detail]) => type === 'sync.snapshot-refused' && detail.code === 'snapshot-damaged'));
});

test('the planner is kept for the next drain while nobody else was here, and rebuilt when somebody was', async () => {
  const { store, turns, planners, inputs } = await world();
  await turns.ask({}).end;
  await store.accept([item('1', 'a')], kLimits);
  await turns.ask({}).end;
  assert.equal(planners.length, 1);
  assert.deepEqual(inputs[1].rows.length, 1);
  const other = await store.acquireLease({ holder: 'other', nowMs: 0, ttlMs: 1, codeVersion: '1', takeover: true });
  await store.releaseLease(other);
  await turns.ask({}).end;
  assert.equal(planners.length, 2);
});

test('a core that traps is dropped, a new one restored from the store; requests under way are given up', async () => {
  const trap = () => { throw new WebAssembly.RuntimeError('unreachable'); };
  const { store, turns, planners, sends, published, inputs } = await world({ scripts: [[plan({ effects: [sending(1)] }), trap], [kDone]] });
  await store.accept([item('1', 'a')], kLimits);
  const { end } = turns.ask({ event: { type: 'manual', deadlineMs: 1_100_000 } });
  await until(() => sends.length === 1);
  const asked = turns.ask({ event: { type: 'sync', deadlineMs: 1_200_000 }, commands: [{ type: 'poison' }] });
  await assert.rejects(asked.answers, { code: 'internal', message: /ended abnormally: unreachable/ });
  assert.equal((await end).ok, true);
  assert.deepEqual([planners.length, sends[0].signal.aborted], [2, true]);
  assert.deepEqual(inputs.at(-1).rows.length, 1, 'the new core is shown all rows');
  assert.deepEqual(inputs.at(-1).outcomes, [], 'and no outcome of the old one\'s effects');
  assert.deepEqual(inputs.at(-1).event, { type: 'sync', deadlineMs: 1_100_000 }, 'it is told the event again, with the earliest deadline');
  assert.ok(published.some(([type]) => type === 'sync.core-restarted'));
});

test('who asks while a drain ends has one of his own, whose events the core is told', async () => {
  /** @type {any} */
  let second;
  const ask = () => {
    second = turns.ask({ event: { type: 'accept', deadlineMs: 1_200_000 } });
    return { ...kDone, reject: true };
  };
  const { turns, inputs, log } = await world({ scripts: [[ask, kDone]] });
  const first = await turns.ask({ event: { type: 'sync', deadlineMs: 1_100_000 } }).end;
  assert.equal(first.reject, true, 'what the core said of the sync event');
  assert.equal((await second.end).reject, false);
  assert.deepEqual(inputs.map(({ event }) => event), [{ type: 'sync', deadlineMs: 1_100_000 }, { type: 'accept', deadlineMs: 1_200_000 }]);
  assert.equal(log.filter((line) => line === 'acquireLease').length, 2);
});

test('a core that traps again is left alone until something wakes us', async () => {
  const trap = () => { throw new RangeError('Maximum call stack size exceeded'); };
  const { turns, planners, published, clock } = await world({ scripts: [[trap]] });
  const end = await turns.ask({ event: { type: 'sync' } }).end;
  assert.deepEqual([end.ok, end.reject, planners.length], [false, true, 2]);
  assert.equal(published.filter(([type]) => type === 'sync.failed').length, 1);
  assert.equal(clock.pending(), 0);
  await turns.ask({}).end;
  assert.equal(planners.length, 3, 'a drain that finds the mark of such an end is careful from the start');
});

test('a poison op that was sent may have been applied: kept apart, it keeps its key and says so', async () => {
  const live = (/** @type {any} */ row) => row.state !== 'quarantined';
  const step = (/** @type {any} */ input) => {
    if (input.rows.some(live)) throw new WebAssembly.RuntimeError('unreachable');
    return kDone;
  };
  const { store, turns, published } = await world({ scripts: [[step, step, step]] });
  const [seq] = await store.accept([item('1', 'a')], kLimits);
  const { token } = await store.acquireLease({ holder: 'x', nowMs: 1_000_000, ttlMs: 1, codeVersion: '1' });
  const [row] = await store.rows(0, 1);
  await store.commit({ token, knownSeq: seq, lanes: [], writes: [{ store: 'ops', key: seq, value: { ...row, state: 'sending', sends: 1, key: 'k.2' } }] });
  await store.releaseLease({ token });
  assert.equal((await turns.ask({}).end).ok, true);
  const [kept] = await store.rows(0, 1);
  assert.deepEqual([kept.state, kept.unknown, kept.key, kept.sends], ['quarantined', true, 'k.2', 1]);
  assert.equal(published.filter(([type]) => type === 'op.quarantined').length, 1);
});

test('a snapshot that the core does not survive is left aside, and the rows are read', async () => {
  const restore = (/** @type {any} */ snapshot) => {
    if (snapshot) throw new WebAssembly.RuntimeError('unreachable');
    return { ok: true, knownSeq: 0 };
  };
  const { store, turns, inputs, planners } = await world({ restore });
  await store.accept([item('1', 'a')], kLimits);
  const { token } = await store.acquireLease({ holder: 'x', nowMs: 1_000_000, ttlMs: 1, codeVersion: '1' });
  await store.commit({ token, knownSeq: 1, lanes: [], writes: [{ store: 'state', key: 'snapshot', bytes: new Uint8Array([1]) }] });
  await store.releaseLease({ token });
  assert.equal((await turns.ask({}).end).ok, true);
  assert.deepEqual([planners.length, inputs.at(-1).rows.length], [2, 1]);
  assert.equal(await store.get('state', 'step'), undefined, 'no mark is left where a drain ended well');
});

test('not idle with nothing under way: it sleeps until the time the core named, or until somebody asks', async () => {
  const { turns, clock, inputs } = await world({ scripts: [[plan({ wakeAtMs: 1_005_000 }), plan({ wakeAtMs: 1_005_000 }), kDone]] });
  const { end } = turns.ask({ event: { type: 'sync' } });
  await until(() => clock.pending() === 1);
  turns.ask({ commands: [] });
  await until(() => inputs.length === 2);
  clock.move(4_999);
  await steps();
  assert.equal(inputs.length, 2);
  clock.move(1);
  assert.equal((await end).ok, true);
  assert.deepEqual([inputs.length, inputs[2].nowMs, clock.pending()], [3, 1_005_000, 0]);
});

test('a core that neither acts nor waits nor ends is an error, not a loop', async () => {
  const { turns, inputs } = await world({ scripts: [[plan({})]] });
  const end = await turns.ask({}).end;
  assert.match(end.error.message, /neither acts nor waits nor ends/);
  assert.equal(inputs.length, 1);
});

test('a time that is past while requests are under way is no reason to spin: the next step is theirs', async () => {
  const { turns, clock, inputs, sends } = await world({ scripts: [[plan({ effects: [sending(1)], wakeAtMs: 1_000_000 }), kDone]] });
  const { end } = turns.ask({});
  await until(() => sends.length === 1);
  clock.move(5_000);
  for (let i = 0; i < 50; i++) await steps();
  assert.equal(inputs.length, 1);
  sends[0].resolve(kOk);
  assert.equal((await end).ok, true);
});

test('the lease is renewed while requests are under way; one that was lost ends the turn', async () => {
  const { store, turns, clock, sends } = await world({ scripts: [[plan({ effects: [sending(1)] }), kDone]] });
  const { end } = turns.ask({});
  await until(() => sends.length === 1 && clock.pending() === 1);
  for (let i = 0; i < 6; i++) {
    clock.move(kLeaseMs / 3);
    await until(async () => (await store.get('state', 'lease')).untilMs === clock.now() + kLeaseMs && clock.pending() === 1, 'the renewal');
  }
  assert.equal(await store.acquireLease({ holder: 'other', nowMs: clock.now(), ttlMs: 1, codeVersion: '1' }), null);
  await store.acquireLease({ holder: 'other', nowMs: clock.now(), ttlMs: kLeaseMs, codeVersion: '1', takeover: true });
  clock.move(kLeaseMs / 3);
  assert.deepEqual((await end).ok, false);
  assert.equal(sends[0].signal.aborted, true);
});

test('two contexts: one drains at a time, the other waits for the lock and then drains', async () => {
  const manager = fakeLockManager();
  const a = await world({ scripts: [[plan({ effects: [sending(1)] }), kDone]], locks: webLocks(manager) });
  const b = await world({ store: a.store, locks: webLocks(manager), clock: a.clock });
  const first = a.turns.ask({});
  await until(() => a.sends.length === 1);
  const second = b.turns.ask({});
  await steps();
  assert.equal(b.inputs.length, 0);
  a.sends[0].resolve(kOk);
  assert.deepEqual([(await first.end).ok, (await second.end).ok], [true, true]);
  assert.equal(b.inputs.length, 1);
  assert.equal(manager.isHeld(), false);
});

test('FF-27: a context that died gave its lock back, so its lease is taken over at once', async () => {
  const { store, turns, inputs } = await world();
  await store.acquireLease({ holder: 'dead', nowMs: 1_000_000, ttlMs: kLeaseMs, codeVersion: '1' });
  assert.equal((await turns.ask({}).end).ok, true);
  assert.deepEqual(inputs.map(({ more }) => more), [true, undefined], 'after a death the first step looks at no op');
});

test('a frozen context keeps its lock: it is overtaken when its lease ran out, and fenced when it thaws', async () => {
  const manager = fakeLockManager();
  const a = await world({ scripts: [[plan({ effects: [sending(1)] }), plan({ effects: [history(2, 'late'), sending(3)] })]], locks: webLocks(manager) });
  a.clock.timer = () => () => {};   // a frozen tab runs no timers
  const frozen = a.turns.ask({});
  await until(() => a.sends.length === 1);
  const clock = manualClock();
  const b = await world({ store: a.store, locks: webLocks(manager), clock });
  const second = b.turns.ask({ event: { type: 'sync' } });
  for (let i = 0; i < 40 && b.inputs.length === 0; i++) { clock.move(1_000); for (let j = 0; j < 20; j++) await steps(); }
  assert.equal((await second.end).ok, true);
  assert.ok(clock.now() - 1_000_000 >= kLeaseMs, 'not before its lease ran out');
  a.sends[0].resolve(kOk);
  assert.equal((await frozen.end).ok, false);
  assert.equal(await a.store.get('history', 'late'), undefined);
  assert.equal(a.sends.length, 1, 'the thawed context sends nothing more');
});

test('a context frozen after its core had spoken says nothing of it when it thaws and others have gone on', async () => {
  const manager = fakeLockManager();
  const a = await world({ scripts: [[plan({ effects: [{ type: 'load', id: 1, items: [{ slot: 1, store: 'payloads', key: '000000000001:next' }] }], status: { pending: 1 } })]], locks: webLocks(manager) });
  let thaw, reads = 0;
  const thawed = new Promise((resolve) => { thaw = resolve; });
  a.deps.store = new Proxy(a.deps.store, { get: (target, name) => (name === 'getMany' ? async (...args) => { reads += 1; await thawed; return target.getMany(...args); } : target[name]) });
  const frozen = a.turns.ask({});
  await until(() => reads === 1);
  const clock = manualClock();
  const b = await world({ store: a.store, locks: webLocks(manager), clock });
  const second = b.turns.ask({ event: { type: 'sync' } });
  for (let i = 0; i < 40 && b.inputs.length === 0; i++) { clock.move(1_000); for (let j = 0; j < 20; j++) await steps(); }
  assert.equal((await second.end).ok, true);
  a.clock.move(60_000);
  thaw();
  assert.equal((await frozen.end).ok, false);
  assert.deepEqual(a.published.filter(([type]) => type === 'status'), []);
});

test('a context frozen while its lease was granted does not take it for a fresh one when it thaws', async () => {
  const { store, turns, clock, sends } = await world({ scripts: [[plan({ effects: [sending(1)] }), kDone]] });
  const ask = store.acquireLease.bind(store);
  store.acquireLease = async (given) => {
    const lease = await ask(given);
    clock.move(kLeaseMs + 1);   // the answer is heard after the lease ran out
    await ask({ holder: 'other', nowMs: clock.now(), ttlMs: kLeaseMs, codeVersion: '1' });
    return lease;
  };
  assert.equal((await turns.ask({}).end).ok, false);
  assert.equal(sends.length, 0);
});

for (const [what, ms] of [['set back', -1], ['advanced', kLeaseMs + 1]]) {
  /** A drain whose clock is changed between a commit and the request that rests on it, after `meanwhile`. */
  const jumping = async (/** @type {(store: any, clock: any) => any} */ meanwhile) => {
    const scene = await world({ scripts: [[plan({ effects: [{ type: 'commit', id: 1, knownSeq: 0, lanes: [], writes: [] }, sending(2)] }), kDone]] });
    const commit = scene.store.commit.bind(scene.store);
    scene.store.commit = async (given) => {
      const result = await commit(given);
      await meanwhile(scene.store, scene.clock);
      scene.clock.move(ms);
      return result;
    };
    return { ...scene, end: scene.turns.ask({}).end };
  };

  test(`a clock ${what} behind a commit while another took over: the request does not leave`, async () => {
    const { end, sends } = await jumping(async (store, clock) => { await store.acquireLease({ holder: 'other', nowMs: clock.now() + kLeaseMs, ttlMs: kLeaseMs, codeVersion: '1' }); });
    assert.equal((await end).ok, false);
    assert.equal(sends.length, 0);
  });

  test(`a clock ${what} behind a commit and nobody else: the lease is renewed, and the request leaves`, async () => {
    const { end, sends, store, clock } = await jumping(() => {});
    await until(() => sends.length === 1);
    assert.equal((await store.get('state', 'lease')).untilMs, clock.now() + kLeaseMs);
    assert.equal(sends[0].effect.mayLeave(), true);
    clock.move(-1);
    assert.equal(sends[0].effect.mayLeave(), false, 'before the lease was asked for');
    clock.move(1 + kLeaseMs);
    assert.equal(sends[0].effect.mayLeave(), false, 'after it ran out');
    sends[0].resolve(kOk);
    assert.equal((await end).ok, true);
  });
}

test('who cannot get in before his event ends says "busy" and asks to be fired again', async () => {
  const manager = fakeLockManager();
  manager.request('', {}, () => new Promise(() => {}));
  const { store, turns, clock, inputs } = await world({ locks: webLocks(manager) });
  const ask = { holder: 'alive', ttlMs: kLeaseMs, codeVersion: '1' };
  const { token } = await store.acquireLease({ ...ask, nowMs: clock.now() });
  const { end } = turns.ask({ event: { type: 'sync', deadlineMs: clock.now() + 50_000 } });
  for (let i = 0; i < 60; i++) {
    await store.renewLease({ token, nowMs: clock.now(), ttlMs: kLeaseMs });
    clock.move(1_000);
    for (let j = 0; j < 10; j++) await steps();
  }
  const ended = await end;
  assert.deepEqual([ended.ok, ended.reject, ended.error.code, inputs.length], [false, true, 'busy', 0]);
});

test('without Web Locks the lease alone decides', async () => {
  const { store, turns, clock, inputs } = await world({ locks: webLocks(undefined) });
  await store.acquireLease({ holder: 'other', nowMs: clock.now(), ttlMs: kLeaseMs, codeVersion: '1' });
  const { end } = turns.ask({});
  for (let i = 0; i < 40 && inputs.length === 0; i++) { clock.move(1_000); for (let j = 0; j < 10; j++) await steps(); }
  assert.equal((await end).ok, true);
});

test('close gives up what is under way, frees lease, lock and timers, and refuses what comes later', async () => {
  const manager = fakeLockManager();
  const { store, turns, clock, sends, published } = await world({ scripts: [[plan({ effects: [sending(1)], wakeAtMs: 9e12 })]], locks: webLocks(manager) });
  const { end, answers } = turns.ask({ event: { type: 'manual' } });
  await until(() => sends.length === 1);
  const asked = turns.ask({ commands: [{ type: 'status' }] });
  await turns.close();
  assert.deepEqual([(await end).ok, (await end).reject, (await end).error.code], [false, false, 'closed']);
  assert.deepEqual(await answers, []);
  await assert.rejects(asked.answers, { code: 'closed' });
  await assert.rejects(turns.ask({ commands: [{ type: 'status' }] }).answers, { code: 'closed' });
  assert.equal((await store.get('state', 'lease')).holder, null);
  assert.deepEqual([manager.isHeld(), clock.pending(), sends[0].signal.aborted], [false, 0, true]);
  assert.equal(published.some(([type]) => type === 'sync.failed'), false);
});

test('a store that cannot be read ends the drain as a storage failure, and nothing is sent', async () => {
  const { store, turns, sends, published } = await world({ scripts: [[plan({ effects: [sending(1)] })]] });
  store.rows = async () => { throw new StoreError('corrupt', 'bad page'); };
  const end = await turns.ask({ event: { type: 'sync' } }).end;
  assert.deepEqual([end.ok, end.reject, end.error.code, sends.length], [false, true, 'corrupt', 0]);
  assert.deepEqual(published[0], ['sync.failed', { class: 'storage', message: 'bad page' }]);
});

test('a status is published when the plan has one, after its commits', async () => {
  const { turns, log, published } = await world({ scripts: [[plan({ effects: [history(1, 'a')], status: { state: 'running' } }), kDone]] });
  await turns.ask({}).end;
  assert.deepEqual(published[0], ['status', { state: 'running' }]);
  assert.ok(log.indexOf('publish status') > log.indexOf('commit a'));
  assert.deepEqual(turns.status, { state: 'running' });
});

for (const [name, fresh] of Object.entries(kStores))
  test(`${name}: killed at every await, nothing is sent before its mark is stored, and the next drain starts from what is stored`, async () => {
    const script = [
      plan({ effects: [{ type: 'load', id: 1, items: [{ slot: 1, store: 'payloads', key: '000000000001:next' }] }] }),
      plan({ effects: [history(2, 'mark'), sending(3)] }),
      plan({ effects: [history(4, 'done')] }),
      kDone,
    ];
    const points = await everyKill(fresh, async ({ store, kill, mayDie, died }) => {
      await store.accept([item('1', 'a')], kLimits);
      const markAtSend = [];
      await mayDie(async (point) => {
        const first = await world({ store: dying(store, point), scripts: [script] });
        first.deps.transport.send = async () => { point(); markAtSend.push(await store.get('history', 'mark')); point(); return { ...kOk }; };
        const { ok } = await first.turns.ask({ event: { type: 'sync' } }).end;
        if (!died()) assert.ok(ok && first.inputs.length === 4);
      });
      for (const mark of markAtSend) assert.deepEqual(mark, { n: 1 }, `kill ${kill}: sent before its mark`);
      const again = await world({ store, scripts: [[kDone]] });
      assert.equal((await again.turns.ask({}).end).ok, true, `kill ${kill}`);
      const kept = await everything(store);
      assert.equal(kept.ops.length, 1, `kill ${kill}`);
      if (kept.history.some(({ key }) => key === 'done')) assert.ok(kept.history.some(({ key }) => key === 'mark'), `kill ${kill}: done without mark`);
    });
    assert.ok(points >= 14, `${points} points`);
  });
