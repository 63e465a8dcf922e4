// docs/protocol.md, "Plain REST mode", "Idempotency" and "Problems", row by row.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { encodeDelta } from '../../wasm/delta.js';
import { client, rowsOf, startServer } from './server-harness.js';

const JSON_TYPE = { 'content-type': 'application/json' };
const MERGE = { 'content-type': 'application/merge-patch+json' };
const VCDIFF = { 'content-type': 'application/vcdiff' };
const JSON_PATCH = { 'content-type': 'application/json-patch+json' };

/** The answer is a problem document of this kind, and tells the truth about its status. */
function isProblem(answer, kind, status, field) {
  assert.equal(answer.headers.get('content-type'), 'application/problem+json', answer.text);
  assert.deepEqual([answer.problem.type, answer.problem.status, answer.status], [`urn:tidegate:${kind}`, status, status], answer.text);
  assert.equal(typeof answer.problem.title, 'string');
  if (field !== undefined) assert.equal(answer.problem.field, field);
}
const effects = (file) => rowsOf(file, 'SELECT count(*) AS n FROM effects')[0].n;

test('PUT creates with 201, replaces with 200, and GET gives the exact bytes and type back', async (t) => {
  const { put, get } = await startServer(t);
  const body = '{"n" : 9007199254740993,\r\n "x": 1.0, "x":2}';
  const created = await put('A/a', { 'if-none-match': '*', ...JSON_TYPE, body });
  assert.deepEqual([created.status, created.text], [201, '']);
  assert.match(created.etag, /^"[!#-~]+"$/);
  const got = await get('A/a');
  assert.deepEqual([got.status, got.text, got.etag, got.headers.get('content-type')], [200, body, created.etag, 'application/json']);

  const replaced = await put('A/a', { 'if-match': created.etag, 'content-type': 'image/png', body: Buffer.from([137, 80, 0, 255]) });
  assert.equal(replaced.status, 200);
  assert.notEqual(replaced.etag, created.etag);
  const image = await get('A/a');
  assert.deepEqual([[...image.bytes], image.headers.get('content-type')], [[137, 80, 0, 255], 'image/png']);
});

test('a stored document cannot run in the app\'s origin', async (t) => {
  const { put, get } = await startServer(t);
  await put('A/a', { 'content-type': 'text/html', body: '<script>alert(1)</script>' });
  const { headers } = await get('A/a');
  assert.equal(headers.get('x-content-type-options'), 'nosniff');
  assert.equal(headers.get('content-security-policy'), "default-src 'none'; sandbox");
  assert.equal(headers.get('cache-control'), 'no-store');
});

test('a GET that names the current version is answered 304', async (t) => {
  const { create, get } = await startServer(t);
  const etag = await create('A/a');
  for (const known of [etag, `"x", ${etag}`, `W/${etag}`, '*']) assert.equal((await get('A/a', { 'if-none-match': known })).status, 304, known);
  assert.equal((await get('A/a', { 'if-none-match': '"x"' })).status, 200);
});

test('PATCH applies merge patches and JSON patches to the stored text', async (t) => {
  const { create, patch, get } = await startServer(t);
  const etag = await create('A/a', '{"n":9007199254740993,"list":[1]}');
  const merged = await patch('A/a', { 'if-match': etag, ...MERGE, body: '{"title":"t","list":null}' });
  assert.equal(merged.status, 200);
  assert.equal((await get('A/a')).text, '{"n":9007199254740993,"title":"t"}');
  const patched = await patch('A/a', { 'if-match': merged.etag, ...JSON_PATCH, body: '[{"op":"add","path":"/m","value":1e400}]' });
  assert.equal(patched.status, 200);
  assert.equal((await get('A/a')).text, '{"n":9007199254740993,"title":"t","m":1e400}');
});

test('DELETE leaves a tombstone with an ETag: 204, then 410, and create goes over it', async (t) => {
  const { create, remove, get, put } = await startServer(t);
  const etag = await create('A/a');
  const removed = await remove('A/a', { 'if-match': etag });
  assert.deepEqual([removed.status, removed.text], [204, '']);
  assert.notEqual(removed.etag, etag);
  const gone = await get('A/a');
  isProblem(gone, 'gone', 410);
  assert.equal(gone.etag, removed.etag);
  assert.equal((await put('A/a', { 'if-none-match': '*', body: 'x' })).status, 201);
});

test('GET of an entity never seen is 404', async (t) => {
  const { get } = await startServer(t);
  isProblem(await get('A/nobody'), 'not-found', 404);
});

// Every write × every precondition × every state of the entity: what the protocol page says. E: exists, D: deleted, N: never seen.
const PRECONDITIONS = { none: {}, current: 'current', stale: { 'if-match': '"stale"' }, star: { 'if-match': '*' }, weak: 'weak', absent: { 'if-none-match': '*' } };
const EXPECTED = {
  PUT: {
    E: { none: 428, current: 200, stale: 412, star: 200, weak: 412, absent: 412 },
    D: { none: 201, current: 201, stale: 412, star: 412, weak: 412, absent: 201 },
    N: { none: 201, current: 412, stale: 412, star: 412, weak: 412, absent: 201 },
  },
  PATCH: {
    E: { none: 428, current: 200, stale: 412, star: 200, weak: 412, absent: 412 },
    D: { none: 410, current: 410, stale: 410, star: 410, weak: 410, absent: 410 },
    N: { none: 404, current: 404, stale: 404, star: 404, weak: 404, absent: 404 },
  },
  DELETE: {
    E: { none: 428, current: 204, stale: 412, star: 204, weak: 412, absent: 412 },
    D: { none: 410, current: 410, stale: 410, star: 410, weak: 410, absent: 410 },
    N: { none: 404, current: 404, stale: 404, star: 404, weak: 404, absent: 404 },
  },
};
const KINDS = { 404: 'not-found', 410: 'gone', 412: 'precondition-failed', 428: 'precondition-required' };

test('each write meets each precondition and state as the protocol page says; refused ones change nothing', async (t) => {
  const { put, remove, send, get, file } = await startServer(t);
  let n = 0;
  for (const [method, states] of Object.entries(EXPECTED)) {
    for (const [state, row] of Object.entries(states)) {
      for (const [name, status] of Object.entries(row)) {
        const path = `A/e${n += 1}`;
        let current;
        if (state !== 'N') ({ etag: current } = await put(path, { ...JSON_TYPE, body: '{}' }));
        if (state === 'D') ({ etag: current } = await remove(path, { 'if-match': current }));
        const before = effects(file);
        const precondition = PRECONDITIONS[name] === 'current' ? { 'if-match': current ?? '"none"' }
          : PRECONDITIONS[name] === 'weak' ? { 'if-match': `W/${current ?? '"none"'}` } : PRECONDITIONS[name];
        const body = method === 'DELETE' ? {} : { ...(method === 'PUT' ? JSON_TYPE : MERGE), body: '{"a":1}' };
        const answer = await send(method, `/entities/${path}`, { 'idempotency-key': `"op-${n}"`, ...precondition, ...body });
        const what = `${method} of ${state} with ${name}`;
        assert.equal(answer.status, status, what);
        if (status >= 400) {
          isProblem(answer, KINDS[status], status);
          assert.equal(answer.etag, current ?? null, what);
          assert.equal(effects(file), before, what);
          assert.equal((await get(path)).etag, current ?? null, what);
        } else {
          assert.equal(effects(file), before + 1, what);
        }
      }
    }
  }
  assert.equal(n, 54);
});

test('a repeated request gets the stored answer and has no second effect, whatever its precondition, compression or line breaks', async (t) => {
  const { put, patch, remove, send, file } = await startServer(t);
  const created = await put('A/a', { key: 'k1', 'if-none-match': '*', ...JSON_TYPE, body: '{"a":\r\n1}' });
  const patched = await patch('A/a', { key: 'k2', 'if-match': created.etag, ...MERGE, body: '{"b":2}' });
  const removed = await remove('A/a', { key: 'k3', 'if-match': patched.etag });
  const before = effects(file);
  const put1 = (more) => put('A/a', { key: 'k1', ...JSON_TYPE, body: '{"a":\r\n1}', ...more });
  for (const answer of [
    await put1({ 'if-none-match': '*' }), await put1({}), await put1({ 'if-match': '"other"' }),
    await put1({ 'content-encoding': 'gzip', body: gzipSync('{"a":\r\n1}') }), await put1({ body: '{"a":  1}' }),
    await put1({ 'content-type': 'Application/JSON; charset=utf-8' }),
  ]) assert.deepEqual([answer.status, answer.etag], [201, created.etag]);
  const again = await patch('A/a', { key: 'k2', ...MERGE, body: '{"b":2}' });
  assert.deepEqual([again.status, again.etag], [200, patched.etag]);
  const gone = await remove('A/a', { key: 'k3' });
  assert.deepEqual([gone.status, gone.etag], [204, removed.etag]);
  // The same ops over the batch have the same keys and fingerprints.
  const { text } = await send('POST', '/batch', { 'content-type': 'application/x-ndjson', body: [
    '{"protocol":1}', '{"id":"k1","action":"create","entity":"A","entityId":"a","codec":"full","body":true}', '{"a":  1}',
    '{"id":"k3","action":"delete","entity":"A","entityId":"a"}', ''].join('\n') });
  assert.deepEqual(text.split('\n').slice(1, 3).map((line) => JSON.parse(line).etag), [created.etag, removed.etag]);
  assert.equal(effects(file), before);
});

test('a key with another action, entity, codec, type or body is refused with 422 key-reused', async (t) => {
  const { put, patch, remove, file } = await startServer(t);
  const { etag } = await put('A/a', { key: 'k', 'if-none-match': '*', ...JSON_TYPE, body: '{"a":1}' });
  const reuse = { key: 'k', 'if-match': etag };
  for (const answer of [
    await put('A/a', { ...reuse, ...JSON_TYPE, body: '{"a":2}' }),
    await put('A/b', { ...reuse, ...JSON_TYPE, body: '{"a":1}' }),
    await put('B/a', { ...reuse, ...JSON_TYPE, body: '{"a":1}' }),
    await put('A/a', { ...reuse, 'content-type': 'text/plain', body: '{"a":1}' }),
    await patch('A/a', { ...reuse, ...MERGE, body: '{"a":1}' }),
    await patch('A/a', { ...reuse, ...JSON_PATCH, body: '[]' }),
    await remove('A/a', reuse),
  ]) isProblem(answer, 'key-reused', 422);
  assert.equal(effects(file), 1);
});

test('line breaks in a body that is not JSON do count', async (t) => {
  const { put } = await startServer(t);
  await put('A/a', { key: 'k', 'content-type': 'text/plain', body: 'a\nb' });
  isProblem(await put('A/a', { key: 'k', 'content-type': 'text/plain', body: 'a b' }), 'key-reused', 422);
});

test('a key is bound only by success: after 412, 428, 404, 415 and 422 it is free', async (t) => {
  const { create, put, patch } = await startServer(t);
  const etag = await create('A/a');
  const attempt = (more) => patch('A/a', { key: 'k', ...MERGE, body: '{"a":1}', ...more });
  assert.equal((await attempt({ 'if-match': '"stale"' })).status, 412);
  assert.equal((await attempt({})).status, 428);
  assert.equal((await attempt({ 'content-type': 'text/plain' })).status, 415);
  assert.equal((await attempt({ 'if-match': etag, body: '{' })).status, 422);
  assert.equal((await patch('A/none', { key: 'k', ...MERGE, body: '{"a":1}' })).status, 404);
  assert.equal((await put('A/new', { key: 'k', body: 'anything' })).status, 201);
});

test('the same key is answered 409 in-progress while the first request is still running, by REST and by batch', async (t) => {
  let release;
  const held = new Promise((resolve) => { release = resolve; });
  let entered;
  const running = new Promise((resolve) => { entered = resolve; });
  let hold = true;
  const { put, batch, file } = await startServer(t, {
    wrap: (store) => Object.assign(Object.create(store), {
      read: store.read.bind(store), changes: store.changes.bind(store), purge: store.purge.bind(store), close: store.close.bind(store),
      apply: async (...args) => {
        if (hold) {
          hold = false;
          entered();
          await held;
        }
        return store.apply(...args);
      },
    }),
  });
  const first = put('A/a', { key: 'k', body: 'x' });
  await running;
  isProblem(await put('A/a', { key: 'k', body: 'x' }), 'in-progress', 409);
  const { results } = await batch([
    { id: 'k', action: 'delete', entity: 'A', entityId: 'a' }, { id: 'other', action: 'create', entity: 'A', entityId: 'b', codec: 'full', body: true }, '{}',
    { id: 'dependent', action: 'delete', entity: 'A', entityId: 'a', after: 'k' },
  ]);
  assert.deepEqual(results.map(({ status }) => status), [409, 201, 424]);
  assert.equal(results[0].problem.type, 'urn:tidegate:in-progress');
  release();
  const { status, etag } = await first;
  assert.equal(status, 201);
  const again = await put('A/a', { key: 'k', body: 'x' });
  assert.deepEqual([again.status, again.etag], [201, etag]);
  assert.equal(effects(file), 2);
});

test('a key whose request failed inside the server is not left in progress', async (t) => {
  let fail = true;
  const errors = [];
  const { put } = await startServer(t, {
    log: (_, error) => errors.push(error.message),
    wrap: (store) => ({
      read: (...a) => store.read(...a), changes: (...a) => store.changes(...a), purge: (...a) => store.purge(...a), close: () => store.close(),
      apply: async (...args) => {
        if (fail) throw new Error('the disk is full');
        return store.apply(...args);
      },
    }),
  });
  const failed = await put('A/a', { key: 'k', body: 'x' });
  isProblem(failed, 'internal', 500);
  assert.ok(!failed.text.includes('disk'), 'the problem tells nothing of the inside');
  assert.deepEqual(errors, ['the disk is full']);
  fail = false;
  assert.equal((await put('A/a', { key: 'k', body: 'x' })).status, 201);
});

test('Idempotency-Key must be a quoted string of printable ASCII', async (t) => {
  const { send, file } = await startServer(t);
  const attempt = (key) => send('PUT', '/entities/A/a', { ...(key === undefined ? {} : { 'idempotency-key': key }), body: 'x' });
  for (const bad of [undefined, 'bare', '""', '"open', '"a" "b"', '"\\x"', `"${'k'.repeat(256)}"`, '"é"']) isProblem(await attempt(bad), 'bad-request', 400, 'Idempotency-Key');
  assert.equal(effects(file), 0);
  assert.equal((await attempt('"a \\"b\\" \\\\c"')).status, 201);
  assert.equal(rowsOf(file, 'SELECT key FROM keys')[0].key, 'a "b" \\c');
});

test('entity names and ids outside the grammar are refused by name', async (t) => {
  const { put, get, file } = await startServer(t);
  for (const name of ['1A', '_A', 'A b', 'A'.repeat(65), 'Ä', '__proto__']) isProblem(await put(`${encodeURIComponent(name)}/a`, { body: 'x' }), 'bad-request', 400, 'entity');
  for (const id of ['a/b', 'a\u0000', '\u007f', 'x'.repeat(129), '\u0085']) isProblem(await put(`A/${encodeURIComponent(id)}`, { body: 'x' }), 'bad-request', 400, 'entityId');
  for (const path of ['A/%zz', 'A/%ff']) isProblem(await put(path, { body: 'x' }), 'bad-request', 400);
  assert.equal(effects(file), 0);
  for (const id of ['x'.repeat(128), '😀'.repeat(128), 'a b%c?d#e', '...', '__proto__', "'; DROP TABLE documents; --"]) {
    assert.equal((await put(`A/${encodeURIComponent(id)}`, { body: id })).status, 201, id);
    assert.equal((await get(`A/${encodeURIComponent(id)}`)).text, id);
  }
});

test('preconditions that are no entity-tags are refused by name', async (t) => {
  const { create, put } = await startServer(t);
  const etag = await create('A/a');
  for (const bad of ['4', '"a" "b"', '"a', 'w/"a"', '"a",', '*, "a"', '']) {
    isProblem(await put('A/a', { 'if-match': bad, body: 'x' }), 'bad-request', 400, 'If-Match');
    isProblem(await put('A/a', { 'if-none-match': bad, body: 'x' }), 'bad-request', 400, 'If-None-Match');
  }
  assert.equal((await put('A/a', { 'if-match': `"x" , W/"y",${etag}`, body: 'x' })).status, 200);
});

test('a PATCH of another type is 415, of a document that is not JSON too', async (t) => {
  const { create, put, patch } = await startServer(t);
  const etag = await create('A/a');
  for (const type of ['application/json', 'text/plain', 'application/xml-patch+xml']) {
    isProblem(await patch('A/a', { 'if-match': etag, 'content-type': type, body: '{}' }), 'unsupported', 415, 'Content-Type');
  }
  const image = await put('A/i', { 'content-type': 'image/png', body: 'x' });
  isProblem(await patch('A/i', { 'if-match': image.etag, ...MERGE, body: '{}' }), 'unsupported', 415);
});

test('a VCDIFF delta makes the new blob of the version it names, once per key', async (t) => {
  const { put, patch, get, file } = await startServer(t);
  const base = randomBytes(50_000), next = Buffer.concat([base.subarray(0, 20_000), Buffer.from('new\r\nbytes'), base.subarray(20_100)]);
  const { etag } = await put('MEDIA/p', { 'content-type': 'image/png', body: base });
  const delta = encodeDelta(base, next);
  assert.ok(delta.length < 200);
  const request = { key: 'edit', 'if-match': etag, ...VCDIFF, body: delta };
  const patched = await patch('MEDIA/p', request);
  assert.deepEqual([patched.status, patched.text], [200, '']);
  const got = await get('MEDIA/p');
  assert.ok(got.bytes.equals(next));
  assert.deepEqual([got.etag, got.headers.get('content-type')], [patched.etag, 'image/png']);
  const again = await patch('MEDIA/p', request);   // its answer was lost
  assert.deepEqual([again.status, again.etag, effects(file)], [200, patched.etag, 2]);
  isProblem(await patch('MEDIA/p', { ...request, body: encodeDelta(next, base) }), 'key-reused', 422);
  const stale = await patch('MEDIA/p', { 'if-match': etag, ...VCDIFF, body: delta });
  isProblem(stale, 'precondition-failed', 412);
  assert.equal(stale.etag, patched.etag);
  const document = await put('A/a', { ...JSON_TYPE, body: '{"n":1}' });
  assert.equal((await patch('A/a', { 'if-match': document.etag, ...VCDIFF, body: encodeDelta(Buffer.from('{"n":1}'), Buffer.from('{"n":12}')) })).status, 200);
  assert.equal((await get('A/a')).text, '{"n":12}');
});

test('a VCDIFF delta that names no version, does not apply, makes too much or breaks a document is refused and changes nothing', async (t) => {
  const { put, patch, get, file } = await startServer(t, { limits: { maxBodyBytes: 100_000 } });
  const base = randomBytes(2_000), { etag } = await put('MEDIA/p', { 'content-type': 'image/png', body: base });
  const attempt = (body, headers = { 'if-match': etag }) => patch('MEDIA/p', { ...headers, ...VCDIFF, body });
  const good = encodeDelta(base, Buffer.concat([base, Buffer.from('more')]));
  isProblem(await attempt(good, {}), 'precondition-required', 428, 'If-Match');
  isProblem(await attempt(good, { 'if-match': '*' }), 'precondition-required', 428, 'If-Match');
  isProblem(await attempt(good, { 'if-none-match': '"other"' }), 'precondition-required', 428, 'If-Match');
  isProblem(await patch('MEDIA/none', { 'if-match': etag, ...VCDIFF, body: good }), 'not-found', 404);
  for (const bad of [Buffer.alloc(0), Buffer.from('[]'), good.subarray(0, good.length - 1), encodeDelta(randomBytes(3_000), randomBytes(3_000).subarray(0, 10)), encodeDelta(base.subarray(1), base)])
    isProblem(await attempt(bad), 'unprocessable', 422);
  isProblem(await attempt(encodeDelta(base, new Uint8Array(100_001))), 'too-large', 413);
  const { etag: document } = await put('A/a', { ...JSON_TYPE, body: '{"n":1}' });
  isProblem(await patch('A/a', { 'if-match': document, ...VCDIFF, body: encodeDelta(Buffer.from('{"n":1}'), Buffer.from('{"n":1')) }), 'unprocessable', 422);
  assert.ok((await get('MEDIA/p')).bytes.equals(base));
  assert.equal(effects(file), 2);
  assert.equal((await attempt(good)).status, 200);
});

test('JSON that is none, too deep, or not UTF-8 is 422, and so is a patch that does not apply', async (t) => {
  const { create, put, patch, get } = await startServer(t);
  for (const body of ['', '{', '{"a":1,}', 'NaN', '[1] 2', "{'a':1}", '\ufeff{}', Buffer.from([0x22, 0xff, 0x22]), '['.repeat(257) + ']'.repeat(257), '['.repeat(100000)]) {
    isProblem(await put('A/new', { ...JSON_TYPE, body }), 'unprocessable', 422);
  }
  isProblem(await get('A/new'), 'not-found', 404);
  const deep = '['.repeat(256) + ']'.repeat(256);
  const etag = await create('A/deep', deep);
  assert.equal((await get('A/deep')).text, deep);
  for (const body of ['{}', '[{"op":"replace","path":"/nothing/there","value":1}]', '[{"op":"test","path":"","value":1}]', '[{"op":"jump","path":""}]', '[1', '[{"op":"add","path":"/0","value":[0]}]'.replace('[0]', '['.repeat(256) + ']'.repeat(256))]) {
    isProblem(await patch('A/deep', { 'if-match': etag, ...JSON_PATCH, body }), 'unprocessable', 422);
  }
  assert.equal((await get('A/deep')).etag, etag);
});

test('patches to __proto__ change the document and nothing else', async (t) => {
  const { create, patch, get } = await startServer(t);
  const etag = await create('A/a', '{"__proto__":{"a":1}}');
  const { etag: next } = await patch('A/a', { 'if-match': etag, ...JSON_PATCH, body: '[{"op":"add","path":"/__proto__/polluted","value":true}]' });
  await patch('A/a', { 'if-match': next, ...MERGE, body: '{"__proto__":{"more":1},"constructor":{"prototype":{"polluted":true}}}' });
  assert.equal((await get('A/a')).text, '{"__proto__":{"a":1,"polluted":true,"more":1},"constructor":{"prototype":{"polluted":true}}}');
  assert.equal({}.polluted, undefined);
});

test('gzip bodies are taken, bombs and damage are not, other encodings are 415', async (t) => {
  const { put, get } = await startServer(t, { limits: { maxBodyBytes: 10_000, closeGraceMs: 50 } });
  const zipped = (bytes) => ({ 'content-encoding': 'gzip', 'content-type': 'text/plain', body: bytes });
  assert.equal((await put('A/a', zipped(gzipSync('hello')))).status, 201);
  assert.equal((await get('A/a')).text, 'hello');
  assert.equal((await put('A/full', zipped(gzipSync(Buffer.alloc(10_000, 'x'))))).status, 201);
  const bomb = await put('A/b', zipped(gzipSync(Buffer.alloc(50 << 20))));
  isProblem(bomb, 'too-large', 413);
  assert.equal(bomb.problem.limit, 10_000);
  isProblem(await put('A/b', zipped(gzipSync('hello').subarray(0, 12))), 'bad-request', 400, 'Content-Encoding');
  isProblem(await put('A/b', zipped('hello')), 'bad-request', 400, 'Content-Encoding');
  for (const encoding of ['br', 'deflate', 'gzip, gzip']) isProblem(await put('A/b', { 'content-encoding': encoding, body: 'x' }), 'unsupported', 415, 'Content-Encoding');
  isProblem(await get('A/b'), 'not-found', 404);
});

test('a body that gzip cannot shrink may still have the full length', async (t) => {
  const { put, get } = await startServer(t, { limits: { maxBodyBytes: 100_000, closeGraceMs: 50 } });
  let seed = 1;
  const noise = Buffer.from(Array.from({ length: 100_000 }, () => (seed = Math.imul(seed, 48271) >>> 0) >>> 24));
  const zipped = gzipSync(noise, { level: 0 });
  assert.ok(zipped.length > 100_000);
  assert.equal((await put('A/a', { 'content-encoding': 'gzip', body: zipped })).status, 201);
  assert.ok((await get('A/a')).bytes.equals(noise));
});

test('a body over the limit is 413 with the limit, announced or not, and the sender hears it', async (t) => {
  const { put, api } = await startServer(t, { limits: { maxBodyBytes: 1000, closeGraceMs: 50 } });
  assert.equal((await put('A/a', { body: Buffer.alloc(1000) })).status, 201);
  const announced = await put('A/b', { body: Buffer.alloc(3 << 20) });
  isProblem(announced, 'too-large', 413);
  assert.equal(announced.problem.limit, 1000);

  const status = await new Promise((resolve, reject) => {
    const request = httpRequest(`${api}/entities/A/c`, { method: 'PUT', headers: { 'idempotency-key': '"chunked"', 'transfer-encoding': 'chunked' } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on('error', reject);
    for (let n = 0; n < 30; n += 1) request.write(Buffer.alloc(100_000));
    request.end();
  });
  assert.equal(status, 413);
});

test('an upload that goes on and on after its refusal is cut', async (t) => {
  const { api } = await startServer(t, { limits: { maxBodyBytes: 1000, maxDiscardBytes: 100_000, closeGraceMs: 50 } });
  const request = httpRequest(`${api}/entities/A/c`, { method: 'PUT', headers: { 'idempotency-key': '"endless"', 'transfer-encoding': 'chunked' } });
  const cut = new Promise((resolve) => { request.on('close', resolve); });
  request.on('error', () => {});
  const pump = () => { while (!request.destroyed && request.write(Buffer.alloc(65536))); };
  request.on('drain', pump).on('response', (response) => { response.on('error', () => {}).resume(); });
  pump();
  await cut;
});

test('a document a patch makes too large is 413', async (t) => {
  const { create, patch } = await startServer(t, { limits: { maxBodyBytes: 2000, closeGraceMs: 50 } });
  const etag = await create('A/a', JSON.stringify({ a: 'x'.repeat(1500) }));
  const answer = await patch('A/a', { 'if-match': etag, ...JSON_PATCH, body: '[{"op":"copy","from":"/a","path":"/b"}]' });
  isProblem(answer, 'too-large', 413);
});

test('whatever else is asked gets a problem document', async (t) => {
  const { send, url } = await startServer(t);
  isProblem(await send('GET', '/nothing'), 'not-found', 404);
  isProblem(await send('POST', '/entities/A/a', { body: 'x' }), 'not-found', 404);
  isProblem(await send('GET', '/entities/A'), 'not-found', 404);
  isProblem(await send('GET', '/batch'), 'not-found', 404);
  isProblem(await client(url).send('GET', '/../../'), 'not-found', 404);
});

test('what is not HTTP gets a problem document too', async (t) => {
  const { server } = await startServer(t);
  const text = await new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    let read = '';
    socket.on('data', (chunk) => { read += chunk; }).on('end', () => resolve(read)).on('error', reject);
    socket.write('this is not HTTP\r\n\r\n');
  });
  assert.match(text, /^HTTP\/1\.1 400 /);
  assert.equal(JSON.parse(text.split('\r\n\r\n')[1]).type, 'urn:tidegate:bad-request');
});

test('the management paths say that no worker took the request', async (t) => {
  const { send } = await startServer(t);
  for (const [method, path] of [['GET', 'background/status'], ['POST', 'background/start'], ['POST', 'background/pause'], ['POST', 'background/resume'],
    ['GET', 'background/settings'], ['PUT', 'background/settings'], ['GET', 'background/metrics'], ['POST', 'background/connectivity-test'],
    ['POST', 'connectivity-test'], ['GET', 'background']]) {
    isProblem(await send(method, `/sync/${path}`, method === 'PUT' ? { body: '{}', 'content-type': 'application/json' } : {}), 'no-worker', 503);
  }
});

test('over its rate a client is told 429 and when to come back', async (t) => {
  let nowMs = 1_000_000;
  const { get } = await startServer(t, { clock: () => nowMs, rateLimit: { perSecond: 0.5, burst: 2 } });
  const first = await get('A/a');
  assert.deepEqual([first.status, first.headers.get('ratelimit-policy'), first.headers.get('ratelimit')], [404, '"default";q=2;w=4', '"default";r=1;t=0']);
  assert.equal((await get('A/a')).status, 404);
  const refused = await get('A/a');
  isProblem(refused, 'rate-limited', 429);
  assert.equal(refused.headers.get('retry-after'), '2');
  nowMs += 1999;
  assert.equal((await get('A/a')).status, 429);
  nowMs += 1;
  assert.equal((await get('A/a')).status, 404);
});
