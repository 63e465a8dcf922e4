// What any store of the server must do (server/store.js). A store's test file calls storeContract with a way to open it on something real.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDecide } from '../../server/decide.js';
import { limitsFrom } from '../../server/limits.js';
import { fingerprintOf } from '../../server/op.js';

/** @typedef {import('../../server/op.js').Op} Op */

/**
 * @typedef {object} Opened
 * @property {import('../../server/store.js').Store} store
 * @property {() => Promise<import('../../server/store.js').Store>} reopen   closes the store and opens it again on the same data
 * @property {() => {key: string, op_id: string, entity: string, entity_id: string, action: string, etag: string, sha256: string|null, at_ms: number}[]} effects
 */

let made = 0;

/** An op as a request would have made it: a full write of `{}` to A/a unless told otherwise. @param {Partial<Op> & {text?: string}} [changes] @returns {Op} */
export function makeOp({ text = '{}', ...changes } = {}) {
  made += 1;
  const key = changes.key ?? `key-${made}`;
  const remove = changes.action === 'delete';
  const op = {
    id: key, key, action: /** @type {Op['action']} */ ('update'), entity: 'A', entityId: 'a', codec: /** @type {Op['codec']} */ (remove ? null : 'full'),
    contentType: remove ? '' : 'application/json', body: remove ? null : Buffer.from(text), ifMatch: null, ifNoneMatch: null, after: null, refused: null, ...changes,
  };
  return { fingerprint: fingerprintOf(op), ...op };
}

/** A test's own decide: does what the op says, whatever the store holds; an op with a body "fail" fails and one with "throw" throws. */
const bold = (op, { bound }) => {
  if (bound) return { status: bound.status, etag: bound.etag, replayed: true };
  const text = op.body?.toString();
  if (text === 'throw') throw new Error('decide threw');
  if (text === 'fail') return { status: 422 };
  return { status: 200, effect: { action: op.action, contentType: text === 'poison' ? null : op.contentType, body: op.body } };
};

const decide = createDecide({ limits: limitsFrom(), applyPatch: (document, patch) => Buffer.concat([document, patch]) });
const statuses = (results) => results.map(({ status }) => status);
const ids = (page) => page.changes.map(({ entityId }) => entityId);
const page = { limit: 100, maxBytes: 1e6 };

/**
 * @param {string} name
 * @param {(t: import('node:test').TestContext) => Promise<Opened>} open  a new empty store, given up when the test ends
 */
export function storeContract(name, open) {
  const it = (/** @type {string} */ claim, /** @type {(opened: Opened) => Promise<void>} */ body) => test(`${name}: ${claim}`, async (t) => body(await open(t)));
  const apply = (store, units, using = decide) => store.apply(units, { nowMs: 1000, decide: using });

  it('an effect is document, change, log record and binding, all with one ETag', async ({ store, effects }) => {
    const op = makeOp({ key: 'k', text: '{"n":9007199254740993}' });
    const [{ status, etag }] = await apply(store, [[op]]);
    assert.equal(status, 201);
    const document = { entity: 'A', entityId: 'a', etag, deleted: false, contentType: 'application/json', body: op.body, key: 'k' };
    assert.deepEqual(await store.read('A', 'a'), document);
    assert.deepEqual((await store.changes(null, page)).changes, [document]);
    assert.deepEqual(effects().map(({ key, op_id, action, etag: tag, at_ms }) => ({ key, op_id, action, tag, at_ms })),
      [{ key: 'k', op_id: 'k', action: 'create', tag: etag, at_ms: 1000 }]);
    assert.deepEqual(await apply(store, [[op]]), [{ status: 201, etag, replayed: true }]);
    assert.equal(effects().length, 1);
  });

  it('an entity never seen is null, a deleted one a tombstone with an ETag of its own', async ({ store, effects }) => {
    assert.equal(await store.read('A', 'a'), null);
    const [{ etag }] = await apply(store, [[makeOp()]]);
    const [deleted] = await apply(store, [[makeOp({ action: 'delete', ifMatch: [etag] })]]);
    assert.equal(deleted.status, 204);
    assert.notEqual(deleted.etag, etag);
    const tombstone = await store.read('A', 'a');
    assert.deepEqual([tombstone.deleted, tombstone.body, tombstone.etag], [true, null, deleted.etag]);
    assert.equal(effects()[1].sha256, null);
  });

  it('bodies come back byte for byte', async ({ store }) => {
    const whole = Buffer.from([0, 255, 128, 10, 13, 0, 237, 160, 128, 1]);
    for (const body of [whole, whole.subarray(3, 7), Buffer.alloc(0), Buffer.from('{"a" : 1.0e0,\n"a":9007199254740993}'), Buffer.alloc(3 << 20, 7)]) {
      const op = makeOp({ body, contentType: 'image/png', entityId: `b${made}` });
      await apply(store, [[op]]);
      assert.ok(body.equals((await store.read('A', op.entityId)).body));
    }
  });

  it('names are compared exactly: case, Unicode form and blanks count', async ({ store }) => {
    const names = ['a', 'A', 'é', 'e\u0301', ' a', 'a ', '😀', "a'--", 'a%', 'a_'];
    await apply(store, names.map((entityId) => [makeOp({ entityId, text: JSON.stringify(entityId) })]));
    for (const entityId of names) assert.equal((await store.read('A', entityId)).body.toString(), JSON.stringify(entityId));
    assert.equal(await store.read('B', 'a'), null);
  });

  it('ops of one call see the effects of the ops before them', async ({ store }) => {
    const results = await apply(store, [
      [makeOp({ ifNoneMatch: '*' })], [makeOp({ ifNoneMatch: '*' })], [makeOp({ after: 0, text: '[1]' })], [makeOp({ after: 2, action: 'delete' })],
      [makeOp({ after: 1 })], [makeOp({ after: 3, text: '[2]' })],
    ]);
    assert.deepEqual(statuses(results), [201, 412, 200, 204, 424, 201]);
    assert.equal(results[1].etag, results[0].etag);
    assert.equal((await store.read('A', 'a')).body.toString(), '[2]');
  });

  it('an op that fails leaves the others of the call alone', async ({ store, effects }) => {
    const results = await apply(store, [[makeOp({ entityId: '1' })], [makeOp({ entityId: '2', text: 'fail' })], [makeOp({ entityId: '3' })]], bold);
    assert.deepEqual(statuses(results), [200, 422, 200]);
    assert.deepEqual(effects().map(({ entity_id }) => entity_id), ['1', '3']);
    assert.equal(await store.read('A', '2'), null);
  });

  for (const failing of [0, 1, 2])
    it(`a group of which op ${failing} fails is not applied, and the rest of the call is`, async ({ store, effects }) => {
      const group = [0, 1, 2].map((index) => makeOp({ key: `g${index}`, entityId: `g${index}`, text: index === failing ? 'fail' : '{}' }));
      const results = await apply(store, [[makeOp({ entityId: 'before' })], group, [makeOp({ entityId: 'behind' })]], bold);
      assert.deepEqual(statuses(results), [200, ...[0, 1, 2].map((index) => (index === failing ? 422 : 424)), 200]);
      assert.deepEqual(effects().map(({ entity_id }) => entity_id), ['before', 'behind']);
      assert.deepEqual(ids(await store.changes(null, page)), ['before', 'behind']);
      // No key of the group is bound: sent again it is applied.
      const again = group.map((op) => ({ ...op, body: Buffer.from('{}') }));
      assert.deepEqual(statuses(await apply(store, [again], bold)), [200, 200, 200]);
    });

  it('a group that succeeds is answered again as a whole', async ({ store, effects }) => {
    const group = [makeOp({ entityId: '1' }), makeOp({ entityId: '2' }), makeOp({ entityId: '1', after: 0 })];
    const first = await apply(store, [group]);
    assert.deepEqual(statuses(first), [201, 201, 200]);
    assert.deepEqual((await apply(store, [group])).map(({ etag, replayed }) => [etag, replayed]), first.map(({ etag }) => [etag, true]));
    assert.equal(effects().length, 3);
  });

  for (const order of ['before', 'behind'])
    it(`in a group that fails, an op applied by an earlier request, ${order} the failing one, keeps its stored answer`, async ({ store, effects }) => {
      const done = makeOp({ entityId: 'done' });
      const [{ etag }] = await apply(store, [[done]]);
      const failing = makeOp({ entityId: 'x', text: 'fail' });
      const results = await apply(store, [order === 'before' ? [done, failing] : [failing, done]], bold);
      assert.deepEqual(results.find(({ replayed }) => replayed), { status: 201, etag, replayed: true });
      assert.deepEqual(statuses(results).sort(), [201, 422]);
      assert.equal(effects().length, 1);
    });

  for (const size of [1, 2])
    it(`a decide that throws fails its own unit of ${size} with 500 and is told`, async ({ store, effects }) => {
      const errors = [];
      const unit = [makeOp({ entityId: 'g' }), makeOp({ entityId: 'x', text: 'throw' })].slice(-size);
      const results = await store.apply([[makeOp({ entityId: '1' })], unit, [makeOp({ entityId: '2' })]],
        { nowMs: 1, decide: bold, onError: (error) => errors.push(error.message) });
      assert.deepEqual(statuses(results), [200, ...(size === 2 ? [424] : []), 500, 200]);
      assert.equal(results.find(({ status }) => status === 500).problem.type, 'urn:tidegate:internal');
      assert.deepEqual(errors, ['decide threw']);
      assert.deepEqual(effects().map(({ entity_id }) => entity_id), ['1', '2']);
    });

  it('when the database refuses a write, the call rejects and nothing of it was applied', async ({ store, effects }) => {
    const units = [[makeOp({ key: 'one', entityId: '1' })], [makeOp({ entityId: '2', text: 'poison' })]];
    await assert.rejects(apply(store, units, bold));
    assert.deepEqual([effects(), await store.read('A', '1'), (await store.changes(null, page)).changes], [[], null, []]);
    const [{ replayed }] = await apply(store, [[makeOp({ key: 'one', entityId: '1' })]], bold);
    assert.equal(replayed, undefined);
  });

  it('calls at the same time do not interleave', async ({ store, effects }) => {
    const calls = await Promise.all(Array.from({ length: 20 }, () => apply(store, [[makeOp({ ifNoneMatch: '*' })], [makeOp({ after: 0, text: '[]' })]])));
    assert.equal(calls.filter((results) => results[0].status === 201 && results[1].status === 200).length, 1);
    assert.equal(calls.filter((results) => results[0].status === 412 && results[1].status === 424).length, 19);
    assert.equal(effects().length, 2);
  });

  it('all of it is still there after closing and opening', async ({ store, reopen }) => {
    const op = makeOp();
    const [{ etag }] = await apply(store, [[op]]);
    const { cursor } = await store.changes(null, page);
    const again = await reopen();
    assert.deepEqual(await apply(again, [[op]]), [{ status: 201, etag, replayed: true }]);
    assert.deepEqual(await again.changes(cursor, page), { changes: [], cursor, more: false });
  });

  it('changes come in order of effect, each entity once in its newest version', async ({ store }) => {
    await apply(store, [1, 2, 3].map((n) => [makeOp({ entityId: String(n) })]));
    const { cursor } = await store.changes(null, page);
    await apply(store, [[makeOp({ entityId: '2', ifMatch: '*', text: '[]' })], [makeOp({ entityId: '1', action: 'delete', ifMatch: '*' })]]);
    assert.deepEqual(ids(await store.changes(null, page)), ['3', '2', '1']);
    const news = await store.changes(cursor, page);
    assert.deepEqual(news.changes.map(({ entityId, deleted }) => [entityId, deleted]), [['2', false], ['1', true]]);
    assert.deepEqual(await store.changes(news.cursor, page), { changes: [], cursor: news.cursor, more: false });
  });

  it('pages hold at most `limit` documents and stop before `maxBytes`, but never before the first', async ({ store }) => {
    const text = JSON.stringify('x'.repeat(98));
    await apply(store, [1, 2, 3, 4, 5].map((n) => [makeOp({ entityId: String(n), text })]));
    const walk = async (options) => {
      const pages = [];
      for (let cursor = null, more = true; more;) {
        const one = await store.changes(cursor, options);
        pages.push(ids(one).join(''));
        ({ cursor, more } = one);
      }
      return pages;
    };
    assert.deepEqual(await walk({ limit: 2, maxBytes: 1e6 }), ['12', '34', '5']);
    assert.deepEqual(await walk({ limit: 5, maxBytes: 1e6 }), ['12345']);
    assert.deepEqual(await walk({ limit: 9, maxBytes: 200 }), ['12', '34', '5']);
    assert.deepEqual(await walk({ limit: 9, maxBytes: 1 }), ['1', '2', '3', '4', '5']);
  });

  it('purging forgets old keys and keeps young ones', async ({ store, effects }) => {
    const [old, young] = [makeOp({ entityId: 'old' }), makeOp({ entityId: 'young' })];
    await store.apply([[old]], { nowMs: 1000, decide });
    await store.apply([[young]], { nowMs: 2000, decide });
    assert.deepEqual(await store.purge({ keysBeforeMs: 2000, tombstonesBeforeMs: 2000 }), { keys: 1, tombstones: 0 });
    const [forgotten, kept] = await apply(store, [[old], [young]]);
    assert.deepEqual([forgotten.status, kept.replayed], [428, true]);
    assert.equal(effects().length, 2);
  });

  it('purging takes tombstones only, also many, and ETags are never used twice', async ({ store }) => {
    const many = Array.from({ length: 1200 }, (_, n) => String(n));
    const created = await apply(store, many.map((entityId) => [makeOp({ entityId })]));
    await apply(store, many.map((entityId) => [makeOp({ entityId, action: 'delete', ifMatch: '*' })]));
    await apply(store, [[makeOp({ entityId: 'alive' })]]);
    assert.deepEqual(await store.purge({ keysBeforeMs: 0, tombstonesBeforeMs: 1001 }), { keys: 0, tombstones: 1200 });
    assert.deepEqual([await store.read('A', '7'), ids(await store.changes(null, page))], [null, ['alive']]);
    const [{ etag }] = await apply(store, [[makeOp({ entityId: '7' })]]);
    assert.ok(!created.some((result) => result.etag === etag));
  });

  it('a cursor from before a purged tombstone has expired, a later one has not', async ({ store }) => {
    await apply(store, [[makeOp({ entityId: 'x' })]]);
    const { cursor: early } = await store.changes(null, page);
    await apply(store, [[makeOp({ entityId: 'x', action: 'delete', ifMatch: '*' })]]);
    const { cursor: late } = await store.changes(early, page);
    await store.purge({ keysBeforeMs: 0, tombstonesBeforeMs: 2000 });
    assert.equal(await store.changes(early, page), null);
    assert.deepEqual((await store.changes(late, page)).changes, []);
  });

  it('a pull from the start that began after a purge goes through, in however small pages', async ({ store }) => {
    await apply(store, [[makeOp({ entityId: '1' })], [makeOp({ entityId: '2' })], [makeOp({ entityId: 'x' })]]);
    await apply(store, [[makeOp({ entityId: 'x', action: 'delete', ifMatch: '*' })]]);
    await store.purge({ keysBeforeMs: 0, tombstonesBeforeMs: 2000 });
    const first = await store.changes(null, { limit: 1, maxBytes: 1e6 });
    const second = await store.changes(first.cursor, { limit: 1, maxBytes: 1e6 });
    assert.deepEqual([ids(first), ids(second), second.more], [['1'], ['2'], false]);
  });

  it('a first pull expires when an entity it already told of is deleted and purged meanwhile', async ({ store }) => {
    await apply(store, [[makeOp({ entityId: '1' })], [makeOp({ entityId: '2' })]]);
    const first = await store.changes(null, { limit: 1, maxBytes: 1e6 });
    await apply(store, [[makeOp({ entityId: '1', action: 'delete', ifMatch: '*' })]]);
    await store.purge({ keysBeforeMs: 0, tombstonesBeforeMs: 2000 });
    assert.equal(await store.changes(first.cursor, page), null);
  });

  it('a cursor of another database, of the future, or of nobody has expired', async ({ store }) => {
    await apply(store, [[makeOp()]]);
    const { cursor } = await store.changes(null, page);
    for (const foreign of ['', '0', 'x', `x${cursor}`, `${cursor}0`, cursor.replace(/^..../, '!!!!'), cursor.replace(/\d+-/, '999999-')]) {
      assert.equal(await store.changes(foreign, page), null, foreign);
    }
  });

  it('a closed store rejects, and closes twice', async ({ store }) => {
    await store.close();
    await store.close();
    await assert.rejects(store.read('A', 'a'));
    await assert.rejects(apply(store, [[makeOp()]]));
  });

  const film = (changes = {}) => ({ key: 'up', id: 'address', fingerprint: Buffer.from('print'), entity: 'MEDIA', entityId: 'film', contentType: 'video/mp4', length: 6, ...changes });
  const begin = (store, changes, maxUnfinished = 10) => store.uploads.begin(film(changes), { nowMs: 1000, maxUnfinished });
  const piecesOf = async (store, id) => { const found = []; for await (const piece of store.uploads.pieces(id)) found.push(piece.toString()); return found; };
  const ending = ({ key, id, entity, entityId, contentType, fingerprint }) => ({
    ...makeOp({ key, entity, entityId, contentType, fingerprint }), body: null, ifNoneMatch: '*', action: 'create', upload: { id, sha256: 'hash' },
  });

  it('an upload takes pieces at its end only, never more than its length, and keeps them when the store is opened anew; one key has one', async ({ store, reopen }) => {
    const begun = await begin(store);
    assert.deepEqual(begun, { ...film(), received: 0, etag: null, atMs: 1000 });
    assert.equal(await store.uploads.append('address', 0, Buffer.from('abc'), 2000), 3);
    for (const [id, offset, text] of [['address', 0, 'x'], ['address', 2, 'x'], ['address', 4, 'x'], ['address', 3, 'defg'], ['none', 0, 'x']])
      assert.equal(await store.uploads.append(id, offset, Buffer.from(text), 3000), null);
    assert.deepEqual(await begin(store, { id: 'other', length: 9 }), { ...film(), received: 3, etag: null, atMs: 2000 }, 'the one of this key');
    const again = await reopen();
    assert.equal(await again.uploads.append('address', 3, Buffer.from('def'), 3000), 6);
    assert.deepEqual(await piecesOf(again, 'address'), ['abc', 'def']);
    assert.equal(await again.uploads.read('none'), null);
  });

  it('the op at the end of an upload binds its pieces to the document, in the transaction of the effect; the next version drops them', async ({ store, effects }) => {
    const upload = await begin(store);
    await store.uploads.append('address', 0, Buffer.from('abcdef'), 2000);
    const [{ status, etag }] = await apply(store, [[ending(upload)]]);
    assert.equal(status, 201);
    assert.deepEqual(await store.read('MEDIA', 'film'), { entity: 'MEDIA', entityId: 'film', etag, deleted: false, contentType: 'video/mp4', body: null, key: 'up', upload: { id: 'address', length: 6 } });
    assert.equal((await store.uploads.read('address')).etag, etag);
    assert.equal(effects()[0].sha256, 'hash');
    assert.equal(await store.uploads.append('address', 6, Buffer.from(''), 3000), null, 'it has ended');
    assert.equal(await store.uploads.drop('address'), false);
    const [again] = await apply(store, [[ending(upload)]]);
    assert.deepEqual([again.status, again.etag, effects().length], [201, etag, 1]);
    await apply(store, [[makeOp({ entity: 'MEDIA', entityId: 'film', ifMatch: [etag], contentType: 'text/plain', text: 'short' })]]);
    assert.deepEqual([await piecesOf(store, 'address'), (await store.read('MEDIA', 'film')).upload], [[], undefined]);
  });

  it('an op at the end of an upload that is refused changes nothing of it', async ({ store }) => {
    await apply(store, [[makeOp({ entity: 'MEDIA', entityId: 'film' })]]);
    const upload = await begin(store);
    await store.uploads.append('address', 0, Buffer.from('abcdef'), 2000);
    const [{ status }] = await apply(store, [[ending(upload)]]);
    assert.equal(status, 412);
    assert.deepEqual([await piecesOf(store, 'address'), (await store.uploads.read('address')).etag], [['abcdef'], null]);
    assert.equal((await store.read('MEDIA', 'film')).body.toString(), '{}');
  });

  it('uploads: only so many unfinished ones; dropped or purged they go with their pieces, one that is the body of a document stays', async ({ store }) => {
    const [one, two, three] = [{ key: '1', id: '1', entityId: '1' }, { key: '2', id: '2', entityId: '2' }, { key: '3', id: '3', entityId: '3' }];
    const upload = await begin(store, one, 2);
    await begin(store, two, 2);
    assert.equal(await begin(store, three, 2), null);
    assert.notEqual(await begin(store, two, 2), null, 'this one is there already');
    await store.uploads.append('1', 0, Buffer.from('abcdef'), 2000);
    await store.uploads.append('2', 0, Buffer.from('abc'), 2000);
    await apply(store, [[ending(upload)]]);
    assert.notEqual(await begin(store, three, 2), null, 'one has ended');
    assert.equal(await store.uploads.drop('3'), true);
    assert.equal(await store.uploads.drop('3'), false);
    assert.equal(await store.uploads.purge({ unfinishedBeforeMs: 2000, endedBeforeMs: 9000 }), 0);
    assert.equal(await store.uploads.purge({ unfinishedBeforeMs: 2001, endedBeforeMs: 9000 }), 1);
    assert.deepEqual([await piecesOf(store, '1'), await piecesOf(store, '2'), await store.uploads.read('2')], [['abcdef'], [], null]);
    const { etag } = await store.read('MEDIA', '1');
    await apply(store, [[makeOp({ action: 'delete', entity: 'MEDIA', entityId: '1', ifMatch: [etag] })]]);
    assert.equal(await store.uploads.purge({ unfinishedBeforeMs: 0, endedBeforeMs: 9000 }), 1);
  });
}
