// The door: what save() takes, what it refuses and in which words. Nothing is stored by what is tested here.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildRow, fieldsOfRules, kMaxDepth, laneOf } from '../../sw/accept.js';
import { Appender } from '../../sw/append.js';
import { random } from '../../sw/random.js';

let ids = 0;
const context = (more = {}) => ({
  owner: 'ann', schemaVersion: 3, maxOpBytes: 1000, fieldNames: () => [], clock: { now: () => 1_700_000_000_000 }, random: { uuid: () => `id-${++ids}` }, ...more,
});
const build = (item, more) => buildRow({ entity: 'NOTE', entityId: '1', ...item }, context(more), '');
const text = (bytes) => new TextDecoder().decode(bytes);

test('a document becomes a row of metadata and the bytes of one JSON.stringify', async () => {
  const doc = { title: 'Brücke', list: [1, null, { deep: true }], skipped: undefined };
  const { row, bytes } = await build({ doc, priority: 'high', dependsOn: ['a', 'b', 'a'], coalesce: false });
  assert.equal(text(bytes), JSON.stringify(doc));
  assert.match(row.id, /^id-/);
  assert.deepEqual({ ...row, id: '' }, {
    id: '', lane: 'ann:NOTE/1', owner: 'ann', entity: 'NOTE', entityId: '1', action: 'save', priority: 'high', schemaVersion: 3,
    createdAt: 1_700_000_000_000, contentType: '', sizeBytes: bytes.length, state: 'queued', dependsOn: ['a', 'b'], noFold: true,
  });
});

test('without an id the entity gets a new one', async () => {
  const { row } = await buildRow({ entity: 'NOTE', doc: {} }, context(), '');
  assert.match(row.entityId, /^id-/);
  assert.notEqual(row.entityId, row.id);
});

test('a delete has no payload, and a document with it is refused', async () => {
  const { row, bytes } = await build({ action: 'delete' });
  assert.equal(bytes, null);
  assert.equal(row.sizeBytes, 0);
  await assert.rejects(build({ action: 'delete', doc: {} }), { code: 'wrong-type', path: '/doc', message: /no document/ });
});

test('bytes and blobs keep their type, and the caller may go on using his buffer', async () => {
  const mine = Uint8Array.from([0, 1, 2, 3]);
  const { row, bytes } = await build({ doc: mine.subarray(1, 3), contentType: 'image/png' });
  mine.fill(9);
  assert.deepEqual([...bytes], [1, 2]);
  assert.equal(bytes.buffer.byteLength, 2);
  assert.equal(row.contentType, 'image/png');
  assert.deepEqual([...(await build({ doc: mine.buffer })).bytes], [9, 9, 9, 9]);
  assert.equal((await build({ doc: mine })).row.contentType, 'application/octet-stream');
  const blob = await build({ doc: new Blob(['hey'], { type: 'text/plain' }) });
  assert.deepEqual([text(blob.bytes), blob.row.contentType], ['hey', 'text/plain']);
});

test('JSON that comes as bytes goes as those bytes, numbers as written, and is looked at like any other', async () => {
  const written = new TextEncoder().encode('{ "big": 9007199254740993, "huge": 1e400,\n "severity": 4.0 }');
  const { row, bytes } = await build({ doc: written, contentType: 'application/json' }, { fieldNames: () => ['severity'] });
  assert.deepEqual(bytes, written);
  assert.deepEqual([row.contentType, row.fields], ['', { severity: 4 }]);
  for (const wrong of ['', '{', '{} x', '\ufeff{}', '{"a":"\\ud800"}', '['.repeat(257) + ']'.repeat(257)])
    await assert.rejects(build({ doc: new TextEncoder().encode(wrong), contentType: 'application/json' }), { name: 'TidegateError' }, wrong);
  await assert.rejects(build({ doc: Uint8Array.from([0x22, 0xff, 0x22]), contentType: 'application/json' }), { code: 'wrong-type', path: '/doc', message: /UTF-8/ });
});

const deep = (levels) => { let doc = {}; for (let i = 1; i < levels; i++) doc = { deep: doc }; return doc; };
const cycle = {};
cycle.self = cycle;

for (const [what, item, code, path, message] of [
  ['no entity', { entity: undefined }, 'wrong-type', '/entity', /entity: expected a string, got undefined/],
  ['an entity with a slash', { entity: 'a/b' }, 'out-of-range', '/entity', /got "a\/b"/],
  ['an entity of 65 letters', { entity: 'a'.repeat(65) }, 'out-of-range', '/entity', /up to 63/],
  ['an empty id', { entityId: '' }, 'out-of-range', '/entityId', /1–128 characters/],
  ['an id of 129 characters', { entityId: 'a'.repeat(129) }, 'out-of-range', '/entityId', /1–128/],
  ['an id with a slash', { entityId: '../../admin' }, 'out-of-range', '/entityId', /got "\.\.\/\.\.\/admin"/],
  ['an id that is a dot segment', { entityId: '..' }, 'out-of-range', '/entityId', /neither/],
  ['an id with a line break', { entityId: 'a\r\nX-Evil: 1' }, 'out-of-range', '/entityId', /control characters/],
  ['an id that is a number', { entityId: 7 }, 'wrong-type', '/entityId', /got 7/],
  ['an unknown priority', { doc: {}, priority: 'urgent' }, 'out-of-range', '/priority', /one of critical, high, normal, low, got "urgent"/],
  ['an unknown action', { doc: {}, action: 'upsert' }, 'out-of-range', '/action', /got "upsert"/],
  ['a dependency that is no id', { doc: {}, dependsOn: ['a', 5] }, 'wrong-type', '/dependsOn/1', /got 5/],
  ['dependencies that are no list', { doc: {}, dependsOn: 'a' }, 'wrong-type', '/dependsOn', /got "a"/],
  ['no document', { doc: undefined }, 'wrong-type', '/doc', /a JSON value, got undefined/],
  ['NaN', { doc: { a: [1, NaN] } }, 'out-of-range', '/doc/a/1', /a finite number, got NaN/],
  ['a bigint', { doc: { 'x/y': 5n } }, 'wrong-type', '/doc/x~1y', /got 5n/],
  ['a function', { doc: { f() {} } }, 'wrong-type', '/doc/f', /got a function/],
  ['undefined in an array, which JSON would turn into null', { doc: [undefined] }, 'wrong-type', '/doc/0', /got undefined/],
  ['half a surrogate pair', { doc: { name: 'a\ud800' } }, 'out-of-range', '/doc/name', /half surrogates/],
  ['half a surrogate pair in a name', { doc: { 'a\udc00': 1 } }, 'out-of-range', '/doc/a\udc00', /half surrogates/],
  ['a document that is too deep', { doc: deep(kMaxDepth + 1) }, 'limit', '/doc' + '/deep'.repeat(kMaxDepth), /at most 256 levels/],
  ['a cycle', { doc: cycle }, 'limit', '/doc' + '/self'.repeat(kMaxDepth), /at most 256 levels/],
  ['too many bytes', { doc: 'x'.repeat(999) }, 'limit', '/doc', /at most 1000 bytes \(maxOpBytes\), got 1001/],
  ['text that claims to be an image', { doc: 'png', contentType: 'image/png' }, 'wrong-type', '/doc', /bytes or a Blob/],
  ['a content type with a header in it', { doc: new Uint8Array(1), contentType: 'a/b\r\nx: y' }, 'out-of-range', '/contentType', /a media type/],
])
  test(`${what} is refused by name`, () =>
    assert.rejects(build(item), (error) => {
      assert.equal(error.name, 'TidegateError');
      assert.deepEqual([error.code, error.path], [code, path]);
      assert.match(error.message, message);
      assert.ok(error.message.length < 300, 'the message is short whatever the input');
      return true;
    }));

test('what is just within the limits passes', async () => {
  await build({ doc: deep(kMaxDepth), entityId: 'ü '.repeat(64) }, { maxOpBytes: 3000 });
  assert.equal((await build({ doc: 'x'.repeat(998) })).row.sizeBytes, 1000);
});

test('own properties named __proto__ stay what they are', async () => {
  const { bytes } = await build({ doc: JSON.parse('{"__proto__":{"admin":true},"constructor":1}') });
  assert.equal(text(bytes), '{"__proto__":{"admin":true},"constructor":1}');
});

test('dates and others with toJSON speak for themselves', async () => {
  assert.equal(text((await build({ doc: { at: new Date(0) } })).bytes), '{"at":"1970-01-01T00:00:00.000Z"}');
  await assert.rejects(build({ doc: { bad: { toJSON: () => NaN } } }), { code: 'out-of-range', path: '/doc/bad' });
});

test('the fields that rules look at are copied by dotted name and by pointer, those that are there', async () => {
  const doc = { severity: 4, place: { city: 'Ulm', 'a/b': 1 }, tags: ['x', 'y'] };
  const { row } = await build({ doc }, { fieldNames: () => ['severity', 'place.city', '/place/a~1b', 'tags.1', 'absent', 'severity.x', 'constructor'] });
  assert.deepEqual(row.fields, { severity: 4, 'place.city': 'Ulm', '/place/a~1b': 1, 'tags.1': 'y' });
});

test('copied fields never exceed 256 bytes; one that does not fit is left out, later ones still go', async () => {
  const { row } = await build({ doc: { long: 'é'.repeat(150), small: 1 } }, { fieldNames: () => ['long', 'small'] });
  assert.deepEqual(row.fields, { small: 1 });
  const names = Array.from({ length: 100 }, (_, i) => `field${i}`);
  const many = await build({ doc: Object.fromEntries(names.map((name) => [name, 1])) }, { fieldNames: () => names, maxOpBytes: 3000 });
  const size = JSON.stringify(many.row.fields).length;
  assert.ok(size <= 256 && size > 230, `${size} bytes`);
});

test('the fields of rules are found wherever a condition names them', () => {
  const rules = [{ name: 'r', when: { all: [{ field: 'severity', op: '>=', value: 4 }, { not: { any: [{ field: '/a/b' }, { field: 'severity' }] } }] }, points: 25 }];
  assert.deepEqual(fieldsOfRules(rules), ['severity', '/a/b']);
  assert.deepEqual(fieldsOfRules(undefined), []);
});

test('lanes of different owners and ids never meet', () => {
  const lanes = [['', '1'], ['a', '1'], ['a:NOTE', '1'], ['a', 'b:c'], ['a', 'b%3Ac']].map(([owner, id]) => laneOf(owner, 'NOTE', id));
  assert.equal(new Set(lanes).size, lanes.length);
});

test('ids are UUIDs of version 7, ordered by time, and seeds whole numbers below 2^53', () => {
  const early = random.uuid(1_000), late = random.uuid(2_000_000_000_000);
  for (const id of [early, late]) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.ok(early < late);
  assert.equal(parseInt(late.replace('-', '').slice(0, 12), 16), 2_000_000_000_000);
  assert.equal(new Set(Array.from({ length: 1000 }, () => random.uuid(5))).size, 1000);
  for (let i = 0; i < 100; i++) assert.ok(Number.isSafeInteger(random.seed()));
});

/** A store that records what each transaction was given. */
function recordingStore(accept = async () => {}) {
  const transactions = [];
  let seq = 0;
  return {
    transactions,
    async accept(items) {
      transactions.push(items.map(({ row }) => row.id));
      await accept(items);
      return items.map(() => ++seq);
    },
  };
}
const one = (id) => [{ row: { id }, bytes: null }];

test('saves issued together share transactions and keep their order', async () => {
  const store = recordingStore();
  const appender = new Appender(store, {});
  const seqs = await Promise.all(Array.from({ length: 1200 }, (_, i) => appender.append(one(i))));
  assert.deepEqual(seqs.flat(), Array.from({ length: 1200 }, (_, i) => i + 1));
  assert.deepEqual(store.transactions.flat(), Array.from({ length: 1200 }, (_, i) => i));
  assert.equal(store.transactions.length, 3);
});

test('what belongs together stays in one transaction, however large', async () => {
  const store = recordingStore();
  const appender = new Appender(store, {});
  const large = Array.from({ length: 700 }, (_, i) => ({ row: { id: i }, bytes: null }));
  await Promise.all([appender.append(one('a')), appender.append(large), appender.append(one('b'))]);
  assert.deepEqual(store.transactions.map((ids) => ids.length), [1, 700, 1]);
});

test('a save that fails fails alone', async () => {
  const store = recordingStore(async (items) => { if (items.some(({ row }) => row.id === 'bad')) throw new Error('no room'); });
  const appender = new Appender(store, {});
  const results = await Promise.allSettled(['a', 'bad', 'b'].map((id) => appender.append(one(id))));
  assert.deepEqual(results.map(({ status }) => status), ['fulfilled', 'rejected', 'fulfilled']);
  assert.match(results[1].reason.message, /no room/);
});

test('close stores what was handed in and refuses what comes later', async () => {
  const store = recordingStore();
  const appender = new Appender(store, {});
  const saved = appender.append(one('a'));
  await appender.close();
  assert.deepEqual(await saved, [1]);
  await assert.rejects(appender.append(one('b')), { code: 'closed' });
});
