// The kill sweep: the real shell, core and transport, every await of which may be the last; over SQLite, and over the simulated IndexedDB, where a process may
// also go in the middle of a transaction.
import 'fake-indexeddb/auto';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { IDBFactory } from 'fake-indexeddb';
import { createPlanner } from '../../wasm/index.js';
import { buildRow } from '../../sw/accept.js';
import { clock } from '../../sw/clock.js';
import { webLocks } from '../../sw/locks.js';
import { random } from '../../sw/random.js';
import { openSqliteStore } from '../../sw/sqlite-store.js';
import { openStore } from '../../sw/store.js';
import { createTransport } from '../../sw/transport.js';
import { Turns } from '../../sw/turns.js';
import { rowsOf, startServer } from './server-harness.js';
import { lockManager } from './sw-harness.js';

const kWasm = readFileSync(new URL('../../dist/tidegate.wasm', import.meta.url));
const kContext = { owner: '', maxOpBytes: 1e6, fieldNames: () => [], clock, random };
const kLimits = { maxOps: 1000, maxBytes: 1e9 };

/** How a fresh store is opened, by name. */
export const kStores = {
  SQLite: () => openSqliteStore({ path: ':memory:' }),
  IndexedDB: () => { globalThis.indexedDB = new IDBFactory(); return openStore({ clock }); },
};

/** What every simulated transaction asks after its first write: a process that is gone takes it along. Whichever write it was, nothing of it stays. */
let ask = () => {};
const asked = new WeakSet();
for (const name of ['put', 'add', 'delete']) {
  const write = IDBObjectStore.prototype[name];
  IDBObjectStore.prototype[name] = function (...args) {
    const request = write.apply(this, args), { transaction } = this;
    if (asked.has(transaction)) return request;
    asked.add(transaction);
    try { ask(); } catch (error) { transaction.abort(); throw error; }
    return request;
  };
}

/** `store` as a process has it for which `point` says whether it lives: asked before and after every call. */
export const dying = (store, point) => new Proxy(store, { get: (target, name) => (typeof target[name] !== 'function' ? target[name] : async (...args) => {
  point();
  const result = await target[name](...args);
  point();
  return result;
}) });

/**
 * One round for every point at which a process can die, each with a store of its own, and a last one that it outlives. What `mayDie` is given is that process: its `point` throws
 * from the round's point on.
 * @param {() => Promise<any>} fresh @param {(round: {store: any, kill: number, mayDie: (work: (point: () => void) => any) => Promise<any>, died: () => boolean}) => Promise<void>} round
 * @returns {Promise<number>} how many points there are
 */
export async function everyKill(fresh, round) {
  for (let kill = 1; ; kill++) {
    const store = await fresh();
    let calls = 0, dead = false;
    const point = () => { if (dead || ++calls === kill) { dead = true; throw new Error('killed'); } };
    const mayDie = async (work) => { ask = point; try { return await work(point); } finally { ask = () => {}; } };
    await round({ store, kill, mayDie, died: () => dead });
    await store.close();
    if (!dead) return kill - 1;
  }
}

/**
 * Over `store`, with what `around` puts around it. `point` is called before and after every call and throws when that is the last; `sent` hears every request.
 * @param {{store: any, api: string, time: {ahead: number}, point?: () => void, around?: (store: any) => any, sent?: (effect: any) => void, tasks?: any, schemaVersion?: number, authorize?: any}} options  tasks: stands around the transport
 */
export function mortal({ store, api, time, point = () => {}, around = (store) => store, sent = () => {}, tasks = (transport) => transport, schemaVersion, authorize }) {
  const own = around(dying(store, point));
  const transport = tasks(createTransport({ endpoint: api, clock, authorize: authorize && (async (...asked) => { point(); const held = await authorize(...asked); point(); return held; }) }), { store: own, clock, publish: () => {} });
  return new Turns({
    store: own, clock: { ...clock, now: () => Date.now() + time.ahead }, random, locks: webLocks(lockManager()), publish: () => {}, readings: () => ({}), schemaVersion,
    createPlanner: async () => { point(); return createPlanner(kWasm); },
    transport: { send: async (effect, ...rest) => { point(); sent(effect); const outcome = await transport.send(effect, ...rest); point(); return outcome; } },
  });
}

/** Drains until nothing waits any more; waits pass at once. */
export async function drainAll(turns, store, time, commands = []) {
  for (let round = 0; round < 50; round++) {
    const end = await turns.ask({ event: { type: 'manual', trigger: 'manual' }, commands: [{ type: 'flush' }, ...commands] }).end;
    assert.equal(end.ok, true, end.error?.message);
    if ((await store.rows(0, 1)).length === 0) return;
    time.ahead += Math.max(1000, (end.wakeAtMs ?? 0) - Date.now() - time.ahead);
  }
  assert.fail(`still queued: ${JSON.stringify(await store.rows(0, 10))}`);
}

/**
 * A test for each store: killed at every await of a drain, and drained again, no op is lost, none has two effects, nothing of them is left over, and all is as `expect` says.
 * `begin` accepts ops and answers their ids; between them it may drain, and set what the drain to come goes by. `shell` is the process that dies (see mortal()), `before` and `after` are those around it.
 * @param {string} claim
 * @param {{least: number, server?: any, shell?: any, before?: any, after?: (kill: number) => any, context?: any, keep?: (store: any, items: any[], limits: any) => Promise<any>,
 *   commands?: any[], through?: (t: any, server: any) => Promise<string>,
 *   begin: (scene: {name: string, entity: string, server: any, accept: (entityId: string, doc: any, more?: any) => Promise<string>, drained: (settings?: any) => Promise<void>}) => Promise<string[]>,
 *   expect: (scene: {store: any, entity: string, ids: string[], effects: string[], there: Record<string, Buffer | null>, get: (entityId: string) => Promise<any>, when: string}) => Promise<void>, atEnd?: () => void}} sweep  least: so many points there are. server: options of it. commands: are asked with each drain. through: an endpoint that stands before the server. there: the documents of the server, null where it deleted one
 */
export function killSweep(claim, { least, server: options = {}, shell = {}, before = shell, after = () => shell, context = {}, keep = (store, items, limits) => store.accept(items, limits), commands = [],
  through = async (_t, server) => server.api, begin, expect, atEnd = () => {} }) {
  for (const [name, fresh] of Object.entries(kStores))
    test(`${name}: ${claim}`, async (t) => {
      const server = await startServer(t, options);
      const { file, get } = server, api = await through(t, server);
      const time = { ahead: 0 };
      const points = await everyKill(fresh, async ({ store, kill, mayDie }) => {
        const entity = `KILLED${kill}`, when = `kill ${kill}`;
        const process = (made, more = {}) => mortal({ store, api, time, ...made, ...more });
        const accept = async (entityId, doc, more = {}) => {
          const item = await buildRow({ entity, entityId, doc, ...more }, { ...kContext, schemaVersion: before.schemaVersion ?? 0, ...context }, '');
          await keep((before.around ?? ((plain) => plain))(store), [item], kLimits);
          return item.row.id;
        };
        const drained = async (settings = {}) => {
          const turns = process(before);
          await drainAll(turns, store, time);
          await turns.ask({ commands: [{ type: 'settings', value: settings }] }).end;
        };
        const ids = await begin({ name, entity, server, accept, drained });
        await mayDie((point) => process(shell, { point }).ask({ event: { type: 'sync' }, commands }).end);
        await drainAll(process(after(kill)), store, time, commands);

        const rows = rowsOf(file, `SELECT op_id, entity_id, deleted, body FROM effects LEFT JOIN documents USING (entity, entity_id) WHERE entity = '${entity}'`);
        const effects = rows.map(({ op_id }) => op_id);
        const there = Object.fromEntries(rows.map(({ entity_id, deleted, body }) => [entity_id, deleted ? null : Buffer.from(body ?? [])]));
        assert.equal(new Set(effects).size, effects.length, `${when}: an op has two effects`);
        const history = await (shell.around ?? ((plain) => plain))(store).list('history');
        const records = history.map(({ value }) => value).filter(({ kind }) => kind === 'folded' || kind === 'cancelled');
        const accounted = new Set([...effects, ...records.map(({ opId }) => opId)]);
        for (const id of ids) assert.ok(accounted.has(id), `${when}: op ${id} is lost`);
        assert.deepEqual((await store.list('payloads')).map(({ key }) => key), [], `${when}: payloads are left over`);
        const { ops, bytes } = await store.get('state', 'totals');
        assert.deepEqual([ops, bytes], [0, 0], when);
        await expect({ store, entity, ids, effects, there, get: (entityId) => get(`${entity}/${entityId}`), when });
      });
      t.diagnostic(`${points} points`);
      assert.ok(points >= least, `${points} points`);
      atEnd();
    });
}
