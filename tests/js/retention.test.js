// A server forgets idempotency keys after a time that it states. What it applied before that, and never answered, is found there and not sent again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildRow } from '../../sw/accept.js';
import { clock } from '../../sw/clock.js';
import { random } from '../../sw/random.js';
import { openSqliteStore } from '../../sw/sqlite-store.js';
import { drainAll, mortal } from './mortal.js';
import { rowsOf, startServer } from './server-harness.js';
import { proxy } from './upload-harness.js';

const kHourMs = 3_600_000;

/** What is saved over NOTE/there `{"n":0}`, what the server has in the end, and how many writes are left to send once it forgot: in REST mode an entity's second goes after its first. */
const kKinds = {
  'two updates of an entity': { saves: [['there', { n: 1 }], ['there', { n: 2 }]], has: { there: '{"n":2}' }, left: { batch: 0, rest: 1 } },
  'a create': { saves: [['new', { n: 1 }]], has: { there: '{"n":0}', new: '{"n":1}' }, left: { batch: 0, rest: 0 } },
  'a delete': { saves: [['there', undefined]], has: { there: null }, left: { batch: 0, rest: 0 } },
  'a create and its delete': { saves: [['new', { n: 1 }], ['new', undefined]], has: { there: '{"n":0}', new: null }, left: { batch: 0, rest: 1 } },
};

for (const mode of ['batch', 'rest'])
  for (const [kind, { saves, has, left }] of Object.entries(kKinds))
    test(`${mode}: ${kind} without an answer until the server forgot the keys: each op has one effect`, async (t) => {
      const time = { ahead: 0 };
      const server = await startServer(t, { clock: () => Date.now() + time.ahead, limits: { closeGraceMs: 50, purgeEveryMs: 5, keyRetentionMs: kHourMs } });
      const between = await proxy(t, server.url);
      const store = await openSqliteStore({ path: ':memory:' });
      t.after(() => store.close());
      const turns = mortal({ store, api: `${between.url}/api/v1`, time });
      /** @type {string[]} */
      const ids = [];
      const save = async (/** @type {string} */ entityId, /** @type {any} */ doc, /** @type {any} */ action) => {
        const context = { owner: '', maxOpBytes: 1e6, schemaVersion: 0, fieldNames: () => [], clock: { ...clock, now: () => Date.now() + time.ahead }, random };
        const item = await buildRow({ entity: 'NOTE', entityId, doc, action }, /** @type {any} */ (context), '');
        await store.accept([item], { maxOps: 100, maxBytes: 1e6 });
        ids.push(item.row.id);
      };
      const effects = () => rowsOf(server.file, 'SELECT op_id FROM effects').map(({ op_id }) => op_id);
      await save('there', { n: 0 }, 'create');
      await drainAll(turns, store, time);
      await turns.ask({ commands: [{ type: 'settings', value: { mode, coalesce: false } }] }).end;

      between.before = async ({ method }) => (method === 'GET' ? undefined : { status: 504, applied: true });
      for (const [entityId, doc] of saves) await save(entityId, doc, doc === undefined ? 'delete' : undefined);
      await turns.ask({ event: { type: 'manual' }, commands: [{ type: 'flush' }] }).end;
      assert.deepEqual(effects(), ids.slice(0, ids.length - left[mode]), 'all of it was applied');
      assert.equal((await store.rows(0, 10)).length, saves.length, 'and nobody here knows');

      between.before = undefined;
      between.requests.length = 0;
      time.ahead += 2 * kHourMs;
      while (rowsOf(server.file, 'SELECT key FROM keys').length > 0) await new Promise(setImmediate);
      await drainAll(turns, store, time);
      assert.deepEqual(effects(), ids);
      assert.equal(between.requests.filter(({ method }) => method !== 'GET').length, left[mode]);
      for (const [entityId, text] of Object.entries(has)) {
        const found = await server.get(`NOTE/${entityId}`);
        assert.equal(found.status === 200 ? found.text : null, text, entityId);
      }
      assert.deepEqual((await store.list('history', { prefix: 'audit/', limit: 100 })).filter(({ value }) => value.kind === 'conflict'), []);
    });
