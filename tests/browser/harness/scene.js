// A scene: the real server on a file, a gateway before it, Chromium on a profile, and a book of every save the app was told is safe. At its end the
// independent checker says what became of each of them.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { check, documentHash, readServer } from '../../../headless/checker.mjs';
import * as chromium from './chromium.js';
import { Gateway } from './gateway.js';
import { startServer } from './server.js';
import { createSite } from './site.js';
import { until } from './until.js';

/** Short waits between attempts, and small batches, so that a drain has a middle. */
export const kQuickSettings = { baseDelay: 50, maxDelay: 400, maxBatchOps: 10 };
/** After a failure of the line a drain waits an hour, so it ends, and its event with it; an event that the browser fires says that the line may be back. */
const kPatientSettings = { baseDelay: 3_600_000, maxDelay: 3_600_000, jitter: 'none', maxBatchOps: 10 };

/**
 * Sets everything up and takes it down with the test.
 * @param {import('node:test').TestContext} t
 * @param {{syncAttempts?: number, syncEventSec?: number, syncParameters?: Record<string, string>, flags?: string[], server?: string[], engine?: any, alone?: boolean}} [options] of launch(), further
 *     ones of server/main.js, whose browser it is (a module of harness/), and whether the test starts the browser itself
 */
export async function openScene(t, options) {
  const scene = new Scene(options);
  t.after(() => scene.close());
  await scene.start();
  return scene;
}

/** A scene without a test around it, for soaks: what went wrong in it, and whether the browser had thrown its database away. @param {(scene: Scene) => Promise<void>} body */
export async function aScene(body) {
  const scene = new Scene();
  try {
    await scene.start();
    await body(scene);
    return {};
  } catch (error) {
    return { error, thrownAway: chromium.threwDatabaseAway(scene.profile) };
  } finally {
    await scene.close();
  }
}

/** In so many scenes one after the other no browser throws its database away. */
const kScenes = 3;

/**
 * Runs `body` in a scene of Chromium that it kills. A kill that falls into a write can make Chromium delete the whole database at the second start after it (see
 * tearDatabase()). Nothing in a page can hinder that, so there the promise is another one, and is held here: the loss is told. Then the test begins anew, because
 * it has not shown yet what it is there for. Only the browser's own word counts, and a scene that lost nothing never gets here.
 * @template T @param {import('node:test').TestContext} t @param {object} options  of openScene() @param {(scene: Scene) => Promise<T>} body @returns {Promise<T>}
 */
export async function whileStorageLasts(t, options, body) {
  for (let left = kScenes - 1; ; left--) {
    const scene = await openScene(t, options);
    try {
      return await body(scene);
    } catch (error) {
      if (left === 0 || !chromium.threwDatabaseAway(scene.profile)) throw error;
      const page = await scene.open();
      const { storage } = await page.run(async () => (await client).status());
      assert.equal(storage?.kind, 'emptied', `Chromium threw its database away, and the page was told ${JSON.stringify(storage)}; without it: ${error.message}`);
      t.diagnostic(`Chromium threw its database away after a kill, which was told (${JSON.stringify(storage)}); begun anew`);
    }
  }
}

class Scene {
  /** In the order of acceptance; opId is null where a kill cut the save off. @type {import('../../../headless/checker.mjs').Save[]} */
  saves = [];
  folder = mkdtempSync(join(tmpdir(), 'tidegate-scene-'));

  constructor({ server = [], engine = chromium, alone = false, ...options } = {}) {
    this.alone = alone;
    this.engine = engine;
    this.profile = engine.newProfile();
    this.serverOptions = server;
    this.options = options;
  }

  async start() {
    this.site = await createSite();
    this.server = await startServer(join(this.folder, 'server.db'), this.serverOptions);
    this.gateway = new Gateway({ files: (path) => this.site.file(path), upstreamPort: this.server.port });
    await this.gateway.open();
    if (!this.alone) await this.relaunch();
  }

  async close() {
    await this.browser?.kill();
    await this.gateway?.close();
    await this.server?.stop();
    this.engine.removeProfile(this.profile);
    rmSync(this.folder, { recursive: true, force: true });
  }

  get origin() {
    return this.gateway.origin;
  }

  /** The app in a tab, its client connected and its worker (unless there is to be none) active. @param {{worker?: string}} [options]  a file of the app; 'none' */
  async open({ worker = 'sw.js' } = {}) {
    const page = await this.browser.page(`${this.origin}/${worker === 'sw.js' ? '' : `?worker=${worker}`}`);
    await page.run('client.then(() => {})');
    if (worker !== 'none') await page.run(async () => { await navigator.serviceWorker.ready; });
    return page;
  }

  /** Saves one edit after the other, each when the one before is on the disk. */
  async save(page, edits) {
    const saved = await page.run(async (list) => {
      const open = await client;
      const ids = [];
      for (const { entity, entityId, doc, options } of list) ids.push((doc === undefined ? await open.delete(entity, entityId, options) : await open.save(entity, entityId, doc, options)).id);
      return ids;
    }, edits);
    edits.forEach((edit, i) => this.book(edit, saved[i]));
  }

  /** Saves while the line is down, and closes the page when no drain is under way. */
  async saveForLater(page, edits) {
    await page.run(async (settings) => { await (await client).settings(settings); }, kPatientSettings);
    await this.gateway.down();
    await this.save(page, edits);
    await page.run(async () => { await (await client).status(); });   // the worker heard of all of them
    await until(() => page.run(async () => {
      const settled = (request) => new Promise((resolve, reject) => { request.onsuccess = () => resolve(request.result); request.onerror = () => reject(request.error); });
      const db = await settled(indexedDB.open('tidegate'));
      const { holder } = await settled(db.transaction('state').objectStore('state').get('lease'));
      db.close();
      return holder === null;
    }), 'the drains of the saves to end');
    await page.close();
  }

  /** Notes that the app was told this edit is safe, or (opId null) was not told before it died. */
  book({ entity, entityId, doc }, opId) {
    const deleted = doc === undefined;
    this.saves.push({ n: this.saves.length, entity, entityId, action: deleted ? 'delete' : 'save', sha256: deleted ? '' : documentHash(JSON.stringify(doc)), opId });
  }

  /** Resolves when the server has the last saved version of everything. @param {{patienceMs?: number, thrownAway?: boolean}} [options]  a database that is gone is known of */
  async arrived({ patienceMs = 60_000, thrownAway = false } = {}) {
    const last = new Map(this.saves.filter(({ opId }) => opId !== null).map((save) => [`${save.entity}/${save.entityId}`, save]));
    const missing = () => {
      const documents = this.server.documents();
      return [...last].filter(([name, { action, sha256 }]) => {
        const text = documents.get(name);
        return (text === undefined ? '' : documentHash(text)) !== (action === 'delete' ? '' : sha256);
      }).map(([name]) => name);
    };
    await until(() => {
      if (!thrownAway && this.engine === chromium && chromium.threwDatabaseAway(this.profile)) throw new Error('Chromium threw its database away');
      return missing().length === 0;
    }, 'the server to have every document', {
      patienceMs, seen: () => ({ missing: missing().length, effects: this.server.effects(), batches: this.gateway.batches, missingNames: missing().slice(0, 3) }),
    });
  }

  /** The browser on this scene's profile, with nothing open but about:blank. */
  async relaunch() {
    this.browser = await this.engine.launch(this.profile, this.options);
  }

  /**
   * Opens the app, lets it finish its books, ends the server and asks the checker. Fails on any finding.
   * @param {any} [page] an open page of the app
   */
  async verify(page) {
    await this.arrived();
    const app = page ?? (await this.open());
    await until(async () => (await app.run(async () => (await (await client).ops()).length)) === 0, 'the outbox to be empty', {
      seen: () => app.run(async () => (await (await client).ops({ limit: 3 })).map(({ state, reason, error }) => ({ state, reason, error }))),
    });
    const client = await app.run(collect, [...new Set(this.saves.map(({ entity }) => entity))]);
    await this.server.stop();
    const report = check({ saves: this.saves, ...readServer(this.server.database), client });
    const { lost, duplicated, unconverged, misordered } = report;
    assert.deepEqual({ lost, duplicated, unconverged, misordered }, { lost: [], duplicated: [], unconverged: [], misordered: [] });
    assert.equal(report.dead, 0);
    assert.deepEqual(this.gateway.violations, []);
    assert.deepEqual(app.errors, []);
    return report;
  }
}

/** Runs in the page: what a person can see of the outbox, through public calls only. @param {string[]} entities */
async function collect(entities) {
  const open = await client;
  const pages = async (next) => {
    const all = [];
    for (let page; (page = await next(all.at(-1))).length > 0;) all.push(...page);
    return all;
  };
  const ops = await pages((last) => open.ops({ after: last?.seq, limit: 500 }));
  const history = await pages((last) => open.history({ after: last?.key, limit: 500 }));
  const documents = [];
  for (const entity of entities) documents.push(...await pages((last) => open.list(entity, { after: last?.entityId, limit: 500 })));
  return {
    ops: ops.map(({ id, state }) => ({ id, state })),
    records: history.map(({ value }) => value).filter(({ kind }) => kind === 'folded' || kind === 'cancelled')
      .map(({ opId, kind, into, by }) => ({ opId, kind, by: into ?? by ?? null })),
    documents: documents.map(({ entity, entityId, doc }) => ({ entity, entityId, deleted: false, text: JSON.stringify(doc) })),
  };
}
