// tidegate/workbox in Chromium: the comparison with workbox-background-sync on the browser's own IndexedDB and Request, and in real service workers, stopped
// and killed while a request is under way.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { build } from 'esbuild';
import { at } from '../../scripts/lib.mjs';
import { admitted, libraries } from '../js/workbox-libraries.js';
import { scenarios } from '../js/workbox-scenarios.js';
import { launch, newProfile, removeProfile } from './harness/chromium.js';
import { until } from './harness/until.js';

const kWorker = (library) => `
  import { Queue } from '${library}';
  const queue = new Queue('q');
  addEventListener('install', () => skipWaiting());
  addEventListener('activate', (event) => event.waitUntil(clients.claim()));
  addEventListener('message', (event) => {
    const { path, count } = event.data;
    const push = async () => { for (let n = 0; n < count; n++) await queue.pushRequest({ request: new Request(path + '?n=' + n, { method: 'POST', body: 'x'.repeat(200) }) }); };
    event.waitUntil(push().then(() => event.source.postMessage('pushed')));
  });`;

/** A server that remembers what it was asked, and answers posts as told. */
class Site {
  posts = [];
  /** @type {(post: {n: string, key?: string}) => Promise<number | 'drop'> | number | 'drop'} */
  answer = () => 200;

  constructor(files) {
    this.files = files;
    this.server = createServer((request, response) => this.#serve(request, response));
  }

  async open() {
    await once(this.server.listen(0, '127.0.0.1'), 'listening');
    this.origin = `http://127.0.0.1:${this.server.address().port}`;
  }

  async #serve(request, response) {
    const url = new URL(request.url, this.origin);
    if (request.method === 'POST') {
      for await (const _ of request);
      const post = { n: url.searchParams.get('n'), key: request.headers['idempotency-key'] };
      this.posts.push(post);
      const status = await this.answer(post);
      if (status === 'drop') response.destroy();
      else response.writeHead(status).end();
      return;
    }
    const body = this.files[url.pathname];
    response.writeHead(body === undefined ? 404 : 200, { 'content-type': url.pathname.endsWith('.js') ? 'text/javascript' : 'text/html', 'cache-control': 'no-store' }).end(body);
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

const bundle = async (contents) => (await build({
  stdin: { contents, resolveDir: at('.') }, bundle: true, write: false, format: 'esm', target: 'es2022', logLevel: 'error', define: { 'process.env.NODE_ENV': '"production"' },
})).outputFiles[0].text;

let site, browser;
const profile = newProfile();
before(async () => {
  site = new Site({
    '/': '<!doctype html><title>workbox</title>',
    '/scenarios.js': await bundle("export * from './tests/js/workbox-scenarios.js';"),
    '/workbox-sw.js': await bundle(kWorker('workbox-background-sync')),
    '/tidegate-sw.js': await bundle(kWorker('./sw/workbox.js')),
  });
  await site.open();
  browser = await launch(profile);
});
after(async () => {
  await browser?.kill();
  site?.close();
  removeProfile(profile);
});

describe('compared with workbox-background-sync in Chromium', () => {
  let page, codes;
  before(async () => {
    codes = await libraries();
    page = await browser.page(`${site.origin}/`);
  });
  after(() => page.close());

  const table = admitted();
  for (const name of Object.keys(scenarios))
    test(`${name}: nothing differs but what docs/workbox.md says`, async () => {
      assert.deepEqual(await page.run(compareHere, name, codes), table[name] ?? {});
    });

  /** Runs in the page. */
  async function compareHere(name, codes) {
    const { compare } = await import('/scenarios.js');
    const names = ['workbox-background-sync', 'tidegate-workbox'];
    const emptied = async () => {
      for (const name of names) await new Promise((resolve, reject) => { Object.assign(indexedDB.deleteDatabase(name), { onsuccess: resolve, onerror: reject }); });
    };
    // Connections of the world before stand in the way of deleting, workbox's for ever: each world closes its own.
    const open = new Set();
    const factory = {
      open(...args) {
        const request = indexedDB.open(...args);
        request.addEventListener('success', () => open.add(request.result));
        return request;
      },
    };
    const newIdb = async () => {
      for (const db of open) db.close();
      open.clear();
      await emptied();
      return { indexedDB: factory };
    };
    return compare(name, codes, newIdb);
  }
});

describe('in a real worker', () => {
  /** A page whose worker is that of `library`. The worker of a test before, which ends as soon as this one is active, is not taken for it. */
  async function open(library, scope) {
    const page = await browser.page(`${site.origin}/`);
    await page.run(async (script, scope) => {
      const registration = await navigator.serviceWorker.register(script, { type: 'module', scope, updateViaCache: 'none' });
      await new Promise((resolve) => { const look = () => (registration.active?.state === 'activated' && registration.active.scriptURL.endsWith(script) ? resolve() : setTimeout(look, 20)); look(); });
    }, `/${library}-sw.js`, scope);
    return page;
  }

  const push = (page, scope, count) => page.run(async (scope, count) => {
    const registration = await navigator.serviceWorker.getRegistration(scope);
    const done = new Promise((resolve) => { navigator.serviceWorker.onmessage = resolve; });
    navigator.serviceWorker.startMessages();
    registration.active.postMessage({ path: '/post', count });
    await done;
  }, scope, count);

  test('stopped and killed while a request is under way, nothing is lost and no key changes', async () => {
    site.posts = [];
    let held = null;
    let strikes = 0;
    // Every fifth new request is held until its sender is gone, and dropped: it was not done.
    site.answer = ({ n }) => (Number(n) % 5 === 2 && site.posts.filter((post) => post.n === n).length === 1 ? new Promise((resolve) => { held = () => { held = null; resolve('drop'); }; }) : 200);
    const page = await open('tidegate', '/');
    await push(page, '/', 20);
    await page.close();
    const workers = await browser.workers();
    for (const how of ['stop', 'kill', 'stop', 'kill']) {
      await until(() => held !== null, `a request to strike at (${how})`, { seen: () => site.posts.length });
      if (how === 'stop') await (strikes === 0 ? workers : await browser.workers()).stop();
      else { await browser.kill(); browser = await launch(profile); }
      strikes += 1;
      held?.();
    }
    await until(() => site.posts.some(({ n }) => n === '19'), 'the last request', { seen: () => site.posts.length });
    const keys = new Map();
    for (const { n, key } of site.posts) keys.set(n, [...(keys.get(n) ?? []), key]);
    assert.equal(keys.size, 20, 'every request arrived');
    for (const [n, seen] of keys) assert.equal(new Set(seen).size, 1, `request ${n} kept its key`);
    for (const n of [2, 7, 12, 17]) assert.equal(keys.get(String(n)).length, 2, `request ${n} was sent again`);
    const firsts = site.posts.map(({ n }) => Number(n)).filter((n, i, all) => all.indexOf(n) === i);
    assert.deepEqual(firsts, [...firsts].sort((a, b) => a - b), 'in order');
  });

  test('what workbox had queued, ours sends after an update of the worker', async () => {
    site.posts = [];
    site.answer = ({ key }) => (key ? 200 : 'drop');   // workbox delivers nothing
    const page = await open('workbox', '/');
    await push(page, '/', 5);
    site.files['/workbox-sw.js'] = site.files['/tidegate-sw.js'];
    await page.run(async () => { await (await navigator.serviceWorker.getRegistration('/')).update(); });
    await until(() => new Set(site.posts.filter(({ key }) => key).map(({ n }) => n)).size === 5, 'five requests with our keys', { seen: () => site.posts });
    await page.close();
  });
});
