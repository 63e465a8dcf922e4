// WebKitGTK: its driver (WebDriver, https://www.w3.org/TR/webdriver2/) and its MiniBrowser, on a private X server. The driver's sessions forget everything when they
// end, so what must survive a kill is tested on a browser with nobody at the wheel (launchAlone).
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { miniBrowser, webKitDriver } from '../../../scripts/setup.mjs';
import { until } from './until.js';

export const newProfile = () => mkdtempSync(join(tmpdir(), 'tidegate-webkit-'));
export const removeProfile = (/** @type {string} */ profile) => rmSync(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });

/** An X server of our own: the first free display, with nothing on it. */
async function startDisplay() {
  const child = spawn('Xvfb', ['-displayfd', '3', '-screen', '0', '1024x768x24', '-nolisten', 'tcp'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] });
  const gone = once(child, 'exit').then(() => { throw new Error('Xvfb ended'); });
  const [number] = await Promise.race([once(/** @type {any} */ (child.stdio[3]), 'data'), gone]);
  gone.catch(() => {});
  return { name: `:${String(number).trim()}`, stop: () => child.kill() };
}

/** No bus, no GPU, no accessibility service; everything it stores lies in the profile. @param {string} profile @param {string} display */
const environment = (profile, display) => ({
  ...process.env, DISPLAY: display, GDK_BACKEND: 'x11', LIBGL_ALWAYS_SOFTWARE: '1', WEBKIT_DISABLE_DMABUF_RENDERER: '1', NO_AT_BRIDGE: '1', GTK_A11Y: 'none',
  DBUS_SESSION_BUS_ADDRESS: 'disabled:', HOME: profile, XDG_DATA_HOME: join(profile, 'data'), XDG_CACHE_HOME: join(profile, 'cache'), XDG_CONFIG_HOME: join(profile, 'config'), XDG_RUNTIME_DIR: profile,
});

/** @param {string} profile @param {string} path @param {string[]} args */
async function start(profile, path, args) {
  const display = await startDisplay();
  const child = spawn(path, args, { detached: true, stdio: 'ignore', env: environment(profile, display.name) });
  const gone = once(child, 'exit');
  return {
    async kill() {
      try { process.kill(-(child.pid ?? 0), 'SIGKILL'); } catch (error) { if (error.code !== 'ESRCH') throw error; }
      await gone;
      display.stop();
    },
  };
}

/** The browser with one address and nobody at the wheel. @param {string} profile @param {string} url */
export const launchAlone = (profile, url) => start(profile, browserPath(), [url]);

function browserPath() {
  const path = miniBrowser();
  if (!path || !webKitDriver()) throw new Error('no WebKitGTK: WebKitWebDriver and MiniBrowser come with the package webkit2gtk-driver');
  return path;
}

/** @param {string} profile */
export async function launch(profile) {
  const binary = browserPath();
  const port = await freePort();
  const { kill } = await start(profile, webKitDriver(), [`--port=${port}`]);
  const ask = async (method, path, body) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers: { 'content-type': 'application/json' }, ...(body ? { body: JSON.stringify(body) } : {}) });
    const { value } = await response.json();
    if (value?.error) throw new Error(`${path}: ${value.error} ${value.message}`);
    return value;
  };
  try {
    await until(() => ask('GET', '/status').then(() => true, () => false), 'WebKitWebDriver to listen');
    const { sessionId } = await ask('POST', '/session', { capabilities: { alwaysMatch: { 'webkitgtk:browserOptions': { binary, args: ['--automation'] } } } });
    const session = `/session/${sessionId}`;
    await ask('POST', `${session}/timeouts`, { script: 120_000 });
    return { page: async (/** @type {string} */ url) => { const page = new Page(ask, session); await page.open(url); return page; }, kill };
  } catch (error) {
    await kill();
    throw error;
  }
}

async function freePort() {
  const server = createServer();
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  await new Promise((resolve) => { server.close(resolve); });
  return port;
}

/** One window. Commands go to the window that was switched to last, so each page says first which one it is. */
class Page {
  errors = [];

  constructor(ask, session) {
    Object.assign(this, { ask, session });
  }

  async open(url) {
    const { handle } = await this.ask('POST', `${this.session}/window/new`, { type: 'tab' });
    this.handle = handle;
    if (url) await this.goto(url);
  }

  #here() {
    return this.ask('POST', `${this.session}/window`, { handle: this.handle });
  }

  /** @param {Function | string} code @param {...any} args */
  async run(code, ...args) {
    await this.#here();
    const call = typeof code === 'string' ? `async () => (${code})` : `${code}`;
    const script = `const done = arguments[arguments.length - 1]; Promise.resolve().then(() => (${call})(...JSON.parse(arguments[0]))).then((value) => done({ value: JSON.stringify(value) }), (error) => done({ error: String(error?.stack ?? error) + String(error) }));`;
    const { value, error } = await this.ask('POST', `${this.session}/execute/async`, { script, args: [JSON.stringify(args)] });
    if (error !== undefined) throw new Error(error);
    return value === undefined || value === null ? undefined : JSON.parse(value);
  }

  /** @param {string} url */
  async goto(url) {
    await this.#here();
    await this.ask('POST', `${this.session}/url`, { url });
  }

  async close() {
    await this.#here();
    await this.ask('DELETE', `${this.session}/window`);
  }
}
