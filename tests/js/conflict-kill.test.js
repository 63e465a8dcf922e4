// Kill sweeps of what is more than a send: a conflict about which the app is asked, a token that is renewed after a 401, a pull, and a plain save. The process dies at
// every await, and nothing is lost, doubled or half there.
import assert from 'node:assert/strict';
import { createServer, request } from 'node:http';
import { once } from 'node:events';
import { test } from 'node:test';
import { Account } from '../../sw/account.js';
import { withAsking } from '../../sw/ask.js';
import { createCalls } from '../../sw/calls.js';
import { clock } from '../../sw/clock.js';
import { webLocks } from '../../sw/locks.js';
import { Marker } from '../../sw/marker.js';
import { random } from '../../sw/random.js';
import { payloadKey } from '../../sw/store-rules.js';
import { dying, everyKill, killSweep, kStores } from './mortal.js';

const kLong = 'y'.repeat(300);
/** What the app sees of an entity type. */
const shown = async (store, entity) => Object.fromEntries((await store.list('docs')).filter(({ value }) => value.entity === entity).map(({ value }) => [value.entityId, value.deleted ? null : JSON.parse(new TextDecoder().decode(value.bytes))]));

/** Another client's change of a document that this one has acknowledged. */
async function changedByAnother({ get, put }, path, doc) {
  const { etag } = await get(path);
  const { status } = await put(path, { 'if-match': etag, 'content-type': 'application/json', body: JSON.stringify(doc) });
  assert.equal(status, 200);
}

for (const [name, strategy, wanted] of [['merged', 'three-way', { text: kLong, ours: 2, theirs: 1 }], ['decided by the app', 'custom', { text: kLong, ours: 2, theirs: 1, asked: true }]])
  killSweep(`killed at every await of a conflict that is ${name}: both sides' edits stay, each op has one effect, and the audit trail has it once`, {
    least: 20, shell: { tasks: (transport) => withAsking(transport, clock, ({ ours, theirs }) => ({ ...theirs, ours: ours.ours, asked: true })) },
    begin: async ({ accept, drained, server, entity }) => {
      const first = await accept('a', { text: kLong, ours: 0, theirs: 0 });
      await drained({ conflictStrategy: strategy });
      await changedByAnother(server, `${entity}/a`, { text: kLong, ours: 0, theirs: 1 });
      return [first, await accept('a', { text: kLong, ours: 2, theirs: 0 }), await accept('b', { n: 1 })];
    },
    expect: async ({ store, entity, ids, effects, there, when }) => {
      assert.equal(effects.filter((id) => ids.includes(id)).length, ids.length, `${when}: each op has one effect`);
      assert.deepEqual(JSON.parse(String(there.a)), wanted, when);
      assert.deepEqual(await shown(store, entity), { a: wanted, b: { n: 1 } }, when);
      const conflicts = (await store.list('history', { prefix: 'audit/' })).filter(({ value }) => value.kind === 'conflict');
      assert.deepEqual(conflicts.map(({ value }) => value.opId), [ids[1]], `${when}: the audit trail`);
    },
  });

/** What lets through only who has the token, before the server that it stands for. @param {import('node:test').TestContext} t @param {any} server */
async function gated(t, server) {
  const gate = { good: 'first' };
  const listening = createServer((incoming, answer) => {
    if (incoming.headers.authorization !== `Bearer ${gate.good}`) {
      incoming.resume();
      return answer.writeHead(401, { 'content-type': 'application/problem+json' }).end('{"type":"about:blank","status":401}');
    }
    incoming.pipe(request(`${server.url}${incoming.url}`, { method: incoming.method, headers: incoming.headers }, (got) => { got.pipe(answer.writeHead(got.statusCode ?? 500, got.headers)); }));
  });
  await once(listening.listen(0, '127.0.0.1'), 'listening');
  t.after(() => { listening.close(); listening.closeAllConnections(); });
  return { gate, api: `http://127.0.0.1:${/** @type {any} */ (listening.address()).port}/api/v1` };
}

{
  let gate = { good: '' }, refreshes = 0;
  killSweep('killed at every await of a drain whose token is refused and renewed: each op has one effect, and nobody is asked to sign in', {
    least: 20,
    through: async (t, server) => {
      const made = await gated(t, server);
      gate = made.gate;
      refreshes = 0;
      return made.api;
    },
    // The first token of a process is that of before; another is to be had only by asking anew.
    shell: { authorize: async (_owner, { refresh }) => {
      refreshes += refresh ? 1 : 0;
      return { headers: { authorization: `Bearer ${refresh ? gate.good : 'first'}` }, expiresAt: Date.now() + 3_600_000_000 };
    } },
    begin: async ({ accept, drained }) => {
      gate.good = 'first';
      const first = await accept('a', { text: kLong, n: 0 });
      await drained();
      gate.good = 'second';
      return [first, await accept('a', { text: kLong, n: 1 }), await accept('b', { n: 1 })];
    },
    expect: async ({ store, entity, ids, effects, there, when }) => {
      assert.deepEqual(effects.sort(), [...ids].sort(), `${when}: each op has one effect`);
      assert.deepEqual([JSON.parse(String(there.a)), JSON.parse(String(there.b))], [{ text: kLong, n: 1 }, { n: 1 }], when);
      assert.deepEqual((await store.get('state', 'core')).authPaused ?? {}, {}, when);
    },
    atEnd: () => assert.ok(refreshes > 0, 'the provider was asked anew'),
  });
}

killSweep('killed at every await of a pull: its documents and its cursor are stored together, pending edits are kept, and every change is there once', {
  least: 20, commands: [{ type: 'pull', value: { owner: '' } }],
  begin: async ({ accept, drained, server, entity }) => {
    const ids = [await accept('a', { text: kLong, ours: 0, theirs: 0 }), await accept('gone', { n: 0 })];
    await drained();
    await changedByAnother(server, `${entity}/a`, { text: kLong, ours: 0, theirs: 1 });
    const { etag } = await server.get(`${entity}/gone`);
    assert.ok([200, 204].includes((await server.remove(`${entity}/gone`, { 'if-match': etag })).status));
    for (let n = 0; n < 2; n++) await server.create(`${entity}/new${n}`, `{"n":${n}}`);
    return [...ids, await accept('a', { text: kLong, ours: 2, theirs: 0 })];
  },
  expect: async ({ store, entity, ids, effects, there, when }) => {
    const ours = effects.filter((id) => ids.includes(id));
    assert.equal(ours.length, ids.length, `${when}: each op has one effect`);
    const both = { text: kLong, ours: 2, theirs: 1 };
    assert.deepEqual(JSON.parse(String(there.a)), both, when);
    const found = await shown(store, entity);
    assert.deepEqual(found.a, both, when);
    assert.equal(found.gone ?? null, null, when);
    for (let n = 0; n < 2; n++) assert.deepEqual(found[`new${n}`], { n }, when);
  },
});

for (const [name, fresh] of Object.entries(kStores))
  test(`${name}: killed at every await of saving: what the app was told is safe is stored whole, what it was not told of is stored whole or not at all`, async () => {
    let reported = 0, unreported = 0;
    const points = await everyKill(fresh, async ({ store, kill, mayDie }) => {
      const told = /** @type {string[]} */ ([]);
      await mayDie(async (point) => {
        const own = dying(store, point);
        const client = await createCalls({ endpoint: '/' }, {
          store: own, clock, random, listeners: new Set(), accepted() {}, supported: () => ({}), ask: async () => [], close: async () => {}, tasks: /** @type {any} */ (null), reach: /** @type {any} */ (null),
          marker: new Marker(null, own, clock, () => {}), account: new Account(''), locks: webLocks(undefined),
        });
        for (const n of [1, 2]) told.push((await client.save('NOTE', 'a', { n, text: kLong })).id);
        told.push(...(await client.saveAll(['b', 'c'].map((entityId) => ({ entity: 'NOTE', entityId, doc: { n: 1 } })), { atomic: true })).map(({ id }) => id));
        told.push((await client.delete('NOTE', 'a')).id);
      }).catch(() => {});
      const rows = await store.rows(0, 100);
      const when = `kill ${kill}`;
      assert.deepEqual(told.filter((id) => !rows.some((row) => row.id === id)), [], `${when}: told and not stored`);
      const payloads = (await store.list('payloads')).map(({ key }) => key);
      assert.deepEqual(payloads.sort(), rows.filter(({ action }) => action !== 'delete').map(({ seq }) => payloadKey(seq, 'next')).sort(), `${when}: every row with its bytes, and none without a row`);
      assert.notEqual(rows.filter(({ group }) => group).length, 1, `${when}: half of an atomic group`);
      const last = Object.fromEntries(rows.map((row) => [row.entityId, row]));
      const docs = Object.fromEntries((await store.list('docs')).map(({ value }) => [value.entityId, value.opId]));
      assert.deepEqual(docs, Object.fromEntries(Object.entries(last).map(([entityId, { id }]) => [entityId, id])), `${when}: the app sees what was stored last`);
      const { ops = 0 } = (await store.get('state', 'totals')) ?? {};
      assert.equal(ops, rows.length, `${when}: the totals`);
      reported += told.length;
      unreported += rows.length - told.length;
    });
    assert.ok(points >= 8 && reported > 0 && unreported > 0, `${points} points, ${reported} reported, ${unreported} stored before that`);
  });
