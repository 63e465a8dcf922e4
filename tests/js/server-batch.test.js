// docs/protocol.md, "Batch mode": results, preconditions, groups, and frames that are hostile or cut.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { frame, rowsOf, startServer } from './server-harness.js';

const create = (id, entityId, more = {}) => ({ id, action: 'create', entity: 'A', entityId, ifNoneMatch: '*', codec: 'full', body: true, ...more });
const update = (id, entityId, more = {}) => ({ id, action: 'update', entity: 'A', entityId, codec: 'merge-patch', body: true, ...more });
const remove = (id, entityId, more = {}) => ({ id, action: 'delete', entity: 'A', entityId, ...more });
const statuses = ({ results }) => results.map(({ status }) => status);
const kinds = ({ results }) => results.map(({ problem }) => problem?.type.replace('urn:tidegate:', '') ?? null);
const effects = (file) => rowsOf(file, 'SELECT * FROM effects ORDER BY n');

test('each op has its own result, in order, after a head that names the limits', async (t) => {
  const { batch, get, file } = await startServer(t);
  const answer = await batch([
    create('1', 'a'), '{"n":9007199254740993}', update('2', 'a', { after: '1', key: '2.2' }), '{"x":1}', create('3', 'b'), '[]', remove('4', 'b', { after: '3' }),
    update('5', 'a', { after: '2', codec: 'json-patch' }), '[{"op":"remove","path":"/x"}]', update('6', 'c', { codec: 'full' }), '"c"',
  ]);
  assert.equal(answer.headers.get('content-type'), 'application/x-ndjson');
  assert.deepEqual(answer.head, { protocol: 1, results: 6, idempotencyRetention: 2592000, maxBatchBytes: 524288, maxBatchOps: 200 });
  assert.deepEqual(answer.results.map(({ id, status, etag, ...rest }) => [id, status, typeof etag, rest]),
    [['1', 201], ['2', 200], ['3', 201], ['4', 204], ['5', 200], ['6', 201]].map(([id, status]) => [id, status, 'string', {}]));
  const got = await get('A/a');
  assert.deepEqual([got.text, got.etag], ['{"n":9007199254740993}', answer.results[4].etag]);
  assert.deepEqual(effects(file).map(({ op_id, key, action }) => [op_id, key, action]),
    [['1', '1', 'create'], ['2', '2.2', 'update'], ['3', '3', 'create'], ['4', '4', 'delete'], ['5', '5', 'update'], ['6', '6', 'create']]);
});

test('a batch sent again gets the same results and has no second effect; what was not applied is applied now', async (t) => {
  const { batch, file } = await startServer(t);
  const lines = [create('1', 'a'), '{}', update('2', 'a', { after: '1' }), '{"x":1}', update('3', 'new', { ifMatch: '"x"' }), '{}'];
  const first = await batch(lines);
  assert.deepEqual(statuses(first), [201, 200, 412]);
  // Regrouped, compressed, with other preconditions: the keys count.
  const second = await batch(null, { body: gzipSync(frame([update('2', 'a', { ifMatch: '"old"' }), '{"x":1}', create('1', 'a'), '{}'])), 'content-encoding': 'gzip' });
  assert.deepEqual(second.results, [first.results[1], first.results[0]]);
  assert.equal(effects(file).length, 2);
});

test('key reuse refuses the op alone', async (t) => {
  const { batch } = await startServer(t);
  await batch([create('1', 'a'), '{}']);
  const answer = await batch([create('1', 'a'), '{"other":1}', create('2', 'b'), '{}']);
  assert.deepEqual([statuses(answer), kinds(answer)], [[422, 201], ['key-reused', null]]);
});

test('a 412 brings the current version along, on one line, or says that there is none', async (t) => {
  const { batch, create: put, put: putAny, remove: del } = await startServer(t);
  const etag = await put('A/a', '{\r\n  "a": "x\\ny"\n}');
  const image = await putAny('A/i', { 'content-type': 'image/png', body: 'x' });
  const deleted = await del('A/d', { 'if-match': await put('A/d') });
  const answer = await batch([
    create('1', 'a'), '{}', update('2', 'a', { ifMatch: '"stale"' }), '{}', update('3', 'i', { ifMatch: '"stale"' }), '{}',
    update('4', 'd', { ifMatch: '"stale"' }), '{}', update('5', 'never', { ifMatch: '"stale"' }), '{}', remove('6', 'd', { ifMatch: '"stale"' }),
  ]);
  assert.deepEqual([...new Set(kinds(answer))], ['precondition-failed']);
  assert.deepEqual(answer.results.map(({ etag: tag, missing, body }) => ({ tag, missing, body })), [
    { tag: etag, missing: undefined, body: '{    "a": "x\\ny" }' }, { tag: etag, missing: undefined, body: '{    "a": "x\\ny" }' },
    { tag: image.etag, missing: undefined, body: undefined }, { tag: deleted.etag, missing: true, body: undefined },
    { tag: undefined, missing: true, body: undefined }, { tag: deleted.etag, missing: true, body: undefined },
  ]);
});

test('current versions ride along as far as the answer may grow, the first always', async (t) => {
  const { batch, create: put } = await startServer(t, { limits: { maxAnswerBytes: 250, closeGraceMs: 50 } });
  const text = JSON.stringify('x'.repeat(98));
  for (const id of ['a', 'b', 'c']) await put(`A/${id}`, text);
  await put('A/big', JSON.stringify('x'.repeat(1000)));
  const stale = (id) => [update(id, id, { ifMatch: '"stale"' }), '{}'];
  const bodies = ({ results }) => results.map(({ body }) => body?.length);
  assert.deepEqual(bodies(await batch(['a', 'b', 'c'].flatMap(stale))), [100, 100, undefined]);
  assert.deepEqual(bodies(await batch(['big', 'a'].flatMap(stale))), [1002, undefined]);
});

test('without a precondition: 428 over what exists, 404 and 410 for a patch or delete of what does not', async (t) => {
  const { batch, create: put, remove: del } = await startServer(t);
  await put('A/e');
  await del('A/d', { 'if-match': await put('A/d') });
  const answer = await batch([
    update('1', 'e'), '{}', remove('2', 'e'), create('3', 'e', { ifNoneMatch: undefined }), '{}', update('4', 'd'), '{}', remove('5', 'd'), update('6', 'n'), '{}', remove('7', 'n'),
    create('8', 'd', { ifNoneMatch: undefined }), '{}',
  ]);
  assert.deepEqual(statuses(answer), [428, 428, 428, 410, 410, 404, 404, 201]);
});

test('`after` stands for the ETag of an earlier result: 424 when that failed, 412 when somebody wrote between', async (t) => {
  const { batch, create: put, put: write } = await startServer(t);
  await put('A/a');
  const failed = await batch([create('1', 'a'), '{}', update('2', 'a', { after: '1' }), '{}', remove('3', 'a', { after: '2' })]);
  assert.deepEqual([statuses(failed), kinds(failed)], [[412, 424, 424], ['precondition-failed', 'failed-dependency', 'failed-dependency']]);
  assert.deepEqual(failed.results.slice(1).map(({ etag, body }) => [etag, body]), [[undefined, undefined], [undefined, undefined]]);

  const first = await batch([create('4', 'b'), '{}']);
  await write('A/b', { 'if-match': first.results[0].etag, 'content-type': 'application/json', body: '{"theirs":1}' });
  const late = await batch([create('4', 'b'), '{}', update('5', 'b', { after: '4' }), '{"ours":1}']);
  assert.deepEqual(statuses(late), [201, 412]);
  assert.equal(late.results[1].body, '{"theirs":1}');
});

test('an op over a delete may create anew, after it or with its tombstone', async (t) => {
  const { batch, get } = await startServer(t);
  const first = await batch([create('1', 'a'), '1', remove('2', 'a', { after: '1' }), create('3', 'a', { ifNoneMatch: undefined, after: '2' }), '3',
    remove('4', 'a', { after: '3' })]);
  assert.deepEqual(statuses(first), [201, 204, 201, 204]);
  const second = await batch([create('5', 'a', { ifNoneMatch: undefined, ifMatch: first.results[3].etag }), '5']);
  assert.deepEqual([statuses(second), (await get('A/a')).text], [[201], '5']);
});

test('a body that is no JSON, or a patch that does not apply, refuses its op alone', async (t) => {
  const { batch } = await startServer(t);
  const answer = await batch([
    create('1', 'a'), '{', create('2', 'b'), '['.repeat(257) + ']'.repeat(257), create('3', 'c'), '{}', update('4', 'c', { after: '3', codec: 'json-patch' }), '{"not":"a patch"}',
    update('5', 'c', { after: '3' }), 'null', create('6', 'd'), '', create('7', 'e'), '1 2',
  ]);
  assert.deepEqual(statuses(answer), [422, 422, 201, 422, 200, 422, 422]);
  assert.deepEqual([...new Set(kinds(answer))], ['unprocessable', null]);
});

test('an atomic group is applied as a whole', async (t) => {
  const { batch, get } = await startServer(t);
  const answer = await batch([create('1', 'a', { group: 'g' }), '{}', update('2', 'a', { after: '1', group: 'g' }), '{"x":1}', create('3', 'b', { group: 'g' }), '{}', create('4', 'c'), '{}']);
  assert.deepEqual([statuses(answer), (await get('A/a')).text], [[201, 200, 201, 201], '{"x":1}']);
});

test('of an atomic group with one failing op nothing is applied, and what stands beside it is', async (t) => {
  const { batch, get, create: put, file } = await startServer(t);
  await put('A/taken');
  const group = (taken) => [create('1', 'a', { group: 'g' }), '{}', create('2', taken, { group: 'g' }), '{}', create('3', 'b', { group: 'g' }), '{}'];
  const answer = await batch([create('0', 'before'), '{}', ...group('taken'), create('4', 'behind'), '{}', update('5', 'a', { after: '1' }), '{}']);
  assert.deepEqual([statuses(answer), kinds(answer)], [[201, 424, 412, 424, 201, 424],
    [null, 'failed-dependency', 'precondition-failed', 'failed-dependency', null, 'failed-dependency']]);
  assert.deepEqual([(await get('A/a')).status, (await get('A/b')).status], [404, 404]);
  assert.deepEqual(effects(file).map(({ entity_id }) => entity_id), ['taken', 'before', 'behind']);
  assert.deepEqual(statuses(await batch(group('free'))), [201, 201, 201]);
});

test('two groups may follow each other directly', async (t) => {
  const { batch } = await startServer(t);
  const answer = await batch([create('1', 'a', { group: 'g' }), '{}', create('2', 'a', { group: 'g' }), '{}', create('3', 'b', { group: 'h' }), '{}', create('4', 'c', { group: 'h' }), '{}']);
  assert.deepEqual(statuses(answer), [424, 412, 201, 201]);
});

test('an empty batch is answered with an empty result', async (t) => {
  const { batch } = await startServer(t);
  const { head, results } = await batch([]);
  assert.deepEqual([head.results, results], [0, []]);
});

const good = [create('g', 'good'), '{}'];
const asText = (lines) => Buffer.from(frame(lines));
const invalidUtf8 = Buffer.concat([asText(good), Buffer.from('{"id":"x","action":"create","entity":"A","entityId":"b","codec":"full","body":true}\n"'), Buffer.from([0xff]), Buffer.from('"\n')]);
/** name → [the body, the field the problem names, a part of its detail] */
const HOSTILE = {
  'nothing at all': ['', undefined, 'line end'],
  'no line end': ['{"protocol":1}', undefined, 'line end'],
  'a cut last line': [asText(good).subarray(0, -2), undefined, 'line end'],
  'a cut frame whose last body is missing': [frame([...good, create('2', 'b')]), 'ops[1].body', 'last line'],
  'no head': [`${JSON.stringify(create('1', 'a'))}\n{}\n`, 'protocol', 'must be 1'],
  'another protocol': [`{"protocol":2}\n`, 'protocol', 'got 2'],
  'invalid UTF-8': [invalidUtf8, undefined, 'UTF-8'],
  'UTF-16': [Buffer.from(frame(good), 'utf16le'), undefined, 'line end'],
  'a byte order mark': [`\ufeff${frame(good)}`, 'head', 'line 1'],
  'an empty line': [frame([...good, '']), 'ops[1]', 'line 4'],
  'a line that is no object': [frame([...good, '[]']), 'ops[1]', 'JSON object'],
  'a line that is null': [frame([...good, 'null']), 'ops[1]', 'JSON object'],
  'a line that does not parse': [frame([...good, '{"id":']), 'ops[1]', 'JSON object'],
  'a huge header line': [frame([...good, create('2', 'b', { key: 'k'.repeat(9000) }), '{}']), 'ops[1]', '8192'],
  'a deep header line': [frame([...good, '['.repeat(4000) + ']'.repeat(4000)]), 'ops[1]', 'JSON object'],
  'a body without its op': [frame([...good, '{"title":"a body"}']), 'ops[1].title', 'no field'],
  'an unknown field': [frame([...good, create('2', 'b', { priority: 1 }), '{}']), 'ops[1].priority', 'no field'],
  'a field of the prototype': [frame([...good, '{"__proto__":{"id":"x"}}']), 'ops[1].__proto__', 'no field'],
  'no id': [frame([...good, create(undefined, 'b'), '{}']), 'ops[1].id', 'printable'],
  'a long id': [frame([...good, create('x'.repeat(129), 'b'), '{}']), 'ops[1].id', '128'],
  'an id that is no text': [frame([...good, create(7, 'b'), '{}']), 'ops[1].id', 'got 7'],
  'a duplicate id': [frame([...good, create('g', 'b'), '{}']), 'ops[1].id', 'unique'],
  'a duplicate key': [frame([...good, create('2', 'b', { key: 'g' }), '{}']), 'ops[1].key', 'unique'],
  'an unknown action': [frame([...good, create('2', 'b', { action: 'upsert' }), '{}']), 'ops[1].action', 'create, update, delete'],
  'an action of the prototype': [frame([...good, create('2', 'b', { action: 'toString' }), '{}']), 'ops[1].action', 'create, update, delete'],
  'a bad entity': [frame([...good, create('2', 'b', { entity: '../x' }), '{}']), 'ops[1].entity', 'match'],
  'a bad entityId': [frame([...good, create('2', 'a/b'), '{}']), 'ops[1].entityId', 'characters'],
  'half a character in an entityId': [frame([...good, '{"id":"2","action":"delete","entity":"A","entityId":"\\ud800"}']), 'ops[1].entityId', 'characters'],
  'an unknown codec': [frame([...good, update('2', 'b', { codec: 'vcdiff' }), '{}']), 'ops[1].codec', 'full, merge-patch, json-patch'],
  'no codec': [frame([...good, update('2', 'b', { codec: undefined }), '{}']), 'ops[1].codec', 'full, merge-patch, json-patch'],
  'a create by patch': [frame([...good, create('2', 'b', { codec: 'merge-patch' }), '{}']), 'ops[1].codec', 'full'],
  'a write without body': [frame([...good, update('2', 'b', { body: undefined })]), 'ops[1].body', 'must be true'],
  'a body flag that is no flag': [frame([...good, update('2', 'b', { body: 'true' }), '{}']), 'ops[1].body', 'true or absent'],
  'a delete with a body': [frame([...good, remove('2', 'b', { body: true }), '{}']), 'ops[1].body', 'absent'],
  'a delete with a codec': [frame([...good, remove('2', 'b', { codec: 'full' })]), 'ops[1].codec', 'absent'],
  'a bare ifMatch': [frame([...good, update('2', 'b', { ifMatch: '4' }), '{}']), 'ops[1].ifMatch', 'quoted'],
  'an ifMatch that is no text': [frame([...good, update('2', 'b', { ifMatch: 4 }), '{}']), 'ops[1].ifMatch', 'quoted'],
  'after an unknown op': [frame([...good, update('2', 'good', { after: 'nobody' }), '{}']), 'ops[1].after', 'earlier operation'],
  'after a later op': [frame([...good, update('2', 'good', { after: '3' }), '{}', update('3', 'good'), '{}']), 'ops[1].after', 'earlier operation'],
  'after itself': [frame([...good, update('2', 'good', { after: '2' }), '{}']), 'ops[1].after', 'earlier operation'],
  'after an op on another entity': [frame([...good, update('2', 'b', { after: 'g' }), '{}']), 'ops[1].after', 'same entity'],
  'after and ifMatch': [frame([...good, update('2', 'good', { after: 'g', ifMatch: '"1"' }), '{}']), 'ops[1].after', 'instead of'],
  'a group in two places': [frame([create('1', 'a', { group: 'g' }), '{}', ...good, create('2', 'b', { group: 'g' }), '{}']), 'ops[2].group', 'consecutive'],
  'a group that is no text': [frame([...good, create('2', 'b', { group: 1 }), '{}']), 'ops[1].group', 'printable'],
};

test('a frame that is not of the protocol is refused as a whole, naming the field, and nothing of it is applied', async (t) => {
  const { batch, file } = await startServer(t);
  for (const [name, [body, field, detail]] of Object.entries(HOSTILE)) {
    const answer = await batch(null, { body });
    assert.deepEqual([answer.status, answer.problem?.type, answer.problem?.field], [400, 'urn:tidegate:bad-request', field], `${name}: ${answer.text}`);
    assert.ok(answer.problem.detail.includes(detail), `${name}: ${answer.problem.detail}`);
    assert.ok(answer.problem.detail.length < 400, `${name}: ${answer.problem.detail}`);
  }
  assert.equal(effects(file).length, 0);
  assert.deepEqual(statuses(await batch(good)), [201]);
});

test('every cut of a frame is refused as a whole, except after a whole op', async (t) => {
  const { batch, file } = await startServer(t);
  const whole = asText([create('1', 'a'), '{"title":"é"}', remove('2', 'b')]);
  const applied = [];
  for (let length = 0; length < whole.length; length += 1) {
    const { status } = await batch(null, { body: whole.subarray(0, length) });
    if (status === 200) applied.push(whole.subarray(0, length).toString().split('\n').length - 1);
    else assert.equal(status, 400);
  }
  // After the head alone, and after the first op with its body.
  assert.deepEqual(applied, [1, 3]);
  assert.equal(effects(file).length, 1);
});

test('too many ops and too many bytes are 413 with the limit, also when gzip hides them', async (t) => {
  const { batch, file } = await startServer(t, { limits: { maxBatchOps: 3, maxBatchBytes: 1000, closeGraceMs: 50 } });
  const three = [1, 2, 3].map((n) => remove(String(n), 'a'));
  assert.deepEqual(statuses(await batch(three)), [404, 404, 404]);
  const many = await batch([...three, remove('4', 'a')]);
  assert.deepEqual([many.status, many.problem.type, many.problem.limit], [413, 'urn:tidegate:too-large', 3]);
  const large = frame([create('1', 'a'), JSON.stringify('x'.repeat(1000))]);
  for (const headers of [{ body: large }, { body: gzipSync(large), 'content-encoding': 'gzip' }, { body: gzipSync(Buffer.alloc(100 << 20)), 'content-encoding': 'gzip' }]) {
    const answer = await batch(null, headers);
    assert.deepEqual([answer.status, answer.problem.type, answer.problem.limit], [413, 'urn:tidegate:too-large', 1000]);
  }
  assert.equal(effects(file).length, 0);
});

test('a batch of another type or encoding is 415', async (t) => {
  const { batch } = await startServer(t);
  for (const headers of [{ 'content-type': 'application/json' }, { 'content-type': '' }, { 'content-encoding': 'br' }]) {
    const answer = await batch(good, headers);
    assert.deepEqual([answer.status, answer.problem.type], [415, 'urn:tidegate:unsupported']);
  }
  assert.equal((await batch(good, { 'content-type': 'application/x-ndjson; charset=utf-8' })).status, 200);
});

test('the database failing in the middle of a batch fails the request, and nothing of it is applied', async (t) => {
  const { batch, file } = await startServer(t, {
    log: () => {},
    wrap: (store) => ({
      read: (...a) => store.read(...a), changes: (...a) => store.changes(...a), purge: (...a) => store.purge(...a), close: () => store.close(),
      apply: (units, options) => store.apply(units, { ...options, decide: (op, known) => {
        const decision = options.decide(op, known);
        return op.id === 'bad' ? { ...decision, effect: { ...decision.effect, contentType: null } } : decision;
      } }),
    }),
  });
  const answer = await batch([...good, create('bad', 'b'), '{}']);
  assert.deepEqual([answer.status, answer.problem.type], [500, 'urn:tidegate:internal']);
  assert.equal(effects(file).length, 0);
  assert.deepEqual(rowsOf(file, 'SELECT key FROM keys'), []);
});
