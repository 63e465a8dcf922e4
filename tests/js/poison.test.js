// An op that kills the whole process, not only the core's instance, can neither loop nor take others with it.
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { clock } from '../../sw/clock.js';
import { openClient } from '../../sw/node.js';
import { openSqliteStore } from '../../sw/sqlite-store.js';
import { random } from '../../sw/random.js';
import { buildRow } from '../../sw/accept.js';
import { afterMark, markOf } from '../../sw/step-mark.js';
import { kLimits } from './store.contract.js';
import { startServer, temporaryDirectory } from './server-harness.js';

const kOps = 12;

test('a range that did not return twice is halved, then each time, until one op is alone', () => {
  const poison = 777;
  let suspect = { seqs: [], limit: 500, deaths: 0 };
  let deaths = 0;
  for (let guilty = []; guilty.length === 0; deaths++) {
    assert.ok(deaths < 40, 'it loops');
    // The step that looks at it: the window of `limit` rows in which it is.
    const first = Math.floor((poison - 1) / suspect.limit) * suspect.limit + 1;
    const mark = markOf(Array.from({ length: suspect.limit }, (_, i) => first + i), suspect);
    ({ guilty, ...suspect } = afterMark(mark, 500));
    if (guilty.length > 0) assert.deepEqual(guilty, [poison]);
  }
  assert.equal(deaths, 2 + (Math.ceil(Math.log2(500)) - 1) + 3);
});

test('one step that did not return convicts nobody, and one that did is no evidence', () => {
  const mark = { seqs: [1, 2], limit: 500, deaths: 0 };
  assert.deepEqual(afterMark(mark, 500), { seqs: [1, 2], limit: 500, deaths: 1, guilty: [] });
  assert.deepEqual(afterMark({ ...mark, deaths: 1, over: true }, 500), { ...mark, deaths: 1, guilty: [] });
  assert.deepEqual(afterMark({ ...mark, deaths: 1 }, 500), { seqs: [1, 2], limit: 1, deaths: 1, guilty: [] });
  assert.deepEqual(afterMark({ seqs: [1, 2], limit: 1, deaths: 3 }, 500).guilty, [1, 2]);   // an atomic group
  assert.deepEqual(afterMark({ seqs: [], limit: 500, deaths: 5 }, 500).guilty, []);          // not an op's fault
  assert.deepEqual(markOf([5, 6, 7], { seqs: [1, 6], limit: 2, deaths: 1 }), { seqs: [6], limit: 2, deaths: 1 });
  assert.deepEqual(markOf([5], { seqs: [1], limit: 2, deaths: 1 }), { seqs: [5], limit: 2, deaths: 0 });
});

test('an op alone is convicted by four steps that did not return, not by three: two come by chance where workers are stopped every other second', () => {
  const mark = { seqs: [7], limit: 500 };
  for (const deaths of [0, 1, 2]) assert.deepEqual(afterMark({ ...mark, deaths }, 500), { ...mark, deaths: deaths + 1, guilty: [] });
  assert.deepEqual(afterMark({ ...mark, deaths: 3, over: true }, 500), { ...mark, deaths: 3, guilty: [] });
  assert.deepEqual(afterMark({ ...mark, deaths: 3 }, 500), { seqs: [], limit: 500, deaths: 0, guilty: [7] });
});

for (const [how, ends] of [['row', 'process'], ['payload', 'process'], ['base', 'process'], ['row', 'instance'], ['payload', 'instance'], ['base', 'instance']])
  test(`a ${how} that ends the ${ends} is quarantined, everything else arrives`, { timeout: 240_000 }, async (t) => {
    const { api, get } = await startServer(t);
    const path = join(temporaryDirectory(t), 'a.db');
    const healthy = await openClient({ path, endpoint: api, autoSync: false });
    if (how === 'base') {
      await healthy.save('NOTE', 'poison', { n: 0, text: 'POISON' });
      await healthy.sync();
    }
    await healthy.close();
    const store = await openSqliteStore({ path });
    const context = { owner: '', schemaVersion: 0, maxOpBytes: 1e6, fieldNames: () => [], clock, random };
    for (let n = 0; n < kOps; n++) {
      const poison = n === 4;
      const item = await buildRow({ entity: 'NOTE', entityId: poison ? 'poison' : `n${n}`, doc: { n, text: poison && how !== 'base' ? 'POISON' : 'fine' } }, context, '');
      await store.accept([item], kLimits);
    }
    await store.close();

    let deaths = 0;
    for (;;) {
      const child = fork(new URL('./poison-child.js', import.meta.url), [path, api, how, ends], { stdio: 'inherit' });
      const [code, signal] = await once(child, 'exit');
      if (signal === null) { assert.equal(code, 0); break; }
      assert.equal(signal, 'SIGKILL');
      assert.ok((deaths += 1) < 16, 'it loops');
    }
    t.diagnostic(`${deaths} deaths`);
    if (ends === 'process') assert.ok(deaths >= 2);
    else assert.equal(deaths, 0, 'one drain goes on with new instances');
    for (let n = 0; n < kOps; n++) if (n !== 4) assert.equal(JSON.parse((await get(`NOTE/n${n}`)).text).n, n);
    const there = await get('NOTE/poison');
    if (how === 'base') assert.equal(JSON.parse(there.text).n, 0, 'the change of it did not arrive');
    else assert.equal(there.status, 404);

    const client = await openClient({ path, endpoint: api, autoSync: false });
    t.after(() => client.close());
    const [left, ...others] = await client.ops();
    assert.deepEqual([left.entityId, left.state, others.length], ['poison', 'quarantined', 0]);
    assert.deepEqual((await client.get('NOTE', 'poison')).text, how === 'base' ? 'fine' : 'POISON');   // nothing of it is lost
    assert.equal((await client.status()).deadLetters, 1);
    await client.drop(left.id);
    assert.deepEqual(await client.ops(), []);
  });
