// <tidegate-progress> in Chromium, under the strict policy the demo ships with, driven by statuses this file makes up.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';

const kPolicy = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:";
const kPage = `<!doctype html><html lang="en"><title>t</title><script type="module" src="/page.js"></script><main></main></html>`;
const kSource = `
  import '../../web/elements/index.js';
  window.fakeClient = (first) => {
    const listeners = new Set();
    return {
      listeners,
      status: () => first,
      subscribe: (listener) => (listeners.add(listener), () => listeners.delete(listener)),
      emit: (status) => { for (const listener of listeners) listener({ type: 'status', status }); },
    };
  };
  window.ready = true;`;

/** A status as the core writes it, with changes. */
function status(changes = {}, progress = {}) {
  return {
    state: 'idle', isActive: false, connectivity: { isOnline: true, connectionType: 'wifi', connectionQuality: 'good' },
    queueSize: 0, highPriority: 0, deadLetters: 0, conflicts: 0, unknown: 0, failureCount: 0, ...changes,
    currentProgress: { totalItems: 0, completedItems: 0, failedItems: 0, ...progress },
  };
}

describe('tidegate-progress', () => {
  let server, browser, page, violations;

  before(async () => {
    const bundle = await build({
      stdin: { contents: kSource, resolveDir: fileURLToPath(new URL('.', import.meta.url)) },
      bundle: true, format: 'esm', write: false,
    });
    server = createServer((request, response) => {
      const script = request.url.startsWith('/page.js');
      response.writeHead(200, { 'content-type': script ? 'text/javascript' : 'text/html', 'content-security-policy': kPolicy });
      response.end(script ? bundle.outputFiles[0].text : kPage);
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', chromiumSandbox: false });
  });
  after(async () => {
    await browser?.close();
    server?.close();
  });
  beforeEach(async () => {
    await page?.close();
    page = await browser.newPage({ locale: 'en-US' });
    violations = [];
    page.on('console', (message) => { if (message.type() === 'error') violations.push(message.text()); });
    page.on('pageerror', (error) => violations.push(String(error)));
    await page.goto(`http://127.0.0.1:${server.address().port}/`);
    await page.waitForFunction(() => window.ready);
  });

  /** Puts one element into the page whose client first answers `first`. */
  const show = (first) => page.evaluate(async (value) => {
    window.client = window.fakeClient(value);
    window.element = document.createElement('tidegate-progress');
    window.element.client = window.client;
    document.querySelector('main').replaceChildren(window.element);
    await new Promise((resolve) => requestAnimationFrame(resolve));
    await window.element.updateComplete;
  }, first);
  const emit = (next) => page.evaluate(async (value) => {
    window.client.emit(value);
    await window.element.updateComplete;
  }, next);
  const text = () => page.evaluate(() => window.element.shadowRoot.textContent.replace(/\s+/g, ' ').trim());
  const part = (name) => page.locator(`tidegate-progress [part="${name}"]`);

  it('shows nothing before a status is known', async () => {
    await show(undefined);
    assert.equal(await text(), '');
  });

  it('shows what the client says at first and at every event', async () => {
    await show(status({ state: 'offline', reason: 'There is no network connection.', queueSize: 3 }));
    assert.equal(await part('state').textContent(), 'Offline');
    assert.equal(await part('count').textContent(), '3 to send');
    assert.equal(await part('reason').textContent(), 'There is no network connection.');
    await emit(status({ state: 'running', isActive: true, queueSize: 2 }, { totalItems: 3, completedItems: 1, currentOperation: { type: 'create ASSESSMENT', entityId: 'a1', progress: 33 } }));
    assert.equal(await part('state').textContent(), 'Syncing');
    assert.equal(await part('count').textContent(), '1 of 3 sent');
    assert.equal(await part('operation').textContent(), 'create ASSESSMENT a1');
    assert.equal(await part('reason').count(), 0);
    assert.equal(await page.locator('tidegate-progress').getAttribute('state'), 'running');
  });

  it('an event that comes before the first answer is not overwritten by it', async () => {
    await page.evaluate(async ([old, next]) => {
      const client = window.fakeClient(undefined);
      let answer;
      client.status = () => new Promise((resolve) => { answer = () => resolve(old); });
      const element = document.createElement('tidegate-progress');
      element.client = client;
      document.querySelector('main').append(element);
      await element.updateComplete;
      client.emit(next);
      answer();
      await new Promise((resolve) => requestAnimationFrame(resolve));
    }, [status({ state: 'idle' }), status({ state: 'paused' })]);
    assert.equal(await page.locator('tidegate-progress').getAttribute('state'), 'paused');
  });

  it('the bar is a progressbar with true values, and absent while there is no total', async () => {
    await show(status());
    assert.equal(await page.getByRole('progressbar').count(), 0);
    await emit(status({ state: 'running', isActive: true }, { totalItems: 8, completedItems: 5, failedItems: 1 }));
    const bar = page.getByRole('progressbar', { name: 'Sync progress' });
    assert.deepEqual(
      await bar.evaluate((node) => ['aria-valuemin', 'aria-valuemax', 'aria-valuenow', 'aria-valuetext'].map((name) => node.getAttribute(name))),
      ['0', '8', '6', '5 of 8 sent, 1 failed'],
    );
    await page.emulateMedia({ reducedMotion: 'reduce' });
    const [outer, inner] = await bar.evaluate((node) => [node.getBoundingClientRect().width, node.firstElementChild.getBoundingClientRect().width]);
    assert.ok(Math.abs(inner / outer - 0.75) < 0.01, `the bar fills ${inner} of ${outer}`);
  });

  it('says the remaining time only when the engine does and only while it is to come', async () => {
    const running = { state: 'running', isActive: true, queueSize: 9 };
    const inProgress = { totalItems: 10, completedItems: 1 };
    await show(status(running, inProgress));
    assert.equal(await part('eta').count(), 0);
    await emit(status({ ...running, estimatedCompletionTime: Date.now() + 150_000 }, inProgress));
    assert.match(await part('eta').textContent(), /^about [23] min left$/);
    await emit(status({ ...running, estimatedCompletionTime: Date.now() - 1_000 }, inProgress));
    assert.equal(await part('eta').count(), 0);
  });

  it('a queue that waits has no bar', async () => {
    await show(status({ state: 'offline', queueSize: 4 }, { totalItems: 4 }));
    assert.equal(await page.getByRole('progressbar').count(), 0);
    assert.equal(await part('count').textContent(), '4 to send');
  });

  it('writes times as the page is written, in the regional form of the browser', async () => {
    const lastSyncTime = new Date().setHours(16, 5, 0, 0);
    await show(status({ lastSyncTime }));
    assert.match(await part('last').textContent(), /^Last sync 4:05\sPM$/);
    await page.evaluate(() => Object.defineProperty(navigator, 'languages', { value: ['fr', 'en-GB'] }));
    await emit(status({ lastSyncTime: lastSyncTime + 1 }));
    assert.equal(await part('last').textContent(), 'Last sync 16:05');
    await page.evaluate(() => { document.documentElement.lang = 'de'; });
    await emit(status({ lastSyncTime: lastSyncTime + 2 }));
    assert.equal(await part('last').textContent(), 'Last sync 16:05');
  });

  it('runs from the right in right-to-left pages', async () => {
    await page.evaluate(() => { document.documentElement.dir = 'rtl'; });
    await page.emulateMedia({ reducedMotion: 'reduce' });
    await show(status({ state: 'running', isActive: true }, { totalItems: 2, completedItems: 1 }));
    const [outer, inner] = await part('track').evaluate((node) => [node.getBoundingClientRect(), node.firstElementChild.getBoundingClientRect()].map(({ left, right }) => ({ left, right })));
    assert.equal(inner.right, outer.right);
    assert.ok(inner.left > outer.left + 1);
  });

  it('announces at once, then at most every five seconds, and always the last state', async () => {
    await page.clock.install();
    await show(status({ state: 'running', isActive: true }, { totalItems: 9, completedItems: 1 }));
    const spoken = page.locator('tidegate-progress [aria-live="polite"]');
    assert.equal(await spoken.textContent(), 'Syncing. 1 of 9 sent');
    for (let done = 2; done <= 8; ++done) await emit(status({ state: 'running', isActive: true }, { totalItems: 9, completedItems: done }));
    await emit(status({ state: 'completed' }, { totalItems: 9, completedItems: 9 }));
    assert.equal(await spoken.textContent(), 'Syncing. 1 of 9 sent');
    await page.clock.runFor(5_100);
    assert.equal(await spoken.textContent(), 'Synced');
  });

  it('lets go of a client that is replaced, and of everything when removed', async () => {
    await show(status({ state: 'idle' }));
    await page.evaluate(async (next) => {
      window.second = window.fakeClient(next);
      window.element.client = window.second;
      await window.element.updateComplete;
    }, status({ state: 'paused' }));
    assert.deepEqual(await page.evaluate(() => [window.client.listeners.size, window.second.listeners.size]), [0, 1]);
    assert.equal(await page.locator('tidegate-progress').getAttribute('state'), 'paused');
    await page.evaluate(() => window.element.remove());
    assert.equal(await page.evaluate(() => window.second.listeners.size), 0);
    await page.evaluate(async () => { document.querySelector('main').append(window.element); await window.element.updateComplete; });
    assert.equal(await page.evaluate(() => window.second.listeners.size), 1);
  });

  it('a second copy of the module in the page changes nothing', async () => {
    await show(status({ state: 'paused' }));
    await page.evaluate(() => { window.ready = false; });
    await page.addScriptTag({ type: 'module', url: '/page.js?copy' });
    await page.waitForFunction(() => window.ready);
    assert.equal(await part('state').textContent(), 'Paused');
    assert.deepEqual(violations, []);
  });

  it('takes other words, and breaks no policy', async () => {
    await show(status({ state: 'running', isActive: true }, { totalItems: 3, completedItems: 2 }));
    await page.evaluate(async () => {
      window.element.labels = { state: () => 'Envoi en cours', count: ({ currentProgress: p }) => `${p.completedItems} sur ${p.totalItems}` };
      await window.element.updateComplete;
    });
    assert.equal(await part('state').textContent(), 'Envoi en cours');
    assert.equal(await part('count').textContent(), '2 sur 3');
    assert.deepEqual(violations, []);
  });
});
