// The sample app in Chromium against the real server: bundled as it is shipped, worker, core and store as they are.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { createServer, openSqliteStore } from '../../server/index.js';
import { buildDemo } from '../../web/demo/build.mjs';

const kPhoto = fileURLToPath(new URL('../../web/demo/icons/icon-512.png', import.meta.url));
const kAxe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const kDesktop = { width: 1280, height: 800 };
const kPhone = { width: 390, height: 844 };
const kSmallest = { width: 360, height: 640 };
/** What Chromium itself writes to the console when a request meets no network. */
const kExpectedNoise = /net::ERR_INTERNET_DISCONNECTED|net::ERR_FAILED/;

describe('the demo', () => {
  let folder, server, browser, context, page, complaints;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tidegate-demo-'));
    await buildDemo(join(folder, 'app'));
    browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', chromiumSandbox: false });
  });
  after(async () => {
    await browser?.close();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });
  beforeEach(async (test) => {
    const store = await openSqliteStore({ file: join(folder, `${test.name.replace(/\W+/g, '-').slice(0, 60)}.db`) });
    server = await createServer({ store, staticDirs: [join(folder, 'app')] });
    complaints = [];
  });
  afterEach(async () => {
    await context?.close();
    await server?.close();
    assert.deepEqual(complaints, []);
  });

  /** Opens the app and waits until its worker is at work. @param {import('playwright-core').BrowserContextOptions} [options] */
  async function open(options = {}) {
    context = await browser.newContext({ viewport: kDesktop, locale: 'en-US', reducedMotion: 'reduce', ...options });
    page = await context.newPage();
    page.on('console', (message) => {
      if (message.type() === 'error' && !kExpectedNoise.test(message.text())) complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
    await page.goto(server.url);
    await page.waitForFunction(() => navigator.serviceWorker.controller?.state === 'activated');
    await page.locator('tidegate-progress[state]').waitFor();
  }

  /** Fills in and saves the form for a new assessment, and ends on its page. */
  async function record({ site, population = 120, severity = 3, needs = ['Water'], notes = '' }) {
    await page.goto(`${server.url}/#/new`);
    await page.getByLabel('Site').fill(site);
    await page.getByLabel('People affected').fill(String(population));
    await page.getByRole('radio', { name: new RegExp(`^${severity}`) }).check({ force: true });
    for (const need of needs) await page.getByRole('checkbox', { name: need }).check();
    await page.getByLabel('Notes').fill(notes);
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('heading', { name: site }).waitFor();
  }

  const card = (site) => page.locator('.card', { hasText: site });
  const waitForMark = (site, mark) => card(site).locator(`.chip[data-mark=${mark}]`).waitFor();

  /** Everything the server has, by entity. */
  async function onServer() {
    const text = await (await fetch(`${server.url}/api/v1/changes`)).text();
    const lines = text.trimEnd().split('\n').map((line) => JSON.parse(line));
    const found = {};
    for (let i = 0; i < lines.length - 1; ++i) {
      const change = lines[i];
      (found[change.entity] ??= []).push({ ...change, doc: change.body ? lines[++i] : undefined });
    }
    return found;
  }

  it('opens without a network, keeps what is recorded there, and sends it when the network is back', async () => {
    await open();
    await context.setOffline(true);
    await page.reload();
    await page.getByText('You are offline.').waitFor();

    await record({ site: 'North pier', severity: 5, population: 1240, needs: ['Water', 'Health'], notes: 'Seawall breached.' });
    await record({ site: 'Old mill', severity: 2 });
    await record({ site: 'Salt marsh', severity: 4 });
    await page.getByLabel('Action taken').fill('Water trucking');
    await page.getByLabel('Quantity').fill('18000');
    await page.getByRole('button', { name: 'Add response' }).click();
    await page.locator('.responses').getByText('Water trucking').waitFor();
    await page.locator('input[type=file]').setInputFiles(kPhoto);
    await page.getByRole('img', { name: 'Photo 1 of Salt marsh' }).waitFor();
    for (const site of ['North pier', 'Old mill', 'Salt marsh']) await waitForMark(site, 'pending');
    assert.equal(await page.locator('.photos .chip').getAttribute('data-mark'), 'pending');
    assert.equal(await page.locator('tidegate-progress').getAttribute('state'), 'offline');
    assert.deepEqual(await onServer(), {});

    await context.setOffline(false);
    for (const site of ['North pier', 'Old mill', 'Salt marsh']) await waitForMark(site, 'synced');
    await page.locator('.photos .chip[data-mark=synced]').waitFor();
    const { ASSESSMENT, RESPONSE, MEDIA, ...others } = await onServer();
    assert.deepEqual(others, {});
    assert.deepEqual(ASSESSMENT.map(({ doc }) => doc.site).sort(), ['North pier', 'Old mill', 'Salt marsh']);
    const { date, ...pier } = ASSESSMENT.find(({ doc }) => doc.site === 'North pier').doc;
    assert.match(date, /^\d{4}-\d{2}-\d{2}$/);
    assert.deepEqual(pier, { photos: [], site: 'North pier', population: 1240, severity: 5, needs: ['Water', 'Health'], gps: '', notes: 'Seawall breached.' });
    const marsh = ASSESSMENT.find(({ doc }) => doc.site === 'Salt marsh');
    assert.deepEqual(RESPONSE.map(({ doc }) => doc), [{ assessmentId: marsh.entityId, action: 'Water trucking', quantity: 18000, status: 'Planned' }]);
    assert.deepEqual(MEDIA.map(({ entityId, contentType }) => [entityId, contentType]), [[marsh.doc.photos[0], 'image/jpeg']]);
    const photo = new Uint8Array(await (await fetch(`${server.url}/api/v1/entities/MEDIA/${MEDIA[0].entityId}`)).arrayBuffer());
    assert.deepEqual([...photo.slice(0, 3)], [0xff, 0xd8, 0xff]);
  });

  it('holds changes while paused and says so, and sends them when resumed', async () => {
    await open();
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByText('Sync paused.').waitFor();
    await record({ site: 'Quiet bay' });
    await waitForMark('Quiet bay', 'pending');
    assert.deepEqual(await onServer(), {});
    await page.getByRole('button', { name: 'Resume' }).click();
    await waitForMark('Quiet bay', 'synced');
    assert.equal((await onServer()).ASSESSMENT.length, 1);
  });

  it('shows both values of a clash, and puts the other back when asked', async () => {
    await open();
    await record({ site: 'Ferry point', population: 100, notes: 'calm' });
    await waitForMark('Ferry point', 'synced');
    const [before] = (await onServer()).ASSESSMENT;
    await context.setOffline(true);
    await page.getByRole('link', { name: 'Edit' }).click();
    await page.getByLabel('People affected').fill('150');
    await page.getByRole('button', { name: 'Save' }).click();
    await waitForMark('Ferry point', 'pending');
    const answer = await fetch(`${server.url}/api/v1/entities/ASSESSMENT/${before.entityId}`, {
      method: 'PUT', body: JSON.stringify({ ...before.doc, population: 175, notes: 'wind rising' }),
      headers: { 'content-type': 'application/json', 'if-match': before.etag, 'idempotency-key': '"another-device"' },
    });
    assert.equal(answer.status, 200);

    await context.setOffline(false);
    await waitForMark('Ferry point', 'conflict');
    const clash = page.getByRole('region', { name: 'Conflict' });
    assert.match(await clash.innerText(), /People affected\s+This device · in use\s+150\s+Server\s+175/);
    const [merged] = (await onServer()).ASSESSMENT;
    assert.deepEqual(merged.doc, { ...before.doc, population: 150, notes: 'wind rising' });

    await clash.getByRole('button', { name: 'Use this for People affected' }).click();
    await waitForMark('Ferry point', 'synced');
    assert.equal((await onServer()).ASSESSMENT[0].doc.population, 175);
    await page.reload();
    await waitForMark('Ferry point', 'synced');
  });

  it('keeps an edit that is being typed, whatever a sync changes below it', async () => {
    await open();
    await record({ site: 'Lock house', notes: 'first' });
    await page.getByRole('link', { name: 'Edit' }).click();
    await page.getByLabel('Notes').fill('half a sentence');
    await waitForMark('Lock house', 'synced');
    assert.equal(await page.getByLabel('Notes').inputValue(), 'half a sentence');
  });

  it('deletes an assessment with its response, here and on the server', async () => {
    await open();
    await page.getByRole('button', { name: 'Add three sample assessments' }).click();
    for (const site of ['Marisol landing', 'Upper Kesta', 'Ndara ferry village']) await waitForMark(site, 'synced');
    await card('Marisol landing').click();
    page.once('dialog', (dialog) => dialog.accept());
    await page.getByRole('button', { name: 'Delete' }).click();
    await card('Marisol landing').waitFor({ state: 'detached' });
    await page.locator('.queue', { hasText: '0 changes on this device' }).waitFor();
    const { ASSESSMENT, RESPONSE } = await onServer();
    assert.deepEqual(ASSESSMENT.filter(({ deleted }) => !deleted).map(({ doc }) => doc.site).sort(), ['Ndara ferry village', 'Upper Kesta']);
    assert.deepEqual(RESPONSE.map(({ deleted }) => deleted), [true]);
  });

  it('can be installed', async () => {
    await open();
    const cdp = await context.newCDPSession(page);
    const { data, errors } = await cdp.send('Page.getAppManifest');
    assert.deepEqual(errors, []);
    assert.equal(JSON.parse(data).name, 'Field assessment');
    const { installabilityErrors } = await cdp.send('Page.getInstallabilityErrors');
    // A test's context is a private window, where nothing can be installed; that is the only objection allowed.
    assert.deepEqual(installabilityErrors.map(({ errorId }) => errorId).filter((id) => id !== 'in-incognito'), []);
  });

  for (const colorScheme of ['light', 'dark'])
    for (const viewport of [kDesktop, kPhone])
      it(`has no finding of axe-core in ${colorScheme} mode at ${viewport.width} px`, async () => {
        await open({ colorScheme, viewport, bypassCSP: true });
        const findings = async () => {
          await page.evaluate(kAxe);
          const { violations, passes } = await page.evaluate(() => globalThis.axe.run(document));
          assert.ok(passes.length > 20, `only ${passes.length} rules applied`);
          return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
        };
        assert.deepEqual(await findings(), []);
        await page.getByRole('button', { name: 'Add three sample assessments' }).click();
        await waitForMark('Upper Kesta', 'synced');
        assert.deepEqual(await findings(), []);
        await context.setOffline(true);
        await card('Marisol landing').click();
        await page.locator('input[type=file]').setInputFiles(kPhoto);
        await page.getByRole('img', { name: 'Photo 1 of Marisol landing' }).waitFor();
        assert.deepEqual(await findings(), []);
        await page.getByRole('link', { name: 'Edit' }).click();
        await page.getByLabel('Site').waitFor();
        assert.deepEqual(await findings(), []);
      });

  it('fits a screen of 360 pixels, every view', async () => {
    await open({ viewport: kSmallest });
    await page.getByRole('button', { name: 'Add three sample assessments' }).click();
    await card('Upper Kesta').waitFor();
    const id = (await card('Upper Kesta').getAttribute('href')).slice('#/a/'.length);
    for (const route of ['#/', '#/new', `#/a/${id}`, `#/a/${id}/edit`]) {
      await page.goto(`${server.url}/${route}`);
      await page.locator('.main h2').waitFor();
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), kSmallest.width, route);
    }
  });
});
