// The planner as it ships, with long queues, for bench/queue.mjs: its store answers at once, its server does everything.
import { readFileSync } from 'node:fs';
import { at } from '../../scripts/lib.mjs';
import { createPlanner } from '../../wasm/index.js';
import { clock } from '../measure.mjs';

const kNow = 1_795_262_400_000, kWindow = 1000;
const kState = { settings: { maximumConcurrentOperations: 1, maxBatchOps: 50, coalesce: false } };
const encoder = new TextEncoder(), decoder = new TextDecoder();
const kBody = encoder.encode('{"n":1}');
const fresh = () => createPlanner(() => readFileSync(at('dist', 'tidegate.wasm')));
const row = (/** @type {number} */ seq) => ({
  seq, id: `01990000-0000-7000-8000-${String(seq).padStart(12, '0')}`, lane: `:FORM/${seq}`, owner: '', entity: 'FORM', entityId: `${seq}`, action: 'create',
  priority: ['low', 'normal', 'normal', 'high'][seq % 4], createdAt: kNow - 1000 * (seq % 5000), sizeBytes: kBody.length, state: 'queued',
});
const rowsFrom = (/** @type {number} */ first, /** @type {number} */ count) => Array.from({ length: count }, (_, i) => row(first + i));

/** A planner with its shell's loop around it, which stops at every request. */
class Warm {
  #planner; #seq = 0; #now = kNow; #seed = 1;
  /** @type {any[]} of the request that is out */
  #outcomes = [];
  #sent = 0;
  #spent = 0;

  /** @param {any} planner */
  constructor(planner) {
    this.#planner = planner;
  }

  /** @param {any} input */
  #step(input) {
    const whole = { nowMs: this.#now, seed: this.#seed++, rows: [], outcomes: [], commands: [], ...input };
    const start = clock.now();
    const plan = this.#planner.step(whole);
    this.#spent += clock.now() - start;
    return plan;
  }

  /** Gives the planner so many rows, in windows, while there is no network; then the first batch goes out. @param {number} count */
  fill(count) {
    let outcomes = [];
    for (; this.#seq < count; this.#seq += kWindow)
      outcomes = this.#answer(this.#step({ readings: { online: false }, rows: rowsFrom(this.#seq + 1, kWindow), more: this.#seq + kWindow < count, outcomes }).effects);
    while (outcomes.length > 0) outcomes = this.#answer(this.#step({ outcomes }).effects);
    this.#untilSent(this.#step({ readings: { online: true }, event: { type: 'online' } }));
  }

  /** The answer to the batch that is out goes in, with as many new rows, and the next batch comes out. Answers the microseconds spent in the planner. */
  cycle() {
    this.#spent = 0;
    this.#now += 50;
    const rows = rowsFrom(this.#seq + 1, this.#sent);
    this.#seq += this.#sent;
    this.#untilSent(this.#step({ outcomes: this.#outcomes, rows }));
    return this.#spent;
  }

  /** @param {any} plan */
  #untilSent(plan) {
    for (this.#sent = 0; this.#sent === 0;) {
      this.#outcomes = this.#answer(plan.effects);
      if (this.#sent === 0) plan = this.#step({ outcomes: this.#outcomes });
      if (this.#sent === 0 && this.#outcomes.length === 0) throw new Error('the planner has nothing more to send');
    }
    // The commit that goes before the request is stored before the request is answered.
    const commits = this.#outcomes.filter(({ commit }) => commit);
    this.#outcomes = this.#outcomes.filter(({ commit }) => !commit);
    if (commits.length > 0) this.#answer(this.#step({ outcomes: commits }).effects);
  }

  /** @param {any[]} effects @returns {any[]} outcomes */
  #answer(effects) {
    return effects.flatMap((effect) => {
      if (effect.type === 'load') return [this.#load(effect)];
      if (effect.type === 'commit') return [{ id: effect.id, commit: 'ok' }];
      return effect.type === 'send' ? [this.#send(effect)] : [];
    });
  }

  /** @param {any} effect */
  #load({ id, items }) {
    const there = items.filter((/** @type {any} */ item) => item.store === 'payloads');
    for (const item of there) this.#planner.put(item.slot, kBody);
    return { id, metas: [], missing: items.filter((/** @type {any} */ item) => !there.includes(item)).map((/** @type {any} */ item) => item.slot) };
  }

  /** @param {any} effect */
  #send({ id, slot, answerSlot }) {
    const ids = decoder.decode(this.#planner.bytes(slot)).split('\n').filter((line) => line.includes('"id":')).map((line) => JSON.parse(line).id);
    const lines = [{ protocol: 1, results: ids.length }, ...ids.map((op) => ({ id: op, status: 201, etag: '"1"' }))];
    const body = encoder.encode(`${lines.map((line) => JSON.stringify(line)).join('\n')}\n`);
    this.#planner.put(answerSlot, body);
    this.#sent = ids.length;
    return { id, status: 200, headers: { 'content-type': 'application/x-ndjson' }, answerSlot, sentBytes: 1000, bodyBytes: body.length, startedAtMs: this.#now, endedAtMs: this.#now + 40 };
  }
}

/** A planner with so many ops queued and a batch of 50 out. @param {number} count */
export async function fullPlanner(count) {
  const planner = await fresh();
  planner.restore(null, kState);
  const warm = new Warm(planner);
  warm.fill(count);
  return warm;
}

/** What restoring so many ops from their rows costs (above 2 000 the core keeps no snapshot), and how much memory Wasm has then. @param {number} count */
export async function restored(count) {
  const planner = await fresh();
  planner.restore(null, kState);
  const start = clock.now();
  for (let seq = 1; seq <= count; seq += kWindow)
    planner.step({ nowMs: kNow, seed: seq, readings: { online: false }, rows: rowsFrom(seq, kWindow), outcomes: [], commands: [], more: seq + kWindow <= count });
  return { nsPerOp: (1000 * (clock.now() - start)) / count, heapBytes: planner.heapBytes };
}
