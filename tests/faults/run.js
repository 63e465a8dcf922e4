// One library, one seed, one browser: queue ops with the line down, bring the line up with everything going wrong on it, look again after 25 s, and let the
// independent checker say what became of each op.
import { check } from '../../headless/checker.mjs';
import { createRandom } from '../../headless/random.mjs';
import { launch, newProfile, removeProfile, threwDatabaseAway } from '../browser/harness/chromium.js';
import { until } from '../browser/harness/until.js';
import { Gate } from './gate.js';
import { openLibrary } from './libraries.js';
import { createSite } from './site.js';

/** What issue and table mean by faults. */
export const kFaults = { ops: 200, rate500: 0.1, rateReset: 0.1, kills: 10 };
/** Then what is not delivered counts as left. */
export const kPatienceMs = 25_000;
/** Chromium's own retries of a failed sync event, one second apart (its flag): enough that no library runs out of them. */
const kSyncAttempts = 500;

/**
 * `blow` says what ends the worker: the browser stopping it, or a SIGKILL of the whole browser, which is then started again with nothing open.
 * @param {{library: string, seed: number, blow?: 'stop' | 'kill', faults?: typeof kFaults, patienceMs?: number}} options
 * @returns {Promise<{lost: number, duplicated: number, left: number, deliveriesPerOp: number, delivered: number, kills: number, starts: number, answered500: number, resets: number, seconds: number, thrownAway: boolean, findings: string[]}>}
 *     `thrownAway`: the browser says that it deleted the database (tearDatabase() in tests/browser/harness/chromium.js), so that what is lost says nothing of the library
 */
export async function runSeed({ library: name, seed, blow = 'stop', faults = kFaults, patienceMs = kPatienceMs }) {
  const library = await openLibrary(name);
  const gate = new Gate({ files: await createSite(), upstream: library.upstream, opsOf: library.opsOf, seed, killAfter: library.killAfter, ...faults });
  const machine = new Machine(gate);
  try {
    await gate.open();
    await machine.start();
    const docs = makeDocs(seed, faults.ops);
    const ids = await machine.queue(library, docs);
    const startedAt = performance.now();
    await machine.goOnline();
    gate.strike = () => machine.strike(blow);
    const over = () => performance.now() - startedAt > patienceMs;
    await until(async () => over() || (gate.isDoneStriking && (await machine.left(library.store)) === 0), 'the drain to end', { patienceMs: 2 * patienceMs });
    const seconds = (performance.now() - startedAt) / 1000;
    gate.strike = null;
    const left = await machine.left(library.store);
    const report = check(await library.evidence(await machine.open(library.path), docs, ids));
    return {
      lost: report.lost.length, duplicated: report.duplicated.length, left, deliveriesPerOp: gate.deliveriesFromResets(docs.length), delivered: gate.delivered,
      kills: gate.killed, starts: gate.starts.size, answered500: gate.counts.answered500, resets: gate.counts.reset, seconds, thrownAway: machine.threwDatabaseAway(),
      findings: [...report.lost, ...report.duplicated, ...(left === 0 ? report.unconverged : [])],
    };
  } finally {
    await machine.end();
    await gate.close();
    await library.close();
  }
}

/** The device: a browser on a profile that outlives it. */
export class Machine {
  #profile = newProfile();
  #browser = /** @type {any} */ (null);
  /** @type {any} a page of the origin that runs nothing: through it the test reads the store */
  #blank = null;
  #workers = /** @type {any} */ (null);
  #offline = /** @type {any} */ (null);
  /** @type {Promise<void>} the last blow */
  #striking = Promise.resolve();

  /** @param {Gate} gate */
  constructor(gate) {
    this.gate = gate;
  }

  async start() {
    this.#browser = await launch(this.#profile, { syncAttempts: kSyncAttempts });
    this.#workers = await this.#browser.workers();
    await this.#workers.enabled;
  }

  open(path) {
    return this.#browser.page(`${this.gate.origin}${path}`);
  }

  /** The worker active but offline, so that the browser holds its sync events back; the ops queued; no page of the app left. */
  async queue(library, docs) {
    const page = await this.open(library.path);
    await library.ready(page);
    this.#offline = await this.#browser.worker(this.gate.origin);
    await this.#offline.network(false);
    const ids = await library.queue(page, docs);
    await page.close();
    return ids;
  }

  async goOnline() {
    await this.#offline.network(true);
    await this.#offline.detach();   // a debugger would keep it alive
  }

  /** The worker online over a slow line. The debugger that makes it slow stays. @param {{latency: number, uploadThroughput: number}} line  ms, bytes a second (-1: no limit) */
  goOnlineOver(line) {
    return this.#offline.send('Network.emulateNetworkConditions', { offline: false, downloadThroughput: -1, ...line });
  }

  /** The worker of the app, which may be made slow or offline. */
  async holdWorker() {
    this.#offline = await this.#browser.worker(this.gate.origin);
    await this.#offline.network(true);
  }

  /** A running worker, which a debugger keeps alive from now on. @param {string} [script] */
  attach(script = '') {
    return this.#browser.worker(`${this.gate.origin}${script}`);
  }

  /** Offline again, so that what is queued next waits. */
  goOffline() {
    return this.#offline.network(false);
  }

  /** A sync event, at once. */
  fire() {
    return this.#workers.fire(this.gate.origin, 'tidegate');
  }

  /** @param {'stop' | 'kill'} blow */
  async strike(blow) {
    this.#striking = blow === 'stop' ? this.#workers.stop() : this.#replace();
    await this.#striking;
  }

  /** SIGKILL, and the browser again with nothing open: it fires the sync event by itself. */
  async #replace() {
    await this.#browser.kill();
    this.#blank = null;
    await this.start();
  }

  /** How many records a store has, read as they lie there. */
  async left(store) {
    this.#blank ??= await this.open('/blank');
    return this.#blank.run(countRecords, store);
  }

  threwDatabaseAway() {
    return threwDatabaseAway(this.#profile);
  }

  async end() {
    await this.#striking.catch(() => {});
    await this.#browser?.kill();
    removeProfile(this.#profile);
  }
}

/** @param {number} seed @param {number} count */
function makeDocs(seed, count) {
  const random = createRandom(seed, 'docs');
  return Array.from({ length: count }, (_, n) => ({ n, title: `Visit ${n}`, severity: random.integer(1, 5), note: 'Größe ≥ 4 — «ok»' }));
}

/** Runs in a page. */
async function countRecords({ database, name }) {
  const settled = (request) => new Promise((resolve, reject) => { request.onsuccess = () => resolve(request.result); request.onerror = () => reject(request.error); });
  const db = await settled(indexedDB.open(database));
  const count = await settled(db.transaction(name).objectStore(name).count());
  db.close();
  return count;
}
