// The kill sweep with a sealed store: the process dies at every await of a drain, also of the one that seals an old database. Nothing is lost, doubled, or left open to read.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildRow } from '../../sw/accept.js';
import { clock } from '../../sw/clock.js';
import { random } from '../../sw/random.js';
import { openSqliteStore } from '../../sw/sqlite-store.js';
import { contentOf, sealed } from './sealed-lines.js';
import { drainAll, mortal } from './mortal.js';
import { rowsOf, startServer } from './server-harness.js';
import { kLimits } from './store.contract.js';

const context = { owner: '', schemaVersion: 0, maxOpBytes: 1e6, fieldNames: () => [], clock, random };
const around = (store) => sealed(1)(store, { publish: () => {} });
/** @param {any} store */
const acceptTo = (store) => async (entity, entityId, doc, more = {}) => {
  const item = await buildRow({ entity, entityId, doc, ...more }, context, '');
  await store.accept([item], kLimits);
  return item.row.id;
};

for (const [name, settings, withKeys] of [['in one batch', {}, true], ['op by op', { maxBatchOps: 1, maximumConcurrentOperations: 1 }, true], ['that seals what was plain', {}, false]])
  test(`killed at every await of a drain ${name}: no op is lost, none has two effects, and nothing can be read afterwards`, async (t) => {
    const { api, file, get } = await startServer(t);
    const time = { ahead: 0 };
    let points = 0;
    for (let kill = 1, dead = true; dead; kill++) {
      const store = await openSqliteStore({ path: ':memory:' });
      const entity = `KILLED${kill}`;
      const accept = acceptTo(withKeys ? around(store) : store);
      const alive = () => mortal({ store, api, time, around });
      const body = { text: 'y'.repeat(400), n: 0 };
      const first = [await accept(entity, 'a', body), await accept(entity, 'b', { n: 0 })];
      const ready = mortal({ store, api, time, ...(withKeys && { around }) });
      await ready.ask({ commands: [{ type: 'settings', value: settings }] }).answers;
      await drainAll(ready, store, time);
      const ids = [
        await accept(entity, 'a', { ...body, n: 1 }, { coalesce: false }), await accept(entity, 'a', { ...body, n: 2 }, { coalesce: false }),
        await accept(entity, 'b', undefined, { action: 'delete' }), await accept(entity, 'c', { n: 1 }), await accept(entity, 'c', { n: 2 }),
      ];
      let calls = 0;
      dead = false;
      const point = () => { if (dead || ++calls === kill) { dead = true; throw new Error('killed'); } };
      await mortal({ store, api, time, point, around }).ask({ event: { type: 'sync' } }).end;
      await drainAll(alive(), store, time);

      const effects = rowsOf(file, `SELECT op_id FROM effects WHERE entity = '${entity}'`).map(({ op_id }) => op_id);
      assert.equal(new Set(effects).size, effects.length, `kill ${kill}: an op has two effects`);
      const history = await around(store).list('history');
      const records = history.map(({ value }) => value).filter(({ kind }) => kind === 'folded' || kind === 'cancelled');
      const accounted = new Set([...effects, ...records.map(({ opId }) => opId)]);
      for (const id of [...first, ...ids]) assert.ok(accounted.has(id), `kill ${kill}: op ${id} is lost`);
      assert.deepEqual(JSON.parse((await get(`${entity}/a`)).text), { ...body, n: 2 }, `kill ${kill}`);
      assert.equal((await get(`${entity}/b`)).status, 410, `kill ${kill}`);
      assert.equal((await get(`${entity}/c`)).text, '{"n":2}', `kill ${kill}`);
      assert.deepEqual((await store.list('payloads')).map(({ key }) => key), [], `kill ${kill}: payloads are left over`);
      const totals = await store.get('state', 'totals');
      assert.deepEqual([totals.ops, totals.bytes], [0, 0], `kill ${kill}`);
      const content = await contentOf(store);
      assert.deepEqual(['yyyyyyyy', 'KILLED'].filter((word) => content.includes(word)), [], `kill ${kill}: something can be read`);
      await store.close();
      if (dead) points = kill;
    }
    t.diagnostic(`${points} points`);
    assert.ok(points >= 20, `${points} points`);
  });
