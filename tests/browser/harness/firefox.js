// Firefox ESR as it is, by WebDriver BiDi (https://w3c.github.io/webdriver-bidi/) over a WebSocket. The chrome scope, which BiDi opens on request, can do what no
// page can: take the browser offline, and end a service worker.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import WebSocket from 'ws';
import { firefox as firefoxPath } from '../../../scripts/setup.mjs';

const kStartMs = 90_000;   // on a busy machine Firefox takes ten seconds

/** Nothing that phones home, asks questions or goes to sleep. */
const kPreferences = {
  'browser.shell.checkDefaultBrowser': false, 'datareporting.policy.dataSubmissionEnabled': false, 'toolkit.telemetry.reportingpolicy.firstRun': false, 'app.update.enabled': false,
  'app.normandy.enabled': false, 'extensions.update.enabled': false, 'browser.startup.homepage_override.mstone': 'ignore', 'browser.startup.page': 0, 'browser.aboutwelcome.enabled': false,
  'network.captive-portal-service.enabled': false, 'network.connectivity-service.enabled': false, 'browser.safebrowsing.malware.enabled': false, 'browser.safebrowsing.phishing.enabled': false,
  'services.settings.server': 'data:,#remote-settings-dummy/v1', 'remote.active-protocols': 1, 'browser.newtabpage.enabled': false, 'browser.region.network.url': '', 'dom.push.connection.enabled': false,
};

export const newProfile = () => mkdtempSync(join(tmpdir(), 'tidegate-firefox-'));
export const removeProfile = (/** @type {string} */ profile) => rmSync(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });

/** @param {string} profile @param {string[]} args */
function start(profile, args) {
  const path = firefoxPath();
  if (!path) throw new Error('no Firefox on PATH; name one with FIREFOX');
  writeFileSync(join(profile, 'user.js'), Object.entries(kPreferences).map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});`).join('\n'));
  return spawn(path, ['--headless', '--no-remote', '--profile', profile, ...args], { stdio: ['ignore', 'ignore', 'pipe'], detached: true, env: { ...process.env, MOZ_CRASHREPORTER_DISABLE: '1' } });
}

/** The browser with one address and nobody at the wheel. @param {string} profile @param {string} url */
export function launchAlone(profile, url) {
  const child = start(profile, [url]);
  child.stderr.resume();
  return killable(child);
}

/** @param {import('node:child_process').ChildProcess} child */
function killable(child) {
  const gone = once(child, 'exit');
  return {
    async kill() {
      try { process.kill(-(child.pid ?? 0), 'SIGKILL'); } catch (error) { if (error.code !== 'ESRCH') throw error; }
      await gone;
    },
  };
}

/** @param {string} profile */
export async function launch(profile) {
  const child = start(profile, ['--remote-debugging-port', '0', '--remote-allow-system-access', 'about:blank']);
  const { kill } = killable(child);
  const address = await new Promise((resolve, reject) => {
    let text = '';
    child.stderr.on('data', (chunk) => {
      text += chunk;
      const found = text.match(/WebDriver BiDi listening on (ws:\/\/\S+)/);
      if (found) resolve(found[1]);
    });
    child.on('exit', (code) => reject(new Error(`Firefox ended with ${code}: ${text}`)));
    pause(kStartMs, undefined, { ref: false }).then(() => reject(new Error(`Firefox did not start within ${kStartMs} ms: ${text}`)));
  });
  const socket = new WebSocket(`${address}/session`);
  await once(socket, 'open');
  const browser = new Firefox(socket, child, kill);
  await browser.send('session.new', { capabilities: {} });
  return browser;
}

class Firefox {
  #nextId = 1;
  /** @type {Map<number, {resolve: (value: any) => void, reject: (error: Error) => void, method: string}>} */
  #asked = new Map();

  constructor(socket, child, kill) {
    Object.assign(this, { socket, kill });
    socket.on('message', (data) => this.#hear(JSON.parse(data)));
    socket.on('error', () => {});   // a killed browser; `exit` says so
    child.on('exit', () => {
      for (const { reject, method } of this.#asked.values()) reject(new Error(`${method}: the browser is gone`));
      this.#asked.clear();
    });
  }

  #hear({ id, type, result, error, message }) {
    const asked = this.#asked.get(id);
    this.#asked.delete(id);
    if (type === 'error') asked?.reject(new Error(`${asked.method}: ${error} ${message}`));
    else asked?.resolve(result);
  }

  /** @param {string} method @param {object} [params] @returns {Promise<any>} */
  send(method, params = {}) {
    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      this.#asked.set(id, { resolve, reject, method });
      this.socket.send(JSON.stringify({ id, method, params }));
    });
  }

  /** A tab; `url` is loaded when it resolves. @param {string} [url] */
  async page(url) {
    const { context } = await this.send('browsingContext.create', { type: 'tab' });
    const page = new Page(this, context);
    if (url) await page.goto(url);
    return page;
  }

  /** Runs in the browser's own scope. @param {string} expression */
  async chrome(expression) {
    const { contexts: [{ context }] } = await this.send('browsingContext.getTree', { 'moz:scope': 'chrome' });
    const { type, exceptionDetails, result } = await this.send('script.evaluate', { target: { context }, expression, awaitPromise: true });
    if (type === 'exception') throw new Error(exceptionDetails.text);
    return result.value;
  }

  /** Ends every service worker, in the middle of whatever it does. */
  stopWorkers() {
    return this.chrome(`(async () => {
      const all = Cc["@mozilla.org/serviceworkers/manager;1"].getService(Ci.nsIServiceWorkerManager).getAllRegistrations();
      for (let i = 0; i < all.length; i++) await all.queryElementAt(i, Ci.nsIServiceWorkerRegistrationInfo).activeWorker?.terminateWorker();
    })()`);
  }
}

class Page {
  /** Not heard of over BiDi; the app under test reports its own. @type {string[]} */
  errors = [];

  constructor(browser, context) {
    Object.assign(this, { browser, context });
  }

  /** @param {Function | string} code @param {...any} args */
  async run(code, ...args) {
    const body = typeof code === 'string' ? `async () => JSON.stringify(await (${code}))` : `async (args) => JSON.stringify(await (${code})(...JSON.parse(args)))`;
    const { type, exceptionDetails, result } = await this.browser.send('script.callFunction', {
      target: { context: this.context }, awaitPromise: true, functionDeclaration: body, arguments: [{ type: 'string', value: JSON.stringify(args) }],
    });
    if (type === 'exception') throw new Error(exceptionDetails.text);
    return result.value === undefined ? undefined : JSON.parse(result.value);
  }

  /** @param {string} url */
  goto(url) {
    return this.browser.send('browsingContext.navigate', { context: this.context, url, wait: 'complete' });
  }

  close() {
    return this.browser.send('browsingContext.close', { context: this.context });
  }
}
