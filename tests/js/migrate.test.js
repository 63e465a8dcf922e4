// FF-19, documents that another version of the app saved, through the door: asked once, stored, sent under the same key; what cannot be migrated waits and says why.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { withAsking } from '../../sw/ask.js';
import { clock } from '../../sw/clock.js';
import { openClient } from '../../sw/node.js';
import { killSweep } from './mortal.js';
import { rowsOf, startServer, temporaryDirectory } from './server-harness.js';

/** A server, and the app in one version after the other over one outbox. */
async function app(t) {
  const world = await startServer(t);
  const path = join(temporaryDirectory(t), 'outbox.db');
  const open = async (options) => {
    const client = await openClient({ path, endpoint: world.api, autoSync: false, ...options });
    t.after(() => client.close());
    return client;
  };
  return { ...world, open, effects: () => rowsOf(world.file, 'SELECT op_id FROM effects ORDER BY n').map(({ op_id }) => op_id) };
}

test('FF-19: what the app saved before its update is migrated, seen and sent in its new form, under its own key', async (t) => {
  const { open, get, effects } = await app(t);
  const old = await open({ schemaVersion: 1 });
  const { id } = await old.save('FORM', 'a', { name: 'Anna', n: 1 });
  await old.close();
  /** @type {any[]} */
  const asked = [];
  const client = await open({ schemaVersion: 2, migrate: async (op, from) => {
    asked.push({ ...op, from });
    const { name, ...rest } = op.doc;
    return { ...rest, title: name };
  } });
  /** @type {any[]} */
  const heard = [];
  client.subscribe(({ type, detail }) => { if (type === 'sync.documents') heard.push(...detail.documents); });
  await client.sync();
  assert.deepEqual(asked, [{ opId: id, owner: '', entity: 'FORM', entityId: 'a', doc: { name: 'Anna', n: 1 }, from: 1 }]);
  assert.equal((await get('FORM/a')).text, '{"n":1,"title":"Anna"}');
  assert.deepEqual(await client.get('FORM', 'a'), { n: 1, title: 'Anna' });
  assert.deepEqual(heard, [{ entity: 'FORM', entityId: 'a' }]);
  assert.deepEqual(effects(), [id]);
});

test('a migrate that is missing, throws, or answers what is no JSON leaves its op waiting with that reason, exportable, and others go on', async (t) => {
  const cases = [
    [undefined, ''], [() => undefined, ''], [() => () => 1, ''], [() => { throw new Error('no such form'); }, 'Error: no such form'],
    [async () => { throw new Error('later'); }, 'Error: later'], [() => 1n, 'TypeError: Do not know how to serialize a BigInt'],
  ];
  for (const [migrate, reason] of cases) {
    const { open, get, effects } = await app(t);
    const client = await open({ schemaVersion: 2, migrate });
    const { id } = await client.save('FORM', 'a', { name: 'Anna' }, { schemaVersion: 1 });
    const other = await client.save('NOTE', 'b', { n: 1 });
    for (let i = 0; i < 7; i++) assert.equal((await client.sync()).wakeAtMs, null, 'no time can help');
    assert.deepEqual(effects(), [other.id], String(migrate));
    const why = await client.explain(id);
    assert.equal(why.reason, 'schema');
    assert.equal(why.sentence, `It is of schemaVersion 1. ${reason}`);
    assert.deepEqual((await client.ops()).map(({ id: op, state, attempts }) => [op, state, attempts]), [[id, 'queued', 0]]);
    assert.match(await (await client.exportQueue()).text(), /"schemaVersion":1/);
    await client.close();
    const repaired = await open({ schemaVersion: 2, migrate: ({ doc }) => ({ title: doc.name }) });
    await repaired.sync();
    assert.equal((await get('FORM/a')).text, '{"title":"Anna"}', 'code that can takes it from there');
  }
});

test('versions N and N-1 take turns: what the newer saved waits for it and is never given to the older', async (t) => {
  const { open, get } = await app(t);
  const newer = await open({ schemaVersion: 2 });
  const { id } = await newer.save('FORM', 'a', { title: 'Anna' });
  await newer.close();
  let asked = 0;
  const older = await open({ schemaVersion: 1, migrate: () => { asked += 1; return {}; } });
  await older.save('FORM', 'b', { name: 'Berta' });
  await older.sync();
  assert.equal((await older.explain(id)).sentence, 'It is of schemaVersion 2. ');
  assert.equal((await get('FORM/b')).text, '{"name":"Berta"}');
  await older.close();
  const again = await open({ schemaVersion: 2, migrate: () => { asked += 1; return {}; } });
  await again.sync();
  assert.equal((await get('FORM/a')).text, '{"title":"Anna"}');
  assert.equal(asked, 0);
});

test('a schemaVersion that is none is refused by name, at the door and at the option', async (t) => {
  const { open } = await app(t);
  for (const bad of [-1, 1.5, '2', 2 ** 31, NaN, null]) {
    await assert.rejects(open({ schemaVersion: bad }), { code: 'out-of-range', path: '/schemaVersion', message: /^\/schemaVersion: expected a whole number from 0 to 2147483647, got / });
    const client = await open({});
    await assert.rejects(client.save('A', '1', {}, { schemaVersion: bad }), { code: 'out-of-range', path: '/schemaVersion' });
    assert.deepEqual(await client.ops(), []);
    await client.close();
  }
});

const migrate = ({ doc: { name, ...rest } }) => ({ ...rest, title: name });
killSweep('killed at every await of a drain that migrates: nothing is lost, none has two effects, and all is of the new version', {
  least: 15, before: { schemaVersion: 1 }, shell: { schemaVersion: 2, tasks: (transport) => withAsking(transport, clock, undefined, migrate) },
  begin: async ({ accept, drained }) => {
    const first = await accept('a', { name: 'y'.repeat(300), n: 0 });
    await drained();   // acknowledged in the old version: what a delta rests on
    return [first, await accept('a', { name: 'y'.repeat(300), n: 1 }), await accept('b', { name: 'b', n: 1 }), await accept('c', { name: 'c', n: 1 })];
  },
  expect: async ({ store, ids, effects, there, when }) => {
    assert.deepEqual(effects.sort(), ids.sort(), `${when}: each op has one effect`);
    assert.deepEqual(JSON.parse(String(there.a)), { n: 1, title: 'y'.repeat(300) }, when);
    const shown = Object.fromEntries((await store.list('docs')).map(({ value }) => [value.entityId, new TextDecoder().decode(value.bytes)]));
    for (const name of ['b', 'c']) {
      assert.deepEqual(JSON.parse(String(there[name])), { n: 1, title: name }, when);
      assert.equal(shown[name], `{"n":1,"title":"${name}"}`, when);
    }
  },
});
