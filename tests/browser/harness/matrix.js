// The kill matrix: a worker stopped, or the whole browser killed, at every await of one phase (app/mortal.js holds the realm there). One trial is one phase on an entity
// of its own, one death, and what came of it: each op the app was told is safe has one effect, one it was not told of at most one, and page and server agree.
import assert from 'node:assert/strict';
import { kQuickSettings } from './scene.js';
import { until } from './until.js';

const kWorker = 'mortal-sw.js';
const kNever = 1e9;
const kApi = '/api/v1/entities';
/** What is saved in the phase: two changes of one lane, one of another. */
const kSaves = [{ entityId: 'a', doc: { n: 1, theirs: 1 } }, { entityId: 'a', doc: { n: 2, theirs: 1 } }, { entityId: 'b', doc: { n: 1, theirs: 1 } }];

/** Of `upload`: a blob that goes in chunks, and a change of another lane. */
const kBlobBytes = 1_200_000;
const kBlobSaves = [{ entityId: 'film', blob: kBlobBytes, doc: { n: 1 } }, { entityId: 'b', doc: { n: 1, theirs: 1 } }];
/** Bytes that do not compress. Runs in the page and here. @param {number} size */
function noise(size) {
  const bytes = new Uint8Array(size);
  for (let i = 0, state = 3; i < size; i++) bytes[i] = (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 24;
  return bytes;
}

/**
 * What is done while the realm is armed, and what was before. `realm`: who dies. A phase is a line here.
 * @type {Record<string, {realm: 'page' | 'worker', saves?: typeof kBlobSaves, prepare?: (matrix: Matrix, entity: string) => Promise<void>}>}
 */
export const kPhases = {
  accept: { realm: 'page' },   // saving, and what follows in the page
  drain: { realm: 'worker' },  // from the news of the save to the answer that is stored, and the end of the drain
  conflict: { realm: 'worker', prepare: (matrix, entity) => matrix.changedByAnother(entity) },
  refresh: { realm: 'worker', prepare: async (matrix, entity) => { matrix.scene.gateway.token = `token-${entity}`; } },
  upload: { realm: 'worker', saves: kBlobSaves },
  'accept a blob': { realm: 'page', saves: kBlobSaves },
};

export class Matrix {
  #trials = 0;
  /** The starts of workers and pages that died, as the server heard of them. @type {Set<string>} */
  deaths = new Set();

  /** @param {any} scene */
  constructor(scene) {
    this.scene = scene;
    scene.gateway.files = (path) => (path === '/token' ? { type: 'text/plain', body: scene.gateway.token ?? 'none' } : scene.site.file(path));
  }

  async start() {
    await this.#open();
    await this.page.run(async (settings) => { await (await client).settings(settings); }, { ...kQuickSettings, coalesce: false });
  }

  /** @param {boolean} [mortal] */
  async #open(mortal = false) {
    const { browser, origin } = this.scene;
    this.page = await browser.page(`${origin}/?worker=${kWorker}${mortal ? '&mortal' : ''}`);
    await this.page.run('client.then(() => {})');
    await this.page.run(async () => { await navigator.serviceWorker.ready; });
    this.workers ??= await browser.workers();
  }

  async #reopen(mortal = false) {
    await this.page.close();
    await this.#open(mortal);
  }

  /** An entity that the server has in another version than this client. @param {string} entity */
  async changedByAnother(entity) {
    await this.page.run(async (entity) => {
      const open = await client;
      await open.save(entity, 'a', { n: 0, theirs: 0 });
      await open.sync();
    }, entity);
    const { port } = this.scene.server;
    const url = `http://127.0.0.1:${port}${kApi}/${entity}/a`;
    const etag = (await fetch(url)).headers.get('etag') ?? '';
    const { status } = await fetch(url, { method: 'PUT', headers: { 'if-match': etag, 'idempotency-key': `"other-${entity}"`, 'content-type': 'application/json' }, body: '{"n":0,"theirs":1}' });
    assert.equal(status, 200);
  }

  /** The points of a phase, by the doors they stand at. @param {string} phase @returns {Promise<string[]>} */
  async points(phase) {
    const { passed } = await this.#trial(phase, kNever, 'stop');
    return passed;
  }

  /** False: the phase ended before its point `at`. @param {string} phase @param {number} at @param {'stop' | 'kill'} blow */
  async dies(phase, at, blow) {
    const { died } = await this.#trial(phase, at, blow);
    return died !== undefined;
  }

  /** @param {string} phase @param {number} at @param {'stop' | 'kill'} blow */
  async #trial(phase, at, blow) {
    const { realm, saves: list = kSaves, prepare } = kPhases[phase];
    const entity = `${phase.replaceAll(' ', '-')}${++this.#trials}`;
    this.scene.gateway.token = null;
    if (realm === 'page') await this.#reopen(true);
    await prepare?.(this, entity);
    const { saves, ended } = await this.#act(entity, list, realm, at);
    try {
      if (ended.died !== undefined) await this.#end(realm, blow, ended.start);
      if (blow === 'stop' && realm === 'worker') await until(() => saves.length === list.length, 'the saves to be stored');
      await this.#settle(entity, saves);
    } catch (error) {
      throw new Error(`${phase}, ${blow} at point ${at} (${ended.door ?? 'not reached'}): ${error.message}`, { cause: error });
    }
    return ended;
  }

  /** Saves and drains in an armed realm, until it died or all is over. @param {string} entity @param {{entityId: string, blob?: number, doc: any}[]} list @param {'page' | 'worker'} realm @param {number} at */
  async #act(entity, list, realm, at) {
    const { told } = this.scene.gateway;
    told.length = 0;
    const page = this.page;
    const arm = (/** @type {number} */ to) => page.run(async (inPage, to) => {
      if (inPage) window.arm(to);
      else (await navigator.serviceWorker.ready).active.postMessage({ arm: to });
    }, realm === 'page', to);
    /** @type {{id: string, n: number, entityId: string}[]} what the app was told is safe */
    const saves = [];
    let over = false;
    await page.send('Runtime.addBinding', { name: 'told' });
    page.on('Runtime.bindingCalled', ({ payload }) => {
      const { saved, end } = JSON.parse(payload);
      if (saved?.entity === entity) saves.push(saved);
      if (end === entity) over = true;
    });
    await arm(at);
    page.run(`(async (entity, list, drains, noise) => {
      const open = await client;
      for (const { entityId, blob, doc } of list) {
        const { id } = await open.save(entity, entityId, blob ? new Blob([noise(blob)]) : doc);
        told(JSON.stringify({ saved: { entity, id, entityId, n: doc.n } }));
      }
      if (drains) await open.sync().catch(() => {});
      told(JSON.stringify({ end: entity }));
    })(${JSON.stringify(entity)}, ${JSON.stringify(list)}, ${realm === 'worker'}, ${noise})`).catch(() => {});   // the page may die of it
    const died = () => told.find((what) => what.died !== undefined);
    await until(() => died() || over, 'the phase to end');
    if (!died()) await arm(0);   // a point may lie behind the end
    const ended = await until(() => died() ?? told.find(({ passed }) => passed !== undefined), 'the realm to say how far it came');
    return { saves, ended };
  }

  /** Ends what died, and opens the app anew where it is gone. @param {'page' | 'worker'} realm @param {'stop' | 'kill'} blow @param {string} start */
  async #end(realm, blow, start) {
    this.deaths.add(start);
    if (blow === 'kill') {
      await this.scene.browser.kill();
      await this.scene.relaunch();
      this.workers = undefined;
      await this.#open();
    } else if (realm === 'worker') await this.workers.stop();
    else await this.#reopen();
  }

  /** Drains what is left, and compares. @param {string} entity @param {{id: string, n: number, entityId: string}[]} saves */
  async #settle(entity, saves) {
    const { server } = this.scene;
    await until(() => this.page.run(async () => {
      const open = await client;
      await open.sync();
      return (await open.ops({ limit: 1 })).length === 0;
    }), 'the outbox to be empty', { seen: () => this.page.run(async () => (await (await client).ops({ limit: 3 }))) });
    const effects = server.effectsOf(entity);
    assert.equal(new Set(effects).size, effects.length, `an op has two effects: ${effects.join(' ')}`);
    const lost = saves.filter(({ id }) => !effects.includes(id));
    assert.deepEqual(lost, [], 'an op that was told to be safe is lost');
    if (saves.some(({ entityId }) => entityId === 'film')) {
      const film = await fetch(`http://127.0.0.1:${server.port}${kApi}/${entity}/film`);
      assert.ok(Buffer.from(await film.arrayBuffer()).equals(Buffer.from(noise(kBlobBytes))), 'the blob arrived byte for byte');
    }
    const seen = await this.page.run(async (entity) => [await (await client).get(entity, 'a'), await (await client).get(entity, 'b')], entity);
    for (const [i, entityId] of ['a', 'b'].entries()) {
      const text = server.documents().get(`${entity}/${entityId}`);
      assert.deepEqual(seen[i] ?? null, text === undefined ? null : JSON.parse(text), `${entityId}: page and server agree`);
      const told = saves.filter((save) => save.entityId === entityId).at(-1);
      if (told) assert.ok(seen[i].n >= told.n && seen[i].theirs === 1, `${entityId}: expected n ${told.n} of it, got ${text}`);
    }
  }
}
