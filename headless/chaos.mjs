// Faults at times drawn from the seed, each counted only when it really happened.
//
// There is a list of strikes in drawn order. When a request begins on the line, the next strike (after the requests it lets
// pass) is set off a drawn moment later, while the request is still in flight:
//
//     kill         SIGKILL of the client's process, then a new one on the same files
//     kill_server  SIGKILL of the server, then a new one on the same database and port
//     offline      the line is cut, and mended after a while
//
// A request that was struck is sent again, so there is always a next one for the next strike. `reset` and `500` are the
// server's own doing (server/faults.js): by chance, and one of each is demanded early so that no run goes without.
// Besides, two kills fall between the saves themselves (`kill_saving`).

import { setTimeout as wait } from 'node:timers/promises';

/** How long the line holds an answer back; strikes fall within. */
export const LATENCY_MS = 40;
/** DESIGN: at least five kills per seed. */
export const MIN_KILLS = 5;
const OFFLINE_STRIKES = 2;
const SAVING_KILLS = 2;

/** What the server is asked for, by the fault's name on our command line: by chance at these rates, and one of each for certain. */
const SERVER_FAULTS = {
  reset: { resetBefore: 0.06, resetAfter: 0.06, truncate: 0.03 },
  500: { status500: 0.08, status500After: 0.05 },
};

/** @typedef {{kind: 'kill' | 'kill_server' | 'offline', pass: number, delayMs: number, pauseMs: number}} Strike */

/** @param {Set<string>} faults @returns {Record<string, number>} */
export function serverFaultRates(faults) {
  return Object.assign({}, ...Object.entries(SERVER_FAULTS).flatMap(([name, rates]) => (faults.has(name) ? [rates] : [])));
}

export class Chaos {
  counts = { kill: 0, kill_saving: 0, kill_server: 0, offline: 0 };
  /** @type {Strike[]} */
  #strikes;
  /** @type {number[]} the client is killed while saving, as soon as so many saves were begun; ascending */
  #savingKills;
  #savesBegun = 0;
  /** @type {Promise<void> | null} what is being done right now */
  #blow = null;
  #over = false;

  /**
   * @param {object} options
   * @param {Set<string>} options.faults
   * @param {import('./random.mjs').Random} options.random
   * @param {import('./client-process.mjs').ClientProcess} options.client
   * @param {import('./server-process.mjs').ServerProcess} options.server
   * @param {import('./link.mjs').Link} options.link
   * @param {number} options.versions         how many are saved
   * @param {number} options.savedBefore      how many of them before the first contact
   * @param {number} options.spareRequests    requests that may pass unharmed between the strikes
   * @param {(error: unknown) => void} options.onError
   */
  constructor({ faults, random, client, server, link, versions, savedBefore, spareRequests, onError }) {
    this.faults = faults;
    this.random = random;
    this.client = client;
    this.server = server;
    this.link = link;
    this.#strikes = drawStrikes(faults, random, spareRequests);
    // One falls before the first contact, where no other blow is in its way.
    const kills = [random.integer(1, savedBefore), random.integer(1, versions)].slice(0, Math.min(SAVING_KILLS, versions));
    this.#savingKills = faults.has('kill') ? kills.sort((one, other) => one - other) : [];
    this.onError = onError;
    link.on('request', () => { this.#strike().catch(onError); });
    client.on('saving', () => { this.#killSaving().catch(onError); });
  }

  /** Before the first contact. */
  async begin() {
    this.#demandServerFaults(await this.server.stats());
  }

  /** The run is over: nothing more is harmed, and what was being done to somebody is finished. */
  async end() {
    this.#over = true;
    await this.#blow;
    this.link.mend();
  }

  /** One blow at a time. @param {() => Promise<void>} blow */
  async #strikeWith(blow) {
    this.#blow = blow();
    try {
      await this.#blow;
    } finally {
      this.#blow = null;
    }
  }

  /** @param {import('./server-process.mjs').Stats} stats */
  #demandServerFaults({ faults }) {
    const demanded = Object.entries(SERVER_FAULTS)
      .filter(([name, rates]) => this.faults.has(name) && !Object.keys(rates).some((fault) => faults[fault] > 0))
      .map(([, rates]) => pick(this.random, Object.keys(rates).slice(0, 2)));
    if (demanded.length > 0) this.server.demandFaults(shuffle(this.random, demanded));
  }

  async #strike() {
    const strike = this.#strikes[0];
    if (strike === undefined || this.#blow !== null || this.#over) return;
    if (strike.pass > 0) {
      strike.pass -= 1;
      return;
    }
    await this.#strikeWith(async () => {
      await wait(strike.delayMs);
      // Answered already, or finished by something else: this strike waits for the next request.
      if (this.#over || this.link.inFlight === 0 || !this.client.alive) return;
      this.#strikes.shift();
      await this.#perform(strike);
    });
  }

  /** @param {Strike} strike */
  async #perform({ kind, pauseMs }) {
    if (kind === 'kill') {
      await this.#killClient('kill', pauseMs);
    } else if (kind === 'kill_server') {
      await this.server.kill();
      this.link.cut(); // What it had answered dies with its machine, and nobody reaches it until it is back.
      this.counts.kill_server += 1;
      await wait(pauseMs);
      await this.server.start();
      this.#demandServerFaults(await this.server.stats());
      this.link.mend();
    } else {
      const before = this.link.turnedAway;
      this.link.cut();
      await wait(pauseMs);
      this.link.mend();
      if (this.link.turnedAway > before) this.counts.offline += 1;
    }
  }

  async #killSaving() {
    this.#savesBegun += 1;
    if (!(this.#savingKills[0] <= this.#savesBegun) || this.#blow !== null || this.#over || !this.client.alive) return;
    this.#savingKills.shift();
    await this.#strikeWith(async () => {
      await wait(this.random.integer(0, 8));
      if (this.client.alive) await this.#killClient('kill_saving', 0);
    });
  }

  /** @param {'kill' | 'kill_saving'} kind @param {number} pauseMs */
  async #killClient(kind, pauseMs) {
    await this.client.kill();
    this.counts[kind] += 1;
    await wait(pauseMs);
    this.client.start();
  }
}

/** @param {Set<string>} faults @param {import('./random.mjs').Random} random @param {number} spareRequests @returns {Strike[]} */
function drawStrikes(faults, random, spareRequests) {
  /** @type {Strike['kind'][]} */
  const kinds = [];
  if (faults.has('kill')) {
    for (let kills = random.integer(MIN_KILLS, MIN_KILLS + 2); kills > 0; kills -= 1) kinds.push('kill');
    kinds.push('kill_server');
  }
  if (faults.has('offline')) for (let cuts = 0; cuts < OFFLINE_STRIKES; cuts += 1) kinds.push('offline');
  let spare = spareRequests;
  return shuffle(random, kinds).map((kind) => {
    const pass = random.integer(0, Math.min(2, spare));
    spare -= pass;
    return { kind, pass, delayMs: random.integer(0, LATENCY_MS - 15), pauseMs: random.integer(0, kind === 'kill' ? 50 : 300) };
  });
}

/** @template T @param {import('./random.mjs').Random} random @param {T[]} items */
function pick(random, items) {
  return items[random.integer(0, items.length - 1)];
}

/** Fisher and Yates. @template T @param {import('./random.mjs').Random} random @param {T[]} items */
function shuffle(random, items) {
  const shuffled = [...items];
  for (let last = shuffled.length - 1; last > 0; last -= 1) {
    const other = random.integer(0, last);
    [shuffled[last], shuffled[other]] = [shuffled[other], shuffled[last]];
  }
  return shuffled;
}
