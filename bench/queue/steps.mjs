// How long the steps of the planner take with as many ops queued as it takes, settings as they come, for bench/queue.mjs. Around it the shell's loop: rows in its windows,
// a store that answers at once, a server that does everything. Run with the options of longestSteps() as JSON, it prints what that answers.
import { readFileSync } from 'node:fs';
import { at, isMain } from '../../scripts/lib.mjs';
import { createPlanner } from '../../wasm/index.js';
import { clock } from '../measure.mjs';

const kNow = 1_795_262_400_000, kWindow = 200, kInRound = 20;
const encoder = new TextEncoder(), decoder = new TextDecoder();
/** A form of 2 kB, of which an edit changes two values. @param {number} edition */
const form = (edition) => encoder.encode(JSON.stringify({
  title: 'Visit', edition, note: 'Größe ≥ 4 — «ok»',
  lines: Array.from({ length: 40 }, (_, line) => ({ line, name: `Position ${line}`, pieces: line === 7 ? edition : 0 })),
}));
const kForms = [form(1), form(2)], kSmall = encoder.encode('{"n":1,"title":"Visit","severity":3}');

/** A planner, its shell's loop, and how long each step took. */
class Steps {
  #planner; #edits; #next; #seed = 1; #now = kNow;
  /** @type {any[]} what is known for the next step */
  #outcomes = [];
  /** @type {any[]} of the requests that are out */
  #answers = [];
  longestUs = 0;

  /** @param {any} planner @param {boolean} edits */
  constructor(planner, edits) {
    this.#planner = planner;
    this.#edits = edits;
    this.#next = edits ? kForms[1] : kSmall;
  }

  /** @param {any} input */
  step(input) {
    const whole = { nowMs: this.#now += 10, seed: this.#seed++, readings: {}, rows: [], outcomes: this.#outcomes.splice(0), commands: [], ...input };
    const start = clock.now();
    const plan = this.#planner.step(whole);
    this.longestUs = Math.max(this.longestUs, clock.now() - start);
    for (const effect of plan.effects) this.#perform(effect);
    return plan;
  }

  /** Reads so many rows. @param {number} count @returns {number[]} the longest step of every twenty windows, in microseconds; the first twenty warm up */
  fill(count) {
    const longest = [];
    for (let first = 1, window = 0; first <= count; first += kWindow, window++) {
      if (window % kInRound === 0) this.longestUs = 0;
      this.step({ readings: { online: false }, rows: Array.from({ length: Math.min(kWindow, count - first + 1) }, (_, i) => this.#row(first + i)), more: first + kWindow <= count });
      if (window >= kInRound && window % kInRound === kInRound - 1) longest.push(this.longestUs);
    }
    this.step({ readings: { online: true }, event: { type: 'online' } });
    return longest;
  }

  /** So many answers go in, and all that comes of each. */
  round() {
    this.longestUs = 0;
    for (let answered = 0; answered < kInRound;) {
      if (this.#outcomes.length === 0) {
        const answer = this.#answers.shift();
        if (!answer) throw new Error('the planner has nothing more to send');
        this.#planner.put(answer.answerSlot, answer.body);
        this.#outcomes.push(answer.outcome);
        answered++;
      }
      this.step({ readings: { online: true } });
    }
  }

  /** @param {number} seq */
  #row(seq) {
    return {
      seq, id: `01990000-0000-7000-8000-${String(seq).padStart(12, '0')}`, lane: `:FORM/${seq}`, owner: '', entity: 'FORM', entityId: `${seq}`, action: this.#edits ? 'update' : 'create',
      priority: ['low', 'normal', 'normal', 'high'][seq % 4], createdAt: kNow - 1000 * (seq % 5000), sizeBytes: this.#next.length, state: 'queued',
    };
  }

  /** @param {any} effect */
  #perform({ type, id, items, slot, answerSlot }) {
    if (type === 'commit') this.#outcomes.push({ id, commit: 'ok' });
    if (type === 'load') {
      const bases = items.filter((/** @type {any} */ item) => item.store === 'bases');
      for (const item of items) if (this.#edits || item.store !== 'bases') this.#planner.put(item.slot, item.store === 'bases' ? kForms[0] : this.#next);
      const slots = bases.map((/** @type {any} */ item) => item.slot);
      this.#outcomes.push({ id, metas: this.#edits ? slots.map((/** @type {number} */ slot) => ({ slot, value: { etag: '"1"' } })) : [], missing: this.#edits ? [] : slots });
    }
    if (type === 'send') {
      const ids = decoder.decode(this.#planner.bytes(slot)).split('\n').filter((line) => line.includes('"entity":')).map((line) => JSON.parse(line).id);
      const lines = [{ protocol: 1, results: ids.length }, ...ids.map((op) => ({ id: op, status: this.#edits ? 200 : 201, etag: '"2"' }))];
      const body = encoder.encode(`${lines.map((line) => JSON.stringify(line)).join('\n')}\n`);
      const outcome = { id, status: 200, headers: { 'content-type': 'application/x-ndjson' }, answerSlot, sentBytes: 1000, bodyBytes: body.length, startedAtMs: this.#now, endedAtMs: this.#now + 40 };
      this.#answers.push({ answerSlot, body, outcome });
    }
  }
}

/** The longest step of each round, in milliseconds; the first three rounds warm up. @param {{count: number, edits: boolean, rounds: number, also?: any[]}} options  also: commands, of each of which one step of a round is made */
export async function longestSteps({ count, edits, rounds, also = [] }) {
  const planner = await createPlanner(() => readFileSync(at('dist', 'tidegate.wasm')));
  planner.restore(null, {});
  const steps = new Steps(planner, edits);
  const reading = steps.fill(count).map((us) => us / 1000);
  const sending = [], asking = [];
  for (let round = -3; round < rounds; round++) {
    steps.round();
    if (round >= 0) sending.push(steps.longestUs / 1000);
    steps.longestUs = 0;
    for (const command of also) steps.step({ readings: { online: true }, commands: [command] });
    if (round >= 0) asking.push(steps.longestUs / 1000);
  }
  return { reading, sending, asking };
}

if (isMain(import.meta.url)) console.log(JSON.stringify(await longestSteps(JSON.parse(process.argv[2]))));
