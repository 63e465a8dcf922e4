// One seed, one history: people on the pages of a device, another client, a network and a server. First with faults; then they cease, the app is opened once more, and
// everything that needs no person must get done.
import 'fake-indexeddb/auto';
import { IDBFactory } from 'fake-indexeddb';
import { readFileSync } from 'node:fs';
import { Check, kCanary } from './check.js';
import { Dice } from './chance.js';
import { disk, record, rows } from './disk.js';
import { Network } from './network.js';
import { LockTable, Realm } from './realm.js';
import { Server } from './server.js';
import { World } from './world.js';

const kWasm = readFileSync(new URL('../../../dist/tidegate.wasm', import.meta.url));
const kHourMs = 3_600_000;

export class History {
  /** @type {Realm[]} */
  realms = [];
  /** @type {any} the mark outside of the database (sw/marker.js) */
  mark = null;
  wasm = kWasm;
  lastOwner = '';
  #count = 0;
  /** @type {string[]} */
  #recent = [];

  /** @param {number} seed @param {{off?: string[], trace?: boolean}} [options] */
  constructor(seed, { off = [], trace = false } = {}) {
    const dice = new Dice(seed);
    for (const name of off) dice.classes.delete(name);
    this.world = new World(dice);
    if (trace) this.world.trace = (line) => console.log(`${String(Math.round(this.world.nowMs - this.world.startMs)).padStart(9)} ${line}`);
    this.dice = dice;
    this.people = dice.of('people');
    this.check = new Check(this);
    this.locks = new LockTable();
    this.owners = dice.on('owners') ? ['ann', 'bob'] : [''];
    this.targets = 4 + this.people.below(25);
    this.entities = 2 + this.people.below(6);
    /** How slow this device's store is. */
    this.storeFactor = this.people.of([1, 1, 5, 20]);
  }

  async run() {
    const { world, dice } = this;
    globalThis.indexedDB = new IDBFactory();
    disk.sealed = dice.on('sealed');
    this.server = await Server.create();
    this.server.onEffect = (effect) => this.check.effect(effect);
    this.network = new Network(world, this.server);
    this.#load(0);
    if (this.people.chance(0.4)) this.#load(1_000);
    this.#live();
    await world.run(() => this.#count >= this.targets && !world.violation, 2 * kHourMs);
    await world.run(() => false, this.people.between(1_000, 120_000));   // some of it is left on its way
    if (!world.violation) await this.#calm();
    for (const realm of this.realms) realm.alive = false;
    return { violation: world.violation, counts: world.counts, classes: [...dice.classes], hash: world.logHash };
  }

  /** The headers that make a request an owner's. @param {string} owner */
  tokenOf(owner) {
    return this.dice.roll('bad-token', 0.2) ? `Bearer ${kCanary}\nof-${owner}` : `Bearer of-${owner}`;
  }

  // --- the device --------------------------------------------------------------------------------------------------------------

  /** A page is opened; when its process dies, people open it again. @param {number} inMs */
  #load(inMs) {
    const { world } = this;
    world.in(inMs, () => {
      const realm = new Realm(this, this.people.of(this.owners));
      realm.open().catch((error) => world.trace?.(`opening failed: ${error.message}`));
      const watch = () => {
        this.check.overdue();
        if (!realm.alive) return this.#load(this.people.between(10, 60_000));
        world.in(500, watch);
      };
      if (!this.over) watch();
    });
  }

  /** A page that somebody can use. */
  #page() {
    return this.people.of(this.realms.filter(({ alive, client, isFrozen }) => alive && client && !isFrozen));
  }

  #live() {
    const gap = this.people.chance(0.1) ? this.people.between(20_000, 90_000) : this.people.between(20, 6_000);
    this.world.in(gap, () => {
      if (this.over || this.#count >= this.targets) return;
      this.#act();
      this.#live();
    });
  }

  #act() {
    const { people, network, world } = this;
    const realm = this.#page();
    const what = people.below(100);
    if (what < 10 && this.dice.roll('foreign', 0.9)) return this.#foreign();
    if (what < 13) { network.offline = !network.offline; for (const one of this.realms) one.online = !network.offline || people.chance(0.3); return; }
    if (!realm) return;
    if (what < 40) this.#save(realm);
    else if (what < 52) for (let i = 2 + people.below(4), at = 0; i > 0; i--, at += people.between(1, 300)) { const id = this.#entity(); world.in(at, () => this.#save(realm, id)); }
    else if (what < 64) this.#saveAll(realm, people.chance(0.5));
    else if (what < 70) this.#settled(realm.client.delete('NOTE', this.#entity(realm)), realm);
    else if (what < 75) this.#settled(realm.client.save('BLOB', this.#entity(realm), new Blob([`${kCanary} ${'x'.repeat(people.below(400))}${this.#count}`], { type: 'text/plain' })), realm);
    else if (what < 80 && this.#recent.length > 0) this.#cancel(realm);
    else if (what < 84) this.#pause(realm);
    else if (what < 88) realm.client.pull().catch(() => {});
    else if (what < 92 && this.dice.roll('bad-input', 0.9)) this.#badInput(realm);
    else if (what < 94 && this.owners.length > 1) realm.client.signIn().catch(() => {});
    else realm.client.sync().catch(() => {});
  }

  // --- people ------------------------------------------------------------------------------------------------------------------

  /** @param {{owner: string}} [realm] */
  #entity(realm) {
    return `${realm?.owner ?? ''}${this.people.below(this.entities)}`;
  }

  /** The document that is shown, edited. @param {Realm} realm @param {string} id */
  #document(realm, id) {
    const shown = record('docs', `${realm.owner}:NOTE/${id}`);
    const { people } = this;
    const doc = shown && !shown.deleted && shown.bytes ? JSON.parse(Buffer.from(shown.bytes).toString())
      : { id, secret: kCanary, title: '', count: 0, nested: { a: 1, b: { c: null } }, tags: ['x'], text: 'lorem ipsum '.repeat(people.below(20)) };
    const edit = people.below(4);
    if (edit === 0) doc.title = `t${people.below(1e6)}`;
    else if (edit === 1) doc.count = people.below(1e6);
    else if (edit === 2) doc.nested.a = people.below(1e6);
    else doc[`extra${people.below(3)}`] = people.below(1e6);
    return doc;
  }

  /** @param {Realm} realm @param {string} [id] */
  #save(realm, id) {
    if (!realm.alive || realm.isFrozen || !realm.client) return;
    const { people } = this;
    const entityId = id === undefined ? this.#entity(realm) : `${realm.owner}${id}`;
    const options = { priority: people.of(['low', 'normal', 'normal', 'high', 'critical']), ...(people.chance(0.1) && this.#recent.length > 0 && { dependsOn: [people.of(this.#recent)] }),
      ...(people.chance(0.03) && { expiresAt: this.world.nowMs + people.between(10_000, 300_000) }) };
    this.#settled(realm.client.save('NOTE', entityId, this.#document(realm, entityId), options), realm);
  }

  /** @param {Realm} realm @param {boolean} atomic */
  #saveAll(realm, atomic) {
    const count = Math.min(this.entities, 2 + this.people.below(4));
    const items = Array.from({ length: count }, (_, i) => ({ entity: 'NOTE', entityId: `${realm.owner}${i}`, doc: this.#document(realm, `${realm.owner}${i}`) }));
    this.#settled(realm.client.saveAll(items, { atomic }), realm);
  }

  /** @param {Promise<any>} saving @param {Realm} realm */
  #settled(saving, realm) {
    this.#count += 1;
    saving.then((saved) => {
      const all = [saved].flat();
      this.world.trace?.(`realm ${realm.n} saved ${JSON.stringify(all)}`);
      this.check.saved(all);
      this.#recent.push(...all.map(({ id }) => id));
    }, (error) => this.world.trace?.(`realm ${realm.n} could not save: ${error.code} ${error.message}`));
  }

  /** @param {Realm} realm */
  #cancel(realm) {
    const op = this.check.ops.get(this.people.of(this.#recent.slice(-6)));
    if (!op) return;
    const group = record('ops', op.seq)?.group;
    for (const other of rows()) if (other.id === op.id || (group && other.group === group)) { const known = this.check.ops.get(other.id); if (known) known.askedCancel = true; }
    op.askedCancel = true;
    if (this.people.chance(0.8)) return realm.client.cancel(op.id).catch(() => {});
    op.askedRetry = true;
    return realm.client.retry(op.id).catch(() => {});
  }

  /** A pause holds from when it is answered, unless a resume was asked for since, or waits in a process that may be frozen and takes effect later. @param {Realm} realm */
  #pause(realm) {
    realm.client.pause().then(() => {
      this.check.paused = !this.resumed && !this.realms.some(({ alive, resuming }) => alive && resuming > 0);
    }, () => {});
    this.resumed = false;
    this.world.in(this.people.between(1_000, 60_000), () => {
      this.resumed = true;
      this.check.paused = false;
      const page = this.#page();
      if (!page) return;
      page.resuming += 1;
      page.client.resume().catch(() => {}).finally(() => { page.resuming -= 1; });
    });
  }

  /** What is refused harms nobody: the next valid call is answered. @param {Realm} realm */
  #badInput(realm) {
    this.world.counts.refusals += 1;
    const { check } = this;
    const refused = (/** @type {string} */ what) => (/** @type {any} */ error) => { if (!error?.code) check.fail(21, `${what} was refused without a code: ${error}`); };
    if (this.people.chance(0.5)) realm.client.save('NOTE', '..', { a: 1 }).then(() => check.fail(21, 'an entity id ".." was taken'), refused('an entity id'));
    else {
      realm.client.settings({ maxConcurrentBatches: 'many' }).then(() => check.fail(21, 'a setting of the wrong type was taken'), refused('a setting'));
      realm.turns.ask({ commands: [{ type: 'setPriority', id: 5 }] }).answers.then(() => check.fail(21, 'a malformed command was taken'), refused('a command'));
    }
  }

  /** Another client writes, or takes away, under the newest version. */
  #foreign() {
    const { people, server } = this;
    const names = [...server.versions.keys()];
    if (names.length === 0) return;
    const name = people.of(names);
    const current = /** @type {import('./server.js').Version} */ (server.current(name));
    const [entity, entityId] = name.split('/');
    const headers = { 'idempotency-key': `"other-${this.world.counts.requests}-${people.below(1e9)}"`, 'if-match': current.etag };
    const request = { path: `/api/v1/entities/${entity}/${encodeURIComponent(entityId)}`, subject: 'other' };
    if (current.deleted || people.chance(0.1)) return this.world.working(() => server.answer({ ...request, method: 'DELETE', headers, body: Buffer.alloc(0) }));
    const blob = entity === 'BLOB';
    const doc = blob ? null : JSON.parse(String(current.body));
    if (doc) doc[people.of(['title', 'count', 'foreign'])] = `f${people.below(1e6)}`;
    const body = Buffer.from(blob ? `theirs ${people.below(1e6)} ${'y'.repeat(people.below(300))}` : JSON.stringify(doc));
    return this.world.working(() => server.answer({ ...request, method: 'PUT', headers: { ...headers, 'content-type': blob ? 'text/plain' : 'application/json' }, body }));
  }

  // --- after the faults --------------------------------------------------------------------------------------------------------

  async #calm() {
    const { world, check, dice } = this;
    this.over = true;
    dice.calm();
    this.network.offline = false;
    for (const realm of this.realms) realm.kill();
    await world.run(() => false, 300_000);   // what was on its way arrives
    this.lastOwner = this.owners[0];
    const realm = new Realm(this, this.lastOwner);
    realm.open().catch(() => {});
    let done = false;
    const settle = async () => {
      while (!realm.client) await new Promise((resolve) => { realm.clock.timer(100, () => resolve(undefined)); });
      await realm.client.signIn();
      await realm.client.resume();
      for (let round = 0; round < 60; round++) {
        const { wakeAtMs } = await realm.client.sync().catch(() => ({ wakeAtMs: null }));
        if (!rows().some((row) => !['dead', 'quarantined'].includes(row.state) && (row.owner ?? '') === this.lastOwner)) break;
        await realm.clock.sleep(Math.max(1_000, Math.min(600_000, (wakeAtMs ?? 0) - world.nowMs)), /** @type {any} */ (undefined));
      }
      await realm.client.pull();
      done = true;
    };
    settle().catch((error) => check.fail(17, `after the faults ceased the client cannot sync: ${error.stack}`));
    if (!(await world.run(() => done, 6 * kHourMs)) && !world.violation) check.fail(17, 'six hours after the faults ceased the client is not done');
    if (!world.violation) check.atEnd();
  }
}
