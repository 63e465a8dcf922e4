// Keys that are lost, come back, change or cannot be had; records that were altered or put elsewhere; databases from before there were keys.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clock } from '../../sw/clock.js';
import { deviceKeys, encryption, forgetDeviceKeys, rotateDeviceKeys, secretKeys } from '../../sw/encryption.js';
import { StoreError } from '../../sw/errors.js';
import { Keyring } from '../../sw/sealing.js';
import { contentOf, keysOf, onBoth, sealed } from './sealed-lines.js';

const unreadable = async (client) => (await client.ops({ state: 'quarantined' })).map(({ id, entity, unreadable }) => [id, entity, unreadable]);
const save = async (client, id, doc = { id }) => (await client.save('NOTE', id, doc)).id;
const heard = (client) => { const events = []; client.subscribe(({ type, detail }) => { if (type === 'sync.unreadable') events.push(detail); }); return events; };

for (const [how, change] of [
  ['altered', (rows) => ({ ...rows[0], sealed: `${rows[0].sealed.slice(0, -6)}${rows[0].sealed.at(-6) === 'A' ? 'B' : 'A'}${rows[0].sealed.slice(-5)}` })],
  ['not text any more', (rows) => ({ ...rows[0], sealed: `${rows[0].sealed.split('.')[0]}.%%%` })],
  ["put in another op's place", (rows) => ({ ...rows[0], sealed: rows[1].sealed })],
  ["put in another owner's lane", (rows) => ({ ...rows[0], lane: `${rows[0].lane.slice(0, 5)}${'x'.repeat(17)}${rows[0].lane.slice(22)}` })],
  ['given no lane', (rows) => ({ ...rows[0], lane: '' })],
  ['given a lane that is none', (rows) => ({ ...rows[0], lane: 'nonsense' })],
  ['put in the lane of another entity', (rows) => ({ ...rows[0], lane: rows[1].lane })],
])
  onBoth(`an op whose record was ${how} is quarantined alone and says so; everything else goes`, async (t, { open, tamper, raw, get }) => {
    let client = await open();
    await client.pause();
    const ids = [await save(client, 'a'), await save(client, 'b'), await save(client, 'c')];
    await client.close();
    await tamper(async (store) => { const rows = await store.rows(0, 9); return [{ store: 'ops', key: rows[0].seq, value: change(rows) }]; });
    const [before] = await raw((store) => store.rows(0, 1));
    client = await open();
    const events = heard(client);
    assert.deepEqual(await unreadable(client), how === "put in another owner's lane" ? [] : [[ids[0], '?', 'altered']]);
    await client.resume();
    await client.sync();
    assert.deepEqual([await get('NOTE/a'), await get('NOTE/b'), await get('NOTE/c')].map(({ status }) => status), [404, 200, 200]);
    assert.deepEqual(await raw((store) => store.rows(0, 9)), [before], 'kept as it is');
    if (how === "put in another owner's lane") return;   // nobody's, so nobody is shown it
    assert.ok(events.every(({ id, cause }) => id === ids[0] && cause === 'altered') && events.length > 0);
    assert.deepEqual((await client.explain(ids[0])).state, 'quarantined');
    await client.retry(ids[0]);
    await client.sync();
    assert.equal((await get('NOTE/a')).status, 404);
    assert.deepEqual(await raw((store) => store.rows(0, 9)), [before], 'a retry writes nothing over it');
    await client.drop(ids[0]);
    assert.deepEqual(await client.ops(), []);
    assert.deepEqual(await raw((store) => store.list('payloads')), []);
  });

onBoth('a payload in the place of another is not sent: its op is quarantined, the others go', async (t, { open, tamper, get }) => {
  let client = await open();
  await client.pause();
  const id = await save(client, 'a');
  await save(client, 'b');
  await client.close();
  await tamper(async (store) => {
    const [first, second] = await store.list('payloads');
    const { bytes, ...value } = second.value;
    return [{ store: 'payloads', key: first.key, value, bytes }];
  });
  client = await open();
  await client.resume();
  await client.sync();
  assert.deepEqual([await get('NOTE/a'), await get('NOTE/b')].map(({ status }) => status), [404, 200]);
  assert.deepEqual((await client.ops()).map((op) => [op.id, op.state]), [[id, 'quarantined']]);
});

onBoth('a document and a base in the place of another are not there; what rests on the base goes whole', async (t, { open, tamper, get }) => {
  let client = await open();
  await save(client, 'a', { n: 1, text: 'x'.repeat(300) });
  await save(client, 'b', { n: 1 });
  await client.sync();
  await client.close();
  for (const name of ['docs', 'bases'])
    await tamper(async (store) => {
      const [first, second] = await store.list(name);
      return [[first, second], [second, first]].map(([{ key }, { value: { bytes, ...value } }]) => ({ store: name, key, value, bytes }));
    });
  client = await open();
  assert.deepEqual([await client.get('NOTE', 'a'), await client.list('NOTE')], [undefined, []]);
  await save(client, 'a', { n: 2, text: 'x'.repeat(300) });
  await client.sync();
  assert.equal(JSON.parse((await get('NOTE/a')).text).n, 2);
  assert.deepEqual(await client.ops(), []);
});

onBoth('the key lost: its ops are kept, told and never sent; new saves go under the new key; with the old key back each goes once', async (t, { open, get, raw, file }) => {
  let client = await open();
  await client.pause();
  const ids = [await save(client, 'a'), await save(client, 'b')];
  await client.close();

  client = await open({ encryption: sealed(2) });
  const events = heard(client);
  assert.deepEqual(await unreadable(client), ids.map((id) => [id, '?', 'key-missing']));
  await save(client, 'c');
  await save(client, 'a', { id: 'a', again: true });
  await client.sync();
  assert.deepEqual([await get('NOTE/a'), await get('NOTE/b'), await get('NOTE/c')].map(({ status }) => status), [200, 404, 200]);
  assert.deepEqual([...new Set(events.filter(({ id }) => id).map(({ id, cause }) => `${id} ${cause}`))].sort(), ids.map((id) => `${id} key-missing`).sort());
  assert.deepEqual(await unreadable(client), ids.map((id) => [id, '?', 'key-missing']));
  assert.equal(JSON.stringify(await (await client.exportQueue()).text()).includes('?'), false);
  await client.erase();
  assert.equal((await raw((store) => store.rows(0, 9))).length, 2, 'whose they are is not known, so an erasure leaves them');
  await client.close();

  client = await open({ encryption: sealed(2, 1) });
  await client.sync();
  assert.deepEqual(await client.ops(), [], JSON.stringify(await client.ops()));
  assert.equal((await get('NOTE/b')).text, '{"id":"b"}');
});

onBoth('with the state of the core unreadable nobody is signed in: what can be read of one who signed out does not go by itself', async (t, { open, raw }) => {
  const client = await open({ owner: 'ann' });
  await client.settings({ consent: 'withdrawn' });
  await client.signOut();
  await client.close();
  await raw(async (store) => {
    const ask = { holder: 'a', nowMs: clock.now(), ttlMs: 1_000, codeVersion: '1', takeover: true };
    const granted = async (...secrets) => {
      const sealing = sealed(...secrets)(store, { publish: () => {} });
      const lease = await sealing.acquireLease(ask);
      await sealing.releaseLease(lease);
      return lease;
    };
    assert.equal((await granted(1)).core.owner, null);
    const { core, rules, snapshot, settings } = await granted(2);
    assert.deepEqual({ core, rules, snapshot }, { core: { version: 1, owner: null }, rules: undefined, snapshot: undefined });
    assert.equal(settings.consent, 'withdrawn', 'and what was withdrawn stays so');
  });
});

onBoth('a snapshot made while a key was missing does not outlive its return', async (t, { open, get }) => {
  let client = await open();
  await client.pause();
  for (let n = 0; n < 300; n++) await save(client, `n${n}`);
  await client.close();
  client = await open({ encryption: sealed(2) });
  await client.pause();
  await client.sync();
  await client.close();
  client = await open({ encryption: sealed(2, 1) });
  await client.resume();
  await client.sync();
  assert.deepEqual(await client.ops(), []);
  assert.equal((await get('NOTE/n299')).status, 200);
});

onBoth('a key that changes: what the old one sealed still opens, what is new is sealed under the new one', async (t, { open, raw }) => {
  let client = await open();
  await client.pause();
  await save(client, 'a');
  await client.close();
  client = await open({ encryption: sealed(2, 1) });
  await save(client, 'a', { id: 'a', n: 2 });
  await save(client, 'b');
  assert.deepEqual((await client.list('NOTE')).map(({ doc }) => doc), [{ id: 'a', n: 2 }, { id: 'b' }]);
  const keys = (await raw((store) => store.rows(0, 9))).map((row) => row.sealed.split('.')[0]);
  assert.deepEqual([keys[0] === keys[1], keys[1] === keys[2]], [false, true]);
  assert.deepEqual((await client.ops()).map(({ action }) => action), ['create', 'update', 'create'], 'names stay the same');
});

onBoth('locked: while the keys cannot be had a save is refused and nothing is lost or sent; then everything goes on', async (t, { open, get, raw }) => {
  let client = await open();
  await client.settings({ enabled: false });
  await save(client, 'a');
  const before = await raw((store) => store.rows(0, 9));
  await client.close();
  let keys = () => { throw new Error('not signed in yet'); };
  const late = encryption({ keys: () => keys() });
  client = await open({ encryption: late });
  const locked = { code: 'locked', message: /not signed in yet/ };
  for (const call of [() => save(client, 'b'), () => client.ops(), () => client.get('NOTE', 'a'), () => client.list('NOTE'), () => client.sync(), () => client.exportQueue()])
    await assert.rejects(call(), locked, String(call));
  assert.deepEqual(await raw((store) => store.rows(0, 9)), before);
  assert.equal((await get('NOTE/a')).status, 404);
  keys = keysOf(1);
  await client.settings({ enabled: true });
  await client.sync();
  assert.equal((await get('NOTE/a')).status, 200);
});

onBoth('an atomic group of which one cannot be read goes not at all', async (t, { open, tamper, get }) => {
  let client = await open();
  await client.pause();
  await client.saveAll(['a', 'b', 'c'].map((entityId) => ({ entity: 'NOTE', entityId, doc: { entityId } })), { atomic: true });
  await save(client, 'd');
  await client.close();
  await tamper(async (store) => { const [, row] = await store.rows(0, 9); return [{ store: 'ops', key: row.seq, value: { ...row, sealed: row.sealed.slice(0, -8) } }]; });
  client = await open();
  await client.resume();
  await client.sync();
  assert.deepEqual((await Promise.all(['a', 'b', 'c', 'd'].map((id) => get(`NOTE/${id}`)))).map(({ status }) => status), [404, 404, 404, 200]);
});

onBoth("another owner's ops under a key that is here are not shown, readable or not", async (t, { open, tamper }) => {
  let client = await open({ owner: 'ann' });
  await client.pause();
  await save(client, 'a');
  await save(client, 'b');
  await client.close();
  await tamper(async (store) => { const [row] = await store.rows(0, 9); return [{ store: 'ops', key: row.seq, value: { ...row, sealed: row.sealed.slice(0, -8) } }]; });
  client = await open({ owner: 'bob' });
  const events = heard(client);
  assert.deepEqual([await client.ops(), events], [[], []]);
  await client.close();
  client = await open({ owner: 'ann' });
  await client.signIn();
  assert.equal((await client.ops()).length, 2);
  assert.equal((await unreadable(client)).length, 1);
});

onBoth('a database from before there were keys: all of it can be read, the first drain seals it, and what was acknowledged stays so', async (t, { open, raw, get }) => {
  let client = await open({ encryption: undefined, owner: 'ann.of.the.north' });
  for (const id of ['a', 'b', 'c']) await save(client, id, { id, secret: 'plainly-there' });
  await client.sync();
  await client.pause();
  const waiting = [await save(client, 'b', { id: 'b', secret: 'plainly-there', n: 2 }), await save(client, 'd', { id: 'd', secret: 'plainly-there' })];
  await client.delete('NOTE', 'c');
  await client.setRules([{ name: 'x', when: { field: 'plainly-there', op: 'exists' }, points: 1 }]);
  await client.close();

  client = await open({ owner: 'ann.of.the.north' });
  assert.deepEqual((await client.list('NOTE')).map(({ entityId }) => entityId), ['a', 'b', 'd']);
  assert.deepEqual((await client.ops()).slice(0, 2).map(({ id }) => id), waiting);
  await client.save('NOTE', 'a', { id: 'a', secret: 'plainly-there', n: 3 });
  await client.save('NOTE', 'c', { id: 'c', secret: 'plainly-there', n: 3 });
  assert.deepEqual((await client.ops()).map(({ action }) => action), ['update', 'create', 'delete', 'update', 'create']);
  await client.rules();   // asks whoever drains
  const content = await raw(contentOf);
  assert.deepEqual(['plainly-there', ':NOTE/', '"NOTE"', 'ann.of.the.north'].filter((word) => content.includes(word)), []);
  assert.deepEqual((await client.list('NOTE')).map(({ doc }) => [doc.id, doc.n]), [['a', 3], ['b', 2], ['c', 3], ['d', undefined]]);
  await client.resume();
  await client.sync();
  assert.deepEqual(await client.ops(), []);
  assert.deepEqual((await Promise.all(['a', 'b', 'c', 'd'].map((id) => get(`NOTE/${id}`)))).map(({ text }) => JSON.parse(text).n), [3, 2, 3, undefined]);
  assert.deepEqual((await client.history()).filter(({ value }) => value.kind === 'conflict'), [], 'bases were taken along');
});

onBoth('no room to seal what was plain: it is told, everything can be read and goes, and a later drain seals it', async (t, { open, raw, get }) => {
  let client = await open({ encryption: undefined });
  await client.settings({ enabled: false });
  await save(client, 'a', { text: 'plainly-there' });
  await client.close();
  const told = [];
  let full = true;
  await raw(async (store) => {
    const tight = { ...store, commit: async (commit) => {
      if (full && commit.writes.some(({ value }) => value?.sealed)) throw new StoreError('quota', 'no room');
      return store.commit(commit);
    } };
    const sealing = sealed(1)(tight, { publish: (type, detail) => told.push([type, detail.code]) });
    const ask = { holder: 'a', nowMs: clock.now(), ttlMs: 1_000, codeVersion: '1', takeover: true };
    const lease = await sealing.acquireLease(ask);
    assert.deepEqual(told, [['sync.seal-failed', 'quota']]);
    assert.deepEqual((await sealing.rows(0, 9)).map(({ entityId }) => entityId), ['a']);
    assert.ok((await contentOf(store)).includes('plainly-there'));
    await sealing.releaseLease(lease);
    full = false;
    await sealing.releaseLease(await sealing.acquireLease(ask));
    assert.equal((await contentOf(store)).includes('plainly-there'), false);
  });
  client = await open();
  await client.settings({ enabled: true });
  await client.sync();
  assert.equal((await get('NOTE/a')).status, 200);
});

onBoth('what is sealed while it is being looked for is found', async (t, { open, raw }) => {
  const client = await open({ encryption: undefined });
  await client.settings({ enabled: false });
  await save(client, 'a', { n: 1 });
  await client.close();
  await raw(async (store) => {
    const context = { publish: () => {} };
    let reads = 0, drains;
    // Everything is sealed by another after the first read of a document.
    const meanwhile = async (result) => {
      if ((reads += 1) === 1) drains = await sealed(1)(store, context).acquireLease({ holder: 'a', nowMs: clock.now(), ttlMs: 1_000, codeVersion: '1', takeover: true });
      return result;
    };
    const watched = { ...store, getMany: async (name, keys) => { const found = await store.getMany(name, keys); return name === 'docs' ? meanwhile(found) : found; },
      list: async (name, options) => { const found = await store.list(name, options); return name === 'docs' ? meanwhile(found) : found; } };
    const look = async (how) => {
      reads = 0;
      const found = await how(sealed(1)(watched, context));
      assert.ok(reads > 1 && drains);
      await store.releaseLease(drains);
      return found;
    };
    const before = await store.list('docs');
    const plainAgain = async () => {
      const { token } = await store.acquireLease({ holder: 'b', nowMs: clock.now(), ttlMs: 1_000, codeVersion: '1', takeover: true });
      const [{ key, value: { bytes, ...value } }] = before;
      await store.commit({ token, knownSeq: 0, lanes: [], writes: [{ store: 'docs', key, value, bytes }, { store: 'state', key: 'sealed', remove: true }] });
      for (const found of await store.list('docs')) if (found.key !== key) await store.commit({ token, knownSeq: 0, lanes: [], writes: [{ store: 'docs', key: found.key, remove: true }] });
      await store.releaseLease({ token });
    };
    assert.deepEqual((await look((store) => store.get('docs', ':NOTE/a'))).entityId, 'a');
    await plainAgain();
    assert.deepEqual((await look((store) => store.list('docs', { prefix: ':NOTE/' }))).map(({ key }) => key), [':NOTE/a']);
  });
});

onBoth('what a client without keys saves meanwhile is taken in and sealed by the next drain', async (t, { open, raw, get }) => {
  let client = await open();
  await client.settings({ enabled: false });   // settings are readable, so that they hold for everybody
  await save(client, 'a');
  await client.close();
  client = await open({ encryption: undefined });
  await save(client, 'b');
  await client.close();
  client = await open();
  assert.equal((await client.ops()).length, 2);
  await client.sync();     // the drain that began with the client has ended, and the next one too
  await client.status();
  assert.ok((await raw((store) => store.rows(0, 9))).every((row) => row.sealed !== undefined));
  await client.settings({ enabled: true });
  await client.sync();
  assert.deepEqual([await get('NOTE/a'), await get('NOTE/b')].map(({ status }) => status), [200, 200]);
});

onBoth('a client without keys sends nothing of what is sealed, and loses none of it', async (t, { open, raw, get }) => {
  let client = await open();
  await save(client, 'kept', { n: 0 });
  await client.sync();
  await client.settings({ enabled: false });
  await save(client, 'a');
  await save(client, 'kept', { n: 1 });
  await client.close();
  const before = await raw((store) => store.rows(0, 9));
  client = await open({ encryption: undefined });
  await client.settings({ enabled: true });
  await client.sync();
  assert.deepEqual(await raw((store) => store.rows(0, 9)), before);
  await client.close();
  client = await open();
  await client.sync();
  assert.deepEqual([(await get('NOTE/a')).status, (await get('NOTE/kept')).text], [200, '{"n":1}']);
  assert.deepEqual(await client.ops(), []);
});

onBoth('a list goes by entity id, in pages, whatever order its names lie in', async (t, { open }) => {
  const client = await open();
  await client.settings({ enabled: false });
  const ids = Array.from({ length: 60 }, (_, n) => `id ${String(n).padStart(2, '0')}/é`.replace('/', '-'));
  for (const id of [...ids].reverse()) await save(client, id);
  await client.save('NOTES', 'other', {});
  for (let round = 0; round < 2; round++) {
    const seen = [];
    for (let page; (page = await client.list('NOTE', { after: seen.at(-1), limit: 7 })).length > 0;) seen.push(...page.map(({ entityId }) => entityId));
    assert.deepEqual(seen, ids);
  }
  await client.delete('NOTE', ids[3]);
  assert.deepEqual((await client.list('NOTE', { after: ids[1], limit: 3 })).map(({ entityId }) => entityId), [ids[2], ids[4]]);
});

test('no nonce comes twice: 10 000 seals of one text under one key', async () => {
  const keyring = new Keyring(keysOf(1));
  const ring = await keyring.ring();
  const seen = new Set();
  for (let n = 0; n < 10_000; n++) seen.add(Buffer.from((await keyring.seal(ring, new Uint8Array(1), ['x'])).subarray(0, 12)).toString('hex'));
  assert.equal(seen.size, 10_000);
});

test('texts that are opened side by side each say their own: long and short ones, with places in any script', async () => {
  const keyring = new Keyring(keysOf(1)), ring = await keyring.ring();
  const places = [['ops', 'a', 'x'], ['ops', 'b', 'x'.repeat(30_000)], ['ops', 'Zürich', '東京'], []];
  const values = [0, 1, 2, 3, 300, 301, 302, 16_383, 16_384, 16_385, 50_000].map((length) => ({ note: 'é'.repeat(length) }));
  const cases = places.flatMap((place) => values.map((value) => ({ place, value })));
  const texts = await Promise.all(cases.map(({ value, place }) => keyring.sealText(ring, value, place)));
  assert.deepEqual(await Promise.all(texts.map((text, i) => keyring.openText(text, cases[i].place))), cases.map(({ value }) => value));
  const elsewhere = await Promise.allSettled(texts.map((text, i) => keyring.openText(text, [...cases[i].place, ''])));
  assert.deepEqual(elsewhere.map(({ reason }) => reason?.why), cases.map(() => 'altered'));
});

test('a sealed text opens with no character changed, missing or added', async () => {
  const keyring = new Keyring(keysOf(1)), ring = await keyring.ring();
  for (const note of ['', 'a', 'ab']) {   // with each padding
    const text = await keyring.sealText(ring, note, ['x']), from = text.indexOf('.') + 1;
    assert.equal(await keyring.openText(text, ['x']), note);
    const others = [text.slice(0, from - 1), text.slice(0, from) + '!', text.slice(0, from) + 'AAAA', text.slice(0, -1), text.slice(0, -4), `${text}A`, `${text}AAAA`, `${text} `];
    for (let at = from; at < text.length; at++) for (const char of ['?', text[at] === 'Q' ? 'g' : 'Q']) others.push(text.slice(0, at) + char + text.slice(at + 1));
    for (const other of others) await assert.rejects(keyring.openText(other, ['x']), { why: 'altered' }, other);
  }
});

test('keys of the device: two contexts that make them at once get the same; no script can read them; changed, the older still open', async (t) => {
  await forgetDeviceKeys();
  t.after(forgetDeviceKeys);
  const [one, two] = await Promise.all([deviceKeys(), deviceKeys()]);
  assert.equal(one.seal.id, two.seal.id);
  assert.deepEqual([one.seal.key, one.names].map(({ extractable }) => extractable), [false, false]);
  await assert.rejects(crypto.subtle.exportKey('raw', one.seal.key), /not extractable/);
  const text = await new Keyring(deviceKeys).ring().then((ring) => new Keyring(deviceKeys).sealText(ring, { n: 1 }, ['x']));
  await rotateDeviceKeys();
  const changed = await deviceKeys();
  assert.notEqual(changed.seal.id, one.seal.id);
  assert.deepEqual(changed.open.map(({ id }) => id), [one.seal.id]);
  assert.deepEqual(await new Keyring(deviceKeys).openText(text, ['x']), { n: 1 });
  await assert.rejects(new Keyring(deviceKeys).openText(text, ['y']), { why: 'altered' });
  await forgetDeviceKeys();
  await assert.rejects(new Keyring(deviceKeys).openText(text, ['x']), { why: 'key-missing' });
});

onBoth('an erasure leaves the keys of the device, also where it leaves nothing else: what a client that holds them saves afterwards opens at the next start', async (t, { open, raw }) => {
  await forgetDeviceKeys();
  t.after(forgetDeviceKeys);
  const { seal } = await deviceKeys();
  const options = { encryption: encryption() };
  const client = await open(options);
  await client.pause();
  await save(client, 'a');
  await client.erase();
  assert.deepEqual(await raw(async (store) => [await store.rows(0, 9), await store.list('docs'), await store.list('payloads')]), [[], [], []]);
  await save(client, 'b');   // its keys are in memory: under these, whatever becomes of the stored ones
  await client.close();
  assert.equal((await deviceKeys()).seal.id, seal.id);
  const again = await open(options);
  assert.deepEqual(await again.get('NOTE', 'b'), { id: 'b' });
  assert.deepEqual(await unreadable(again), []);
});

test('keys of the wrong kind are refused, with the place and what was expected', async () => {
  const { seal, names } = await keysOf(1)();
  const ask = (keys) => new Keyring(() => keys).ring();
  await assert.rejects(ask({ seal: { ...seal, id: 'a.b' }, names }), { code: 'wrong-type', path: '/keys/seal/id' });
  await assert.rejects(ask({ seal: { id: 'a', key: names }, names }), { code: 'wrong-type', path: '/keys/seal/key' });
  await assert.rejects(ask({ seal, open: [{ id: 'b' }], names }), { code: 'wrong-type', path: '/keys/open/0/key' });
  await assert.rejects(ask({ seal, names: seal.key }), { code: 'wrong-type', path: '/keys/names' });
  await assert.rejects(ask(undefined), { code: 'wrong-type', path: '/keys/seal/id' });
  await assert.rejects(secretKeys({ secret: new Uint8Array(31) }), { code: 'wrong-type', path: '/secret', message: /at least 32 bytes, got 31/ });
  await assert.rejects(secretKeys({ secret: 'password' }), { code: 'wrong-type', path: '/secret' });
});
