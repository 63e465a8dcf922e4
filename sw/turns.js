// Single flight: whoever asks for something starts a drain or joins the one that runs, and is told when its drain is over.
import { deferred } from './deferred.js';
import { TidegateError, closedError } from './errors.js';
import { Drain } from './turn.js';

/** @import { Asked, End, Kept, Request, TurnDeps } from './turn.js' */
/** @import { Status } from '../wasm/protocol.js' */

export class Turns {
  /** @type {Entry[]} requests no step has seen yet */
  #waiting = [];
  /** @type {Promise<void> | null} */
  #running = null;
  /** @type {Drain | null} */
  #drain = null;
  /** @type {Kept | null} */
  #kept = null;
  #closing = new AbortController();
  /** @type {Status | null} the last one published */
  status = null;

  /** @param {TurnDeps} deps */
  constructor(deps) {
    this.deps = deps;
    this.holder = deps.random.uuid(deps.clock.now());
  }

  /**
   * Asks the core for something; starts a drain, or joins the running one. `answers` resolve once what they say is stored, `end` with the drain.
   * @param {Request} request @returns {Asked}
   */
  ask(request) {
    const entry = new Entry(request);
    if (this.#closing.signal.aborted) {
      entry.finish({ ok: false, reject: false, wakeAtMs: null, error: closedError() });
    } else {
      this.#waiting.push(entry);
      this.#drain?.wake();
      this.#running ??= this.#run();
    }
    return { answers: entry.answers.promise, end: entry.end.promise };
  }

  /** Ends the running drain (requests under way are given up, their ops keep their keys) and refuses what comes later. */
  async close() {
    this.#closing.abort();
    this.#drain?.wake();
    await this.#running;
    this.#kept = null;
  }

  async #run() {
    await null;   // requests of the same tick share one drain
    while (this.#waiting.length > 0) {
      const drain = new Drain(this.deps, this.#waiting, this.#closing.signal, (status) => { this.status = status; });
      this.#drain = drain;
      const end = await drain.run(this.holder, this.#kept);
      this.#kept = drain.kept;
      this.#drain = null;
      // A drain that could not even begin answers everybody; else who came too late for it gets the next one.
      for (const entry of drain.taken.length > 0 ? drain.taken : this.#waiting.splice(0)) entry.finish(end);
      this.deps.publish('sync.ended', { wakeAtMs: end.wakeAtMs });
    }
    this.#running = null;   // in the same tick as the last look at #waiting, so that nobody is overlooked
  }
}

/** One request and its two promises. */
export class Entry {
  /** @param {Request} request */
  constructor({ event, commands = [] }) {
    this.event = event;
    this.commands = commands;
    this.answers = deferred();
    this.end = deferred();
  }

  /** @param {any[]} answers */
  answer(answers) {
    this.given = answers;
    this.answers.resolve(answers);
  }

  /** @param {End} end */
  finish(end) {
    if (this.commands.length === 0) this.answers.resolve([]);
    this.answers.reject(end.error ?? new TidegateError('internal', '', 'the drain ended without an answer'));
    this.end.resolve(this.given?.length ? { ...end, answers: this.given } : end);
  }
}
