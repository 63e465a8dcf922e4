// Who is signed in, and everything that is kept of one owner: the real core, shell, store and server.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Account } from '../../sw/account.js';
import { clock } from '../../sw/clock.js';
import { openClient } from '../../sw/node.js';
import { eraseOwner, finishErasure } from '../../sw/owner-data.js';
import { random } from '../../sw/random.js';
import { openSqliteStore } from '../../sw/sqlite-store.js';
import { kCodeVersion } from '../../sw/turn.js';
import { rowsOf, startServer, temporaryDirectory } from './server-harness.js';

const kCanary = 'canary-of-ann';

/** A server, and clients on one file that say whose requests left. */
async function world(t) {
  const server = await startServer(t);
  const directory = temporaryDirectory(t);
  const path = join(directory, 'a.db');
  const sent = [];
  const open = async (owner, options = {}) => {
    const client = await openClient({ path, endpoint: server.api, autoSync: false, owner, authorize: (of) => { sent.push(of); return {}; }, ...options });
    t.after(() => client.close());
    client.told = [];
    client.subscribe((event) => client.told.push(event));
    return client;
  };
  return { ...server, path, open, sent, effects: () => rowsOf(server.file, 'SELECT * FROM effects') };
}

/** What a store that is not the real one says of the lock: nobody else is there. */
const alone = (store) => ({ store, clock, random, signal: new AbortController().signal, locks: { take: async () => () => {}, steal: async () => () => {} } });

test('signed out, nothing of him leaves and nothing is shown, also after a restart; what he saves is kept', async (t) => {
  const { open, sent, effects } = await world(t);
  const ann = await open('ann');
  await ann.save('NOTE', '1', { n: 1 });
  await ann.signOut();
  const { id } = await ann.save('NOTE', '2', { n: 2 });
  for (const call of [
    () => ann.get('NOTE', '1'), () => ann.list('NOTE'), () => ann.ops(), () => ann.op(id), () => ann.history(), () => ann.status(), () => ann.metrics(),
    () => ann.preview(), () => ann.sync(), () => ann.exportQueue(), () => ann.exportData(),
  ]) await assert.rejects(call(), { name: 'TidegateError', code: 'signed-out', message: /"ann".*signIn\(\)/ });
  assert.equal((await ann.explain(id)).reason, 'signed-out');
  await ann.close();
  assert.deepEqual(sent, []);
  const again = await open('ann');
  await again.sync();
  assert.deepEqual(await again.ops(), []);
  assert.equal(effects().length, 2);
});

test('who is overtaken by another client is told so, hears nothing more, and comes back by signIn() alone', async (t) => {
  const { open, sent } = await world(t);
  const ann = await open('ann');
  await ann.signIn();
  const bob = await open('bob');
  await bob.save('NOTE', '2', { n: 2 });
  const { id } = await bob.save('NOTE', '3', { n: 3 });
  sent.length = 0;
  await bob.sync();
  assert.deepEqual([...new Set(sent)], ['bob']);
  assert.equal((await bob.status()).queueSize, 0);
  await assert.rejects(ann.explain(id), { code: 'unknown-op', path: '/id' });
  await assert.rejects(ann.cancel(id), { code: 'unknown-op', path: '/id' });
  await ann.save('NOTE', '1', { n: 1 });
  sent.length = 0;
  await ann.sync();   // she did not hear of him: her process is another
  assert.deepEqual(sent, []);
  await ann.signIn();
  await ann.sync();
  assert.deepEqual([...new Set(sent)], ['ann']);
});

test('sessions, audit and events of another owner are not shown', async (t) => {
  const { open, get, put } = await world(t);
  const ann = await open('ann');
  await ann.save('NOTE', '1', { text: 'a' });
  await ann.sync();
  const { headers } = await get('NOTE/1');
  await put('NOTE/1', { 'if-match': headers.get('etag'), 'content-type': 'application/json', body: '{"text":"theirs"}' });
  await ann.save('NOTE', '1', { text: kCanary });
  await ann.sync();
  const kinds = (records) => [...new Set(records.map(({ key }) => key.split('/')[0]))].sort();
  assert.deepEqual(kinds(await ann.history()), ['audit', 'left', 'session']);
  assert.ok((await ann.history({ prefix: 'audit/' })).length > 0);
  const bob = await open('bob');
  await bob.save('NOTE', 'b', { n: 1 });
  await bob.sync();
  const seen = await bob.history();
  assert.deepEqual(kinds(seen), ['left', 'session']);
  assert.ok(!JSON.stringify([seen, bob.told, await bob.status(), await bob.metrics()]).includes(kCanary));
  assert.deepEqual(seen.filter(({ key }) => key.startsWith('session/')).map(({ value }) => value.owner), ['bob']);
  assert.deepEqual((await bob.history({ limit: 1, prefix: 'session/' })).length, 1, 'a page is filled past what is not shown');
});

test('consent and sign-outs stand in the audit trail of whom they concern, and go with him', async (t) => {
  const { open } = await world(t);
  const ann = await open('ann');
  await ann.settings({ consent: 'withdrawn' });
  await ann.settings({ consent: 'granted', minimumBatteryLevel: 10 });
  await ann.signOut();
  await ann.signIn();
  const trail = async (client) => (await client.history({ prefix: 'audit/' })).map(({ value: { at: _, ...entry } }) => entry);
  assert.deepEqual(await trail(ann), [
    { kind: 'consent', consent: 'withdrawn', owner: 'ann' }, { kind: 'consent', consent: 'granted', owner: 'ann' }, { kind: 'signed-out', owner: 'ann' },
  ]);
  const bob = await open('bob');
  await bob.settings({ consent: 'withdrawn' });
  assert.deepEqual(await trail(bob), [{ kind: 'consent', consent: 'withdrawn', owner: 'bob' }]);
  await bob.erase();
  await ann.signIn();
  assert.equal((await trail(ann)).length, 4);   // bob signed her out
  await bob.signIn();
  assert.deepEqual(await trail(bob), []);
});

test('signOut() resolves when the last request of the owner has ended', async (t) => {
  const { open, path, effects } = await world(t);
  let asked = () => {}, answer = () => {};
  const isAsked = new Promise((resolve) => { asked = resolve; });
  const answered = new Promise((resolve) => { answer = resolve; });
  const ann = await open('ann', { authorize: async () => { asked(); await answered; return {}; } });
  await ann.save('NOTE', '1', { n: 1 });
  const synced = ann.sync();
  await isAsked;   // stored as being sent, and not yet on the wire
  let ended = false;
  const signedOut = ann.signOut().then(() => { ended = true; });
  const store = await openSqliteStore({ path });
  t.after(() => store.close());
  while ((await store.get('state', 'core')).owner !== null) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([ended, effects().length], [false, 0]);
  answer();
  await Promise.all([signedOut, synced]);
  assert.equal(effects().length, 1);
  assert.deepEqual(await store.rows(0, 1), [], 'its answer was settled');
});

test('who asks is told before what he asks, until an answer says that it is stored; who was overtaken is not', async () => {
  const asked = [];
  let fails = true;
  const account = new Account('ann');
  const ask = account.introduced(async ({ commands }, until) => {
    asked.push(commands.map(({ type }) => type));
    if (fails) throw new Error('busy');
    return until === 'end' ? { ok: true, answers: commands.map(({ type }) => type) } : commands.map(({ type }) => type);
  });
  await assert.rejects(ask({ commands: [{ type: 'status' }] }, 'answers'));
  fails = false;
  assert.deepEqual(await ask({ commands: [{ type: 'status' }] }, 'answers'), ['status']);
  assert.deepEqual(await ask({ commands: [{ type: 'flush' }] }, 'end'), { ok: true, answers: ['flush'] });
  assert.deepEqual(asked, [['signIn', 'status'], ['signIn', 'status'], ['flush']]);

  const late = new Account('bob');
  assert.equal(late.hears('sync.owner', { signedIn: 'ann' }), true);
  assert.equal(late.hears('status', { queueSize: 1 }), false);
  assert.equal(late.hears('sync.storage-lost', {}), true);
  assert.equal(late.hears('op.done', { owner: 'ann' }), false);
  const later = new Account('bob', 7);
  assert.equal(later.hears('sync.owner', { signedIn: 'ann', ticket: 6 }), true);   // somebody before him, whose page was slow
  assert.equal(later.away, false);
  const said = [];
  await later.introduced(async ({ commands = [] }) => { said.push(...commands); return [{ ok: true }]; })({}, 'answers');
  assert.deepEqual(said, [{ type: 'signIn', value: { owner: 'bob', ticket: 7 } }]);
  assert.equal(later.hears('sync.owner', { signedIn: 'ann', ticket: 8 }), true);
  assert.equal(later.away, true);
  const tooLate = new Account('bob', 5);
  await tooLate.introduced(async () => [{ ok: true, value: { signedIn: 'ann' } }])({}, 'answers');
  assert.equal(tooLate.away, true);

  await late.introduced(async ({ commands = [] }) => { asked.push(commands); return []; })({}, 'answers');
  assert.deepEqual(asked.at(-1), []);
  assert.equal(late.hears('sync.owner', { signedIn: 'bob' }), true);
  assert.equal(late.hears('status', { queueSize: 1 }), true);
});

test('whoever opened last is signed in, whoever is heard last: a page that is going away changes nothing, and hears that it is not its owner', async (t) => {
  const { open, sent } = await world(t);
  const ann = await open('ann');
  const bob = await open('bob');
  await bob.save('NOTE', '1', { n: 1 });
  await bob.sync();
  await ann.save('NOTE', '2', { n: 2 });
  await assert.rejects(ann.settings({ baseDelay: 60 }).then(() => ann.status()), { code: 'signed-out' });   // the first that is heard of her
  await ann.sync().catch(() => {});
  assert.deepEqual([...new Set(sent)], ['bob']);
  assert.equal((await bob.status()).queueSize, 0);
  await ann.signIn();
  await ann.sync();
  assert.deepEqual([...new Set(sent)], ['bob', 'ann']);
});

/** Two owners with everything that can be kept of them; ann's in `client`, still signed in. */
async function furnished(t) {
  const w = await world(t);
  const bob = await w.open('bob');
  await bob.save('NOTE', '1', { of: 'bob' });
  await bob.sync();
  await bob.save('NOTE', '2', { of: 'bob', waits: true });
  await bob.close();
  const ann = await w.open('ann');
  await ann.save('NOTE', 'a', { text: kCanary, n: 1 });
  await ann.save('MEDIA', 'p', new TextEncoder().encode(kCanary), { contentType: 'image/png' });
  await ann.pull();
  await ann.sync();
  await ann.pause();
  await ann.save('NOTE', 'a', { text: kCanary, n: 2 });
  await ann.cancel((await ann.save('NOTE', 'b', { text: kCanary })).id);
  await ann.save('NOTE', 'c', { text: kCanary });
  return { ...w, ann };
}

/** Everything a store holds, as text. */
async function contents(store) {
  const all = [...(await store.rows(0, 1000)).map((value) => ({ store: 'ops', value }))];
  for (const name of ['payloads', 'bases', 'docs', 'state', 'history'])
    for (const { key, value } of await store.list(name)) {
      const bytes = [value, value?.bytes].find((part) => part instanceof Uint8Array);
      all.push({ store: name, key, value: bytes ? { ...value, bytes: Buffer.from(bytes).toString('latin1') } : value });
    }
  return all;
}
const ofAnn = (records) => records.filter((record) => /canary|"ann"|ann:/.test(JSON.stringify(record)) && record.key !== 'lease');
const ofBob = (records) => records.filter(({ key, value }) => value?.owner === 'bob' || String(key).startsWith('bob:'));

test('exportData() holds ops, payloads, documents, acknowledged versions and history of this owner, and of nobody else', async (t) => {
  const { ann } = await furnished(t);
  const lines = (await (await ann.exportData()).text()).trimEnd().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual({ ...lines[0], exportedAt: 0 }, { tidegate: 'data', version: 1, owner: 'ann', exportedAt: 0 });
  const count = (name) => lines.filter(({ store }) => store === name).length;
  assert.deepEqual(['ops', 'payloads', 'docs', 'bases'].map(count), [2, 2, 4, 3]);   // one of them pulled
  assert.ok(count('history') >= 2);
  const photo = lines.find(({ store, key }) => store === 'docs' && key === 'ann:MEDIA/p');
  assert.equal(Buffer.from(photo.bytes, 'base64').toString(), kCanary);
  assert.deepEqual(ofBob(lines), []);
  await assert.rejects(ann.exportData('bob'), { code: 'out-of-range', path: '/owner' });
});

test('FF-31: erase() leaves nothing of the owner, in the store or on its way; others keep everything', async (t) => {
  const { ann, open, path, sent } = await furnished(t);
  const store = await openSqliteStore({ path });
  t.after(() => store.close());
  assert.ok(ofAnn(await contents(store)).length > 10);
  const before = ofBob(await contents(store));
  assert.ok(before.length >= 4);
  await ann.erase();
  assert.deepEqual(ofAnn(await contents(store)), []);
  assert.deepEqual(ofBob(await contents(store)), before);
  await assert.rejects(ann.ops(), { code: 'signed-out' });
  await ann.signIn();
  await ann.resume();
  sent.length = 0;
  await ann.sync();
  assert.deepEqual([await ann.ops(), await ann.list('NOTE'), await ann.history({ prefix: 'audit/' })], [[], [], []]);
  assert.deepEqual((await store.census()).totals.ops, 1);
  await ann.close();
  const bob = await open('bob');
  assert.deepEqual((await bob.list('NOTE')).map(({ entityId }) => entityId), ['1', '2']);
  await bob.sync();
  assert.deepEqual(await bob.ops(), []);
  await bob.erase('ann');   // another's may be taken away, not read
  await assert.rejects(bob.erase(7), { path: '/owner' });
});

test('erase() leaves nothing of a damaged record, either, of which the reason has a part', async (t) => {
  const { ann, path } = await furnished(t);
  const store = await openSqliteStore({ path });
  t.after(() => store.close());
  await ann.status();   // its drain is over
  const row = (await store.rows(0, 1000)).find(({ owner }) => owner === 'ann');
  const { token } = await store.acquireLease({ holder: 'somebody', nowMs: Date.now(), ttlMs: 10_000, codeVersion: kCodeVersion });
  assert.equal(await store.commit({ token, knownSeq: 0, lanes: [], writes: [{ store: 'ops', key: row.seq, value: { ...row, priority: kCanary } }] }), 'ok');
  await store.releaseLease({ token });
  await ann.sync();
  assert.ok((await ann.op(row.id)).reason.includes(kCanary), (await ann.op(row.id)).reason);
  await ann.erase();
  assert.deepEqual(ofAnn(await contents(store)), []);
});

test('an erasure killed at any call of the store is carried on at the next start; nothing of the owner leaves meanwhile', async (t) => {
  const { ann, path } = await furnished(t);
  await ann.close();
  const files = ['', '-wal'].filter((end) => existsSync(path + end)).map((end) => [end, readFileSync(path + end)]);
  let points = 0;
  for (let kill = 1, dead = true; dead; kill++) {
    assert.ok(kill < 200);
    const copy = join(temporaryDirectory(t), 'copy.db');
    for (const [end, bytes] of files) writeFileSync(copy + end, bytes);
    const store = await openSqliteStore({ path: copy });
    let calls = 0;
    dead = false;
    const dying = new Proxy(store, { get: (target, name) => async (...args) => {
      if (dead || ++calls === kill) { dead = true; throw new Error('killed'); }
      return target[name](...args);
    } });
    await eraseOwner(alone(dying), 'ann').catch((error) => assert.equal(error.message, 'killed'));
    if (dead) points += 1;
    const marked = (await store.get('state', 'erasing')) !== undefined;
    const left = ofAnn(await contents(store)).filter(({ key }) => key !== 'erasing');
    if (marked || left.length === 0) assert.equal((await store.get('state', 'core')).owner, null, `kill ${kill}: he could still be sent for`);
    // A lease that was not given back runs out.
    const later = { ...alone(store), clock: { ...clock, now: () => Date.now() + 60_000 } };
    await finishErasure(later);
    assert.equal(await store.get('state', 'erasing'), undefined);
    assert.equal(ofAnn(await contents(store)).length === 0, marked || left.length === 0, `kill ${kill}: half of it was taken`);
    await store.close();
  }
  assert.ok(points >= 6, `${points} points`);
});
