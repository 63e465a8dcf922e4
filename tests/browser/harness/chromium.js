// Chromium by its own protocol over a pipe (https://chromedevtools.github.io/devtools-protocol/), because these tests need what a driver hides: the
// process id, to kill it; the profile, to start it again on; a worker that no debugger keeps alive; and the network of the worker alone.
import { spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { appendFileSync, closeSync, existsSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium as chromiumPath } from '../../../scripts/setup.mjs';
import { until } from './until.js';

const kFlags = [
  '--headless', '--remote-debugging-pipe', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--enable-logging=stderr', '--log-level=2',
];
/** Root has no user namespace to build a sandbox from. */
const kNoSandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [];

/**
 * Chromium fires a sync event that failed again after 5 and 15 minutes, then forgets it. Nothing changes here but the pace, the number of attempts, and how long one may last
 * (the names are Chromium's own, components/background_sync/background_sync_controller_impl.cc).
 */
const quickRetries = (attempts, eventSec, more) => [
  '--force-fieldtrials=BackgroundSync/Enabled/',
  '--force-fieldtrial-params=BackgroundSync.Enabled:' + Object.entries({
    initial_retry_delay_sec: 1, retry_delay_factor: 1, max_sync_attempts: attempts, max_sync_attempts_with_notification_permission: attempts,
    ...(eventSec && { max_sync_event_duration_sec: eventSec }), ...more,
  }).map((pair) => pair.join('/')).join('/'),
];

export const newProfile = () => mkdtempSync(join(tmpdir(), 'tidegate-profile-'));
export const removeProfile = (profile) => rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });

/**
 * Starts Chromium on `profile` with nothing open but about:blank.
 * @param {string} profile @param {{syncAttempts?: number, syncEventSec?: number, syncParameters?: Record<string, string>, flags?: string[]}} [options]  how often a sync event is fired before it is
 *     forgotten, and how long one may last, where that is not three minutes; further parameters of Chromium's background sync; further flags of the browser
 */
export async function launch(profile, { syncAttempts = 50, syncEventSec, syncParameters = {}, flags = [] } = {}) {
  const path = chromiumPath();
  if (!path) throw new Error('no Chromium on PATH; name one with CHROMIUM');
  const log = openSync(logOf(profile), 'a');
  // A process group of its own: the whole browser can be killed at once.
  const child = spawn(path, [...kFlags, ...flags, ...kNoSandbox, ...quickRetries(syncAttempts, syncEventSec, syncParameters), `--user-data-dir=${profile}`, 'about:blank'],
    { stdio: ['ignore', 'ignore', log, 'pipe', 'pipe'], detached: true });
  closeSync(log);
  const browser = new Browser(child);
  await browser.send('Browser.getVersion');
  await browser.send('Target.setDiscoverTargets', { discover: true });
  return browser;
}

/** What the browsers on `profile` said of themselves. @param {string} profile */
const logOf = (profile) => join(profile, 'stderr.log');

/** Whether the browser says that it deleted an IndexedDB database because it took it for damaged. @param {string} profile */
export const threwDatabaseAway = (profile) => existsSync(logOf(profile)) && readFileSync(logOf(profile), 'utf8').includes('recovering from a corrupted (and deleted) database');

/**
 * Leaves the profile's database as a browser leaves it that is killed between the two writes of which each record of LevelDB's log consists: there is the head, and not
 * all of the body. The next start takes that for the end of the log, as it should, and appends to it; the one after that reads the head with a body that is not its
 * own ("checksum mismatch"), and Chromium then deletes the whole database. REQUIRES: no browser runs.
 * @param {string} profile
 */
export function tearDatabase(profile) {
  const folder = join(profile, 'Default', 'IndexedDB');
  const logs = readdirSync(folder, { recursive: true }).map(String).filter((name) => /\.leveldb\/\d+\.log$/.test(name)).sort();
  const [bodyBytes, type] = [200, 1];   // https://github.com/google/leveldb/blob/main/doc/log_format.md: checksum, length, type, body
  const head = Buffer.from([1, 2, 3, 4, bodyBytes, 0, type]);
  appendFileSync(join(folder, logs.at(-1) ?? 'no log'), Buffer.concat([head, Buffer.alloc(20)]));
}

/** The browser with one address and nobody at the wheel. @param {string} profile @param {string} url */
export function launchAlone(profile, url) {
  const child = spawn(chromiumPath() ?? '', [...kFlags.filter((flag) => flag !== '--remote-debugging-pipe'), ...kNoSandbox, `--user-data-dir=${profile}`, url], { stdio: 'ignore', detached: true });
  const gone = once(child, 'exit');
  return {
    async kill() {
      if (child.exitCode === null && child.signalCode === null) process.kill(-(child.pid ?? 0), 'SIGKILL');
      await gone;
    },
  };
}

export class Browser {
  #nextId = 1;
  /** @type {Map<number, {resolve: (value: any) => void, reject: (error: Error) => void, method: string}>} */
  #asked = new Map();
  #events = new EventEmitter().setMaxListeners(0);
  #rest = Buffer.alloc(0);

  /** @param {import('node:child_process').ChildProcess} child */
  constructor(child) {
    this.child = child;
    const [, , , to, from] = child.stdio;
    this.to = to;
    to.on('error', () => {});     // a killed browser closes its end; `exit` says so
    from.on('error', () => {});
    from.on('data', (chunk) => this.#read(chunk));
    this.gone = once(child, 'exit').then(() => {
      for (const { reject, method } of this.#asked.values()) reject(new Error(`${method}: the browser is gone`));
      this.#asked.clear();
    });
  }

  /** Messages are JSON texts that end with a zero byte. @param {Buffer} chunk */
  #read(chunk) {
    this.#rest = this.#rest.length ? Buffer.concat([this.#rest, chunk]) : chunk;
    for (let end; (end = this.#rest.indexOf(0)) >= 0; this.#rest = this.#rest.subarray(end + 1)) this.#hear(JSON.parse(this.#rest.subarray(0, end).toString()));
  }

  /** @param {any} message */
  #hear({ id, method, params, sessionId, result, error }) {
    if (id === undefined) return void this.#events.emit(`${sessionId ?? ''}/${method}`, params);
    const asked = this.#asked.get(id);
    this.#asked.delete(id);
    if (error) asked?.reject(new Error(`${asked.method}: ${error.message} ${error.data ?? ''}`));
    else asked?.resolve(result);
  }

  /** @param {string} method @param {object} [params] @param {string} [sessionId] @returns {Promise<any>} */
  send(method, params = {}, sessionId) {
    return new Promise((resolve, reject) => {
      if (this.child.exitCode !== null || this.child.signalCode !== null) return reject(new Error(`${method}: the browser is gone`));
      const id = this.#nextId++;
      this.#asked.set(id, { resolve, reject, method });
      this.to.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  /** @param {string} method @param {(params: any) => void} listener @param {string} [sessionId] */
  on(method, listener, sessionId = '') {
    this.#events.on(`${sessionId}/${method}`, listener);
  }

  /** @param {{type?: string, url?: string}} wanted @returns {Promise<any[]>} */
  async targets({ type, url = '' }) {
    const { targetInfos } = await this.send('Target.getTargets');
    return targetInfos.filter((target) => target.type === type && target.url.startsWith(url));
  }

  /** A tab; `url` is loaded when it resolves. @param {string} [url] @param {string} [browserContextId]  of Target.createBrowserContext: a profile of its own */
  async page(url = 'about:blank', browserContextId) {
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank', browserContextId });
    const page = await this.#attach(targetId);
    for (const domain of ['Page', 'Runtime']) await page.send(`${domain}.enable`);
    page.on('Runtime.exceptionThrown', ({ exceptionDetails }) => page.errors.push(exceptionDetails.exception?.description ?? exceptionDetails.text));
    if (url !== 'about:blank') await page.goto(url);
    return page;
  }

  /** The running service worker of `url`'s site. From now on a debugger keeps it alive, until detach(). @param {string} url */
  async worker(url) {
    const [target] = await until(async () => {
      const found = await this.targets({ type: 'service_worker', url });
      return found.length > 0 && found;
    }, `a running service worker of ${url}`);
    return this.#attach(target.targetId);
  }

  /** Control over service workers without a page of their site. */
  async workers() {
    const page = await this.page();
    return new Workers(page);
  }

  /** @param {string} targetId */
  async #attach(targetId) {
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true });
    return new Session(this, targetId, sessionId);
  }

  /**
   * SIGKILL for every process of the browser. Resolves when the last of them is gone: one that is still dying holds the profile's files.
   */
  async kill() {
    try {
      process.kill(-this.child.pid, 'SIGKILL');
    } catch (error) {
      if (error.code !== 'ESRCH') throw error;
    }
    await this.gone;
    await until(() => !livesInGroup(this.child.pid), 'every process of the browser to be gone');
  }

  async close() {
    await this.send('Browser.close').catch(() => {});
    await this.gone;
  }
}

/** Whether a process of the group is alive; one that has ended and that nobody has collected yet (Z) is not. @param {number} group */
function livesInGroup(group) {
  return readdirSync('/proc').some((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      const [state, , ofGroup] = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ');   // after "pid (name)"
      return Number(ofGroup) === group && state !== 'Z' && state !== 'X';
    } catch {
      return false;   // it ended while we looked
    }
  });
}

/** A page or a worker. */
class Session {
  /** @type {string[]} exceptions nobody caught */
  errors = [];

  constructor(browser, targetId, sessionId) {
    Object.assign(this, { browser, targetId, sessionId });
  }

  /** @param {string} method @param {object} [params] */
  send(method, params) {
    return this.browser.send(method, params, this.sessionId);
  }

  /** @param {string} method @param {(params: any) => void} listener */
  on(method, listener) {
    this.browser.on(method, listener, this.sessionId);
  }

  /** Runs `code` (a function of the page, or an expression) with arguments that JSON can carry. @param {Function | string} code @param {...any} args */
  async run(code, ...args) {
    const expression = typeof code === 'string' ? code : `(${code})(...${JSON.stringify(args)})`;
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** @param {string} url */
  async goto(url) {
    const loaded = new Promise((resolve) => this.on('Page.loadEventFired', resolve));
    const { errorText } = await this.send('Page.navigate', { url });
    if (errorText) throw new Error(`${url}: ${errorText}`);
    await loaded;
  }

  /** What the session's own requests see of the network; the browser holds a worker's sync events back while the worker is offline. @param {boolean} online */
  async network(online) {
    await this.send('Network.enable');
    await this.send('Network.emulateNetworkConditions', { offline: !online, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
  }

  detach() {
    return this.browser.send('Target.detachFromTarget', { sessionId: this.sessionId });
  }

  async close() {
    await this.browser.send('Target.closeTarget', { targetId: this.targetId });
    await until(async () => (await this.browser.send('Target.getTargets')).targetInfos.every(({ targetId }) => targetId !== this.targetId), 'the page to be gone');
  }
}

/** The service workers of a browser: whether they run, and stopping them. */
class Workers {
  /** @type {Map<string, any>} */
  #versions = new Map();
  #stops = 0;
  /** @type {string | undefined} */
  #registration;

  constructor(page) {
    this.page = page;
    page.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => {
      for (const { registrationId, isDeleted } of registrations) if (!isDeleted) this.#registration = registrationId;
    });
    page.on('ServiceWorker.workerVersionUpdated', ({ versions }) => {
      for (const version of versions) {
        if (version.runningStatus === 'stopped' && this.#isRunning(this.#versions.get(version.versionId))) this.#stops += 1;
        this.#versions.set(version.versionId, version);
      }
    });
    this.enabled = page.send('ServiceWorker.enable');
  }

  /** @param {any} version */
  #isRunning(version) {
    return version !== undefined && version.runningStatus !== 'stopped' && version.status !== 'redundant';
  }

  running() {
    return [...this.#versions.values()].filter((version) => this.#isRunning(version)).length;
  }

  /** Hands the worker a sync event, as the browser does; starts it for that. @param {string} origin @param {string} tag */
  async fire(origin, tag) {
    await this.enabled;
    await until(() => this.#registration !== undefined, 'a registration');
    await this.page.send('ServiceWorker.dispatchSyncEvent', { origin, registrationId: this.#registration, tag, lastChance: false });
  }

  /** Likewise a periodicsync event. @param {string} origin @param {string} tag */
  async firePeriodic(origin, tag) {
    await this.enabled;
    await until(() => this.#registration !== undefined, 'a registration');
    await this.page.send('ServiceWorker.dispatchPeriodicSyncEvent', { origin, registrationId: this.#registration, tag });
  }

  /** Likewise a push message. @param {string} origin @param {string} data */
  async push(origin, data) {
    await this.enabled;
    await until(() => this.#registration !== undefined, 'a registration');
    await this.page.send('ServiceWorker.deliverPushMessage', { origin, registrationId: this.#registration, data });
  }

  /** Stops what runs, as the browser does when it wants its memory back: in the middle of whatever it does. REQUIRES: a worker runs. */
  async stop() {
    await this.enabled;
    await until(() => this.running() > 0, 'a worker to run');
    const stops = this.#stops;
    await this.page.send('ServiceWorker.stopAllWorkers');
    await until(() => this.#stops > stops, 'the worker to stop', { seen: () => [...this.#versions.values()] });   // an event may have started it again
  }
}
