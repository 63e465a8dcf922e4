// A process of the device: a page whose client drains by itself, put together as sw/node.js does it, with every await of the shell a place where it may die or freeze. A dead
// process hears nothing any more; a frozen one hears everything at once when it thaws. Its locks go when it dies, and stay while it is frozen.
import { createPlanner } from '../../../wasm/index.js';
import { Account, ticketOf } from '../../../sw/account.js';
import { createCalls } from '../../../sw/calls.js';
import { askOf } from '../../../sw/engine.js';
import { tell } from '../../../sw/listeners.js';
import { webLocks } from '../../../sw/locks.js';
import { Marker } from '../../../sw/marker.js';
import { openStore } from '../../../sw/store.js';
import { createTransport } from '../../../sw/transport.js';
import { Turns } from '../../../sw/turns.js';
import { Waker } from '../../../sw/waker.js';
import { disk, full, record } from './disk.js';
import { sealing } from './seals.js';

const kOrigin = 'https://app.example';
const never = () => new Promise(() => {});

export class Realm {
  alive = true;
  /** @type {(() => void)[] | null} what it will hear when it thaws */
  #frozen = null;
  /** That of the lease it was granted last. */
  token = 0;
  /** The highest row its core was shown. */
  knownSeq = 0;
  /** @type {any} the last one told */
  status = null;
  /** What its core was told last. @type {any} */
  readings = {};
  /** @type {any} */
  client = null;
  online = true;
  /** Calls of resume() that were not answered yet. */
  resuming = 0;
  /** Effect of its core → the seconds that its answer asked for. @type {Map<number, number>} */
  asked = new Map();
  /** Commits that are being sealed, as the core planned them: what the checkers look at. @type {Map<number, any>} by token */
  #meant = new Map();

  /** @param {import('./history.js').History} history @param {string} owner */
  constructor(history, owner) {
    this.history = history;
    this.world = history.world;
    this.owner = owner;
    this.n = history.realms.push(this);
    const { dice } = this.world;
    this.chance = dice.of(`realm ${this.n}`);
    this.random = dice.of(`ids ${this.n}`);
    this.life = dice.roll('crash', 0.6) ? 1 + this.chance.below(dice.of('fault crash').chance(0.3) ? 30 : 400) : Infinity;
    this.warmth = dice.roll('freeze', 0.6) ? 1 + this.chance.below(200) : Infinity;
  }

  // --- what may end it ---------------------------------------------------------------------------------------------------------

  kill() {
    if (!this.alive) return;
    this.alive = false;
    this.world.counts.crashes += 1;
    this.world.trace?.(`realm ${this.n} dies`);
    this.history.locks.leave(this);
    this.history.check.gone(this);
  }

  freeze() {
    const ms = this.chance.between(1_000, 120_000);
    this.#frozen = [];
    this.world.counts.freezes += 1;
    this.world.trace?.(`realm ${this.n} freezes for ${ms}`);
    this.world.in(ms, () => {
      const heard = this.#frozen ?? [];
      this.#frozen = null;
      this.world.trace?.(`realm ${this.n} thaws`);
      for (const run of heard) this.hear(run);
      this.warmth = 1 + this.chance.below(300);
    });
  }

  get isFrozen() { return this.#frozen !== null; }

  /** @param {() => void} run */
  hear(run) {
    if (!this.alive) return;
    if (this.#frozen) this.#frozen.push(run);
    else run();
  }

  /** An await: time passes, and it may be the last. */
  pause() {
    if (!this.alive || this.#dies()) return never();
    if (--this.warmth === 0) this.freeze();
    const { dice } = this.world;
    const ms = dice.roll('slow', 0.01) ? this.chance.between(50, 3_000) : this.chance.between(0.05, 2) * this.history.storeFactor;
    return new Promise((resolve) => { this.world.in(ms, () => this.hear(() => resolve(undefined))); });
  }

  #dies() {
    this.life -= 1;
    if (this.life > 0) return false;
    this.kill();
    return true;
  }

  // --- what it stands on -------------------------------------------------------------------------------------------------------

  clock = {
    now: () => Math.floor(this.world.nowMs),
    utcOffsetMinutes: () => 0,
    timer: (/** @type {number} */ ms, /** @type {() => void} */ run) => {
      let live = true;
      this.world.in(ms, () => this.hear(() => { if (live) run(); }));
      return () => { live = false; };
    },
    sleep: (/** @type {number} */ ms, /** @type {AbortSignal} */ signal) => new Promise((/** @type {(value?: any) => void} */ resolve) => {
      if (signal?.aborted) return resolve();
      const done = () => {
        cancel();
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const cancel = this.clock.timer(ms, done);
      signal?.addEventListener('abort', done);
    }),
  };

  numbers = {
    seed: () => this.random.below(2 ** 32),
    uuid: (/** @type {number} */ nowMs) => {
      const time = Math.floor(nowMs).toString(16).padStart(12, '0');
      const hex = (/** @type {number} */ digits) => Array.from({ length: digits }, () => this.random.below(16).toString(16)).join('');
      return `${time.slice(0, 8)}-${time.slice(8)}-7${hex(3)}-8${hex(3)}-${hex(12)}`;
    },
  };

  /** @param {any} store */
  #mortal(store) {
    return new Proxy(store, { get: (target, name) => (typeof target[name] !== 'function' ? target[name] : async (/** @type {any[]} */ ...args) => {
      // The lease is asked for in the very tick in which the lock came, and transactions of one store are first come, first served.
      if (name !== 'acquireLease') await this.pause();
      else if (!this.alive || this.#dies()) return never();
      this.world.trace?.(`realm ${this.n} ${String(name)} ${/Lease/.test(String(name)) ? JSON.stringify(args) : ''}`);
      if (['accept', 'commit'].includes(String(name)) && this.world.dice.roll('quota', 0.03)) full.next = true, this.world.counts.quotaAborts += 1;
      const { check } = this.history;
      const held = record('state', 'lease');
      let result, failure = null;
      const commit = name === 'commit' ? this.#meant.get(args[0].token) ?? args[0] : null;
      const seen = commit && check.beforeCommit(commit);
      try { result = await this.world.working(() => target[name](...args)); } catch (error) { failure = error; }
      full.next = false;
      if (name === 'releaseLease') check.released(this, args[0].token);
      if (commit) check.afterCommit(this, commit, seen, failure ? 'error' : result);
      if (name === 'rows' && result?.length) this.knownSeq = Math.max(this.knownSeq, result.at(-1).seq);
      if (name === 'acquireLease' && result) this.#granted(result, held);
      await this.pause();
      if (failure) throw failure;
      return result;
    }) });
  }

  /** With seals around it, where this history has them. @param {any} store @param {(type: string, detail: any) => void} publish */
  #sealed(store, publish) {
    if (!disk.sealed) return store;
    const sealed = sealing(store, { owner: this.owner, publish });
    return { ...sealed, commit: async (/** @type {any} */ commit) => {
      this.#meant.set(commit.token, commit);
      try { return await sealed.commit(commit); } finally { this.#meant.delete(commit.token); }
    } };
  }

  /** @param {any} lease @param {any} before */
  #granted({ token }, before) {
    if (before?.holder) this.world.counts.takeovers += 1;
    this.token = token;
  }

  /** The planner, and what goes in and out of it. */
  async #planner() {
    await this.pause();
    this.asked.clear();   // a core that trapped took with it what it had not heard yet, and the next one counts its effects anew
    const planner = await this.world.working(() => createPlanner(this.history.wasm));
    await this.pause();
    const step = planner.step.bind(planner);
    planner.step = (input) => {
      if (this.world.dice.roll('trap', 0.02)) {
        this.world.counts.traps += 1;
        throw new RangeError('memory access out of bounds');
      }
      this.world.counts.steps += 1;
      this.history.check.heard(this, input);
      this.world.log(`${this.n} ${JSON.stringify(input)}`);
      const plan = step(input);
      this.world.log(JSON.stringify(plan));
      this.world.trace?.(`realm ${this.n} step ${JSON.stringify(input).slice(0, 1500)}\n    plan ${JSON.stringify(plan).slice(0, 3000)}`);
      return plan;
    };
    return planner;
  }

  /** @param {(owner: string) => Record<string, string>} authorize */
  #transport(authorize) {
    const { world, history } = this;
    const carrierOf = (/** @type {number} */ id) => createTransport({ endpoint: '/api/v1', base: `${kOrigin}/`, authorize, clock: this.clock, fetch: /** @type {any} */ ((/** @type {URL} */ url, /** @type {any} */ init) => {
      const body = Buffer.from(init.body ?? []);
      const subject = (init.headers.get('authorization') ?? '').replace(/^Bearer of-/, '');
      const name = `${this.n} ${init.method} ${url} ${body.toString('latin1')}`;
      world.leave();
      if (!this.alive) return never();
      return new Promise((resolve, reject) => {
        let over = false;
        const settle = (/** @type {() => Response} */ answer) => {
          if (over) return;
          over = true;
          world.enter();
          try {
            const response = answer();
            history.check.answered(this, id, response);
            resolve(response);
          } catch (error) {
            reject(error);
          }
        };
        const abort = () => settle(() => { throw init.signal.reason; });
        if (init.signal.aborted) return abort();   // given up while its body was compressed
        init.signal.addEventListener('abort', abort);
        world.arrive(name, () => history.network.carry({ method: init.method, url, headers: init.headers, body, redirect: init.redirect, subject }, (answer) => this.hear(() => settle(answer))));
      });
    }) });
    return {
      send: async (/** @type {any} */ effect, /** @type {Uint8Array | undefined} */ body, /** @type {AbortSignal} */ signal) => {
        if (effect.type === 'ask') return {};
        history.check.sent(this, effect, body);
        world.log(`${this.n} send ${JSON.stringify(effect)}`);
        world.enter();
        try {
          return await carrierOf(effect.id).send(effect, body, signal);
        } finally {
          world.leave();
          history.check.landed(this, effect);
        }
      },
    };
  }

  // --- the client --------------------------------------------------------------------------------------------------------------

  /** Opens the client, as a page does when it is loaded. */
  async open() {
    const { world, history, owner } = this;
    await this.pause();
    const plain = this.#mortal(await world.working(() => openStore({ clock: this.clock })));
    const listeners = new Set();
    const account = new Account(owner, await ticketOf(plain, this.clock));
    const locks = webLocks(/** @type {any} */ (history.locks.of(this)));
    const publish = (/** @type {string} */ type, /** @type {any} */ detail) => {
      if (!this.alive) return;
      history.check.published(this, type, detail);
      world.log(`${this.n} ${type} ${JSON.stringify(detail)}`);
      world.trace?.(`realm ${this.n} says ${type} ${JSON.stringify(detail)?.slice(0, 400)}`);
      if (type === 'sync.ended') waker.arm(detail.wakeAtMs);
      if (account.hears(type, detail)) tell(/** @type {any} */ (listeners), type, detail);
    };
    const store = this.#sealed(plain, publish);
    const transport = this.#transport((of) => ({ authorization: history.tokenOf(of) }));
    const turns = new Turns({
      store, clock: this.clock, random: this.numbers, locks, publish, transport, createPlanner: () => this.#planner(),
      readings: () => ({ online: this.online, utcOffsetMinutes: 0 }),
    });
    this.turns = turns;
    const start = turns.ask.bind(turns);
    turns.ask = (request) => {
      const asked = start(request);
      asked.end.then((end) => { if (end.ok) history.check.idle(this); });
      return asked;
    };
    const ask = account.introduced(askOf(turns));
    const poke = (/** @type {any} */ event) => ask({ event, commands: [] }, 'end').catch(() => {});
    this.poke = poke;
    const waker = new Waker(this.clock, () => { poke({ type: 'timer', trigger: 'periodic' }); });
    const mark = { read: async () => { await this.pause(); return history.mark; }, write: async (/** @type {any} */ value) => { await this.pause(); history.mark = value; } };
    const marker = new Marker(mark, store, this.clock, (loss) => publish('sync.storage-lost', loss));
    const client = await createCalls({ endpoint: '/api/v1', owner }, {
      store, clock: this.clock, random: this.numbers, listeners: /** @type {any} */ (listeners), marker, account, locks, ask,
      accepted: () => { poke({ type: 'accept', trigger: 'data-change' }); },
      supported: () => ({}), close: async () => { waker.close(); await turns.close(); },
    });
    this.client = client;
    poke({ type: 'start', trigger: 'start' });
    return client;
  }
}

/** Web Locks of the origin. */
export class LockTable {
  /** @type {{realm: Realm, resolve: (value: any) => void, reject: (error: any) => void, callback: () => Promise<any>}[]} */
  #queue = [];
  /** @type {any} */
  #held = null;

  /** As one process sees them. @param {Realm} realm */
  of(realm) {
    return {
      request: (/** @type {string} */ _name, /** @type {any} */ { signal, steal }, /** @type {() => Promise<any>} */ callback) => new Promise((resolve, reject) => {
        const entry = { realm, resolve, reject, callback };
        realm.world.trace?.(`realm ${realm.n} asks for the lock${steal ? ' by force' : ''}, ${this.#held ? `held by ${this.#held.realm.n}` : 'free'}`);
        if (steal) {
          const robbed = this.#held;
          this.#held = null;
          if (robbed) robbed.realm.hear(() => robbed.reject(new DOMException('stolen', 'AbortError')));
          this.#queue.unshift(entry);
        } else {
          this.#queue.push(entry);
        }
        signal?.addEventListener('abort', () => {
          const at = this.#queue.indexOf(entry);
          if (at < 0) return;
          this.#queue.splice(at, 1);
          reject(signal.reason);
        });
        this.#next();
      }),
    };
  }

  #next() {
    if (this.#held || this.#queue.length === 0) return;
    const entry = /** @type {any} */ (this.#queue.shift());
    this.#held = entry;
    entry.realm.hear(() => entry.callback().then((/** @type {any} */ value) => {
      entry.resolve(value);
      if (this.#held === entry) { this.#held = null; this.#next(); }
    }));
  }

  /** Of a process that died. @param {Realm} realm */
  leave(realm) {
    this.#queue = this.#queue.filter((entry) => entry.realm !== realm);
    if (this.#held?.realm === realm) { this.#held = null; this.#next(); }
  }
}
