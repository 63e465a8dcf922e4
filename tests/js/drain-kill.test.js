// The kill sweep of a drain, plain and sealed (tidegate/encryption): the process dies at every await, also of the drain that seals an old database. Nothing is lost, doubled,
// or left open to read.
import assert from 'node:assert/strict';
import { killSweep } from './mortal.js';
import { contentOf, sealed } from './sealed-lines.js';

const body = { text: 'y'.repeat(400), n: 0 };
const seals = sealed(1);
const sealing = { around: (store) => seals(store, { publish: () => {} }) };

const scene = (settings) => ({
  // Acknowledged first: what the deltas and the delete rest on.
  begin: async ({ name, accept, drained }) => {
    const ids = [await accept('a', body), await accept('b', { n: 0 })];
    await drained(settings);
    // Two in a lane: over IndexedDB in one batch only, where a request more is not a quarter of a minute more.
    if (name === 'SQLite' || Object.keys(settings).length === 0) ids.push(await accept('a', { ...body, n: 1 }, { coalesce: false }));
    ids.push(await accept('a', { ...body, n: 2 }, { coalesce: false }), await accept('b', undefined, { action: 'delete' }), await accept('c', { n: 1 }), await accept('c', { n: 2 }));
    return ids;
  },
  expect: async ({ there, get, when }) => {
    assert.deepEqual([(await get('a')).text, (await get('b')).status, (await get('c')).text], [JSON.stringify({ ...body, n: 2 }), 410, '{"n":2}'], when);
    assert.deepEqual(JSON.parse(String(there.a)), { ...body, n: 2 }, when);
    assert.equal(there.b, null, when);
    assert.equal(String(there.c), '{"n":2}', when);
  },
});

for (const [name, settings] of [
  ['in one batch', {}], ['op by op, in small batches', { maxBatchOps: 1, maximumConcurrentOperations: 1 }], ['three requests at once', { maxBatchOps: 1 }], ['in REST mode', { mode: 'rest' }],
])
  killSweep(`killed at every await of a drain ${name}: no op is lost, none has two effects, the server holds the last versions`, { least: 15, ...scene(settings) });

for (const [name, settings, before] of [['in one batch', {}, sealing], ['op by op', { maxBatchOps: 1, maximumConcurrentOperations: 1 }, sealing], ['that seals what was plain', {}, {}]]) {
  const { begin, expect } = scene(settings);
  killSweep(`killed at every await of a sealed drain ${name}: no op is lost, none has two effects, and nothing can be read afterwards`, {
    least: 20, before, shell: sealing, begin,
    expect: async (found) => {
      await expect(found);
      const content = await contentOf(found.store);
      assert.deepEqual(['yyyyyyyy', 'KILLED'].filter((word) => content.includes(word)), [], `${found.when}: something can be read`);
    },
  });
}
