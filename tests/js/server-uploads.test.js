// Large bodies in pieces: tus 1.0.0 against a real server with a real SQLite file.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { createServer, openSqliteStore } from '../../server/index.js';
import { client, rowsOf, startServer, temporaryDirectory } from './server-harness.js';

const kTus = { 'tus-resumable': '1.0.0' };
const kPiece = { ...kTus, 'content-type': 'application/offset+octet-stream' };
const base64 = (text) => Buffer.from(text).toString('base64');
const about = ({ entity = 'MEDIA', entityId = 'film', filetype = 'video/mp4' } = {}) => `entity ${base64(entity)},entityId ${base64(entityId)},filetype ${base64(filetype)}`;

/** Begins an upload; gives its path below the API. */
async function begin(server, length, { key = 'k', metadata = about(), ...headers } = {}) {
  const answer = await server.send('POST', '/uploads', { ...kTus, 'idempotency-key': `"${key}"`, 'upload-length': String(length), 'upload-metadata': metadata, 'if-none-match': '*', ...headers });
  return { ...answer, path: answer.headers.get('location')?.replace('/api/v1', '') };
}
const append = (server, path, offset, body, headers = {}) => server.send('PATCH', path, { ...kPiece, 'upload-offset': String(offset), 'if-none-match': '*', body, ...headers });
const offsetOf = ({ headers }) => Number(headers.get('upload-offset'));

test('a blob in three chunks becomes one version: 201, 204, 204, 204 with its ETag, one effect, the same bytes, and one line of changes', async (t) => {
  const server = await startServer(t);
  const bytes = randomBytes(700_000);
  const { status, path, headers } = await begin(server, bytes.length);
  assert.deepEqual([status, headers.get('upload-offset'), headers.get('tus-resumable')], [201, '0', '1.0.0']);
  assert.ok(Date.parse(headers.get('upload-expires')) > Date.now());
  for (const [from, to] of [[0, 300_000], [300_000, 300_001]]) {
    const answer = await append(server, path, from, bytes.subarray(from, to));
    assert.deepEqual([answer.status, offsetOf(answer), answer.etag], [204, to, null]);
    const asked = await server.send('HEAD', path, kTus);
    assert.deepEqual([asked.status, offsetOf(asked), asked.headers.get('upload-length'), asked.headers.get('cache-control')], [200, to, '700000', 'no-store']);
    assert.equal((await server.get('MEDIA/film')).status, 404, 'nothing is there before its last byte');
  }
  const last = await append(server, path, 300_001, bytes.subarray(300_001));
  assert.deepEqual([last.status, offsetOf(last)], [204, bytes.length]);
  const got = await server.get('MEDIA/film');
  assert.deepEqual([got.status, got.headers.get('content-type'), got.headers.get('content-length'), got.etag], [200, 'video/mp4', '700000', last.etag]);
  assert.ok(got.bytes.equals(bytes));
  const [effect, ...others] = rowsOf(server.file, 'SELECT * FROM effects');
  assert.deepEqual([effect.key, effect.action, effect.sha256, others], ['k', 'create', createHash('sha256').update(bytes).digest('hex'), []]);
  const { changes } = await server.changes();
  assert.deepEqual(changes, [{ entity: 'MEDIA', entityId: 'film', etag: last.etag, key: 'k', contentType: 'video/mp4' }]);
});

test('asked again after its end, an upload answers what it left: the last PATCH, an empty one, HEAD and POST under its key', async (t) => {
  const server = await startServer(t);
  const { path } = await begin(server, 3);
  const { etag } = await append(server, path, 0, 'abc');
  const empty = await append(server, path, 3, '');
  assert.deepEqual([empty.status, empty.etag, offsetOf(empty)], [204, etag, 3]);
  const head = await server.send('HEAD', path, kTus);
  assert.deepEqual([head.status, head.etag, offsetOf(head)], [200, etag, 3]);
  const again = await begin(server, 3);
  assert.deepEqual([again.status, again.path, again.etag, offsetOf(again)], [201, path, etag, 3]);
  assert.equal(rowsOf(server.file, 'SELECT * FROM effects').length, 1);
});

test('one key, one upload: POST again gives the same address and where it is; with another entity, type or length it is 422', async (t) => {
  const server = await startServer(t);
  const { path } = await begin(server, 10);
  await append(server, path, 0, 'abcd');
  const again = await begin(server, 10);
  assert.deepEqual([again.path, offsetOf(again)], [path, 4]);
  for (const other of [begin(server, 11), begin(server, 10, { metadata: about({ entityId: 'b' }) }), begin(server, 10, { metadata: about({ filetype: 'image/png' }) })]) {
    const { status, problem } = await other;
    assert.deepEqual([status, problem.type], [422, 'urn:tidegate:key-reused']);
  }
});

test('a precondition that cannot hold refuses the POST; one that fails only at the end is 412 with the ETag, and an empty PATCH with the right one ends it', async (t) => {
  const server = await startServer(t);
  const etag = await server.create('MEDIA/film', '{}');
  const refused = await begin(server, 5);
  assert.deepEqual([refused.status, refused.problem.type, refused.etag], [412, 'urn:tidegate:precondition-failed', etag]);
  assert.equal((await begin(server, 5, { 'if-none-match': undefined })).status, 400, 'a header that fetch writes as a word');
  const { path, status } = await begin(server, 5, { 'if-none-match': '"none"', 'if-match': etag });
  assert.equal(status, 201);
  const other = await server.put('MEDIA/film', { 'if-match': etag, 'content-type': 'text/plain', body: 'other' });
  const late = await append(server, path, 0, 'abcde', { 'if-none-match': '"none"', 'if-match': etag });
  assert.deepEqual([late.status, late.problem.type, late.etag], [412, 'urn:tidegate:precondition-failed', other.etag]);
  assert.equal((await server.get('MEDIA/film')).text, 'other');
  const head = await server.send('HEAD', path, kTus);
  assert.deepEqual([offsetOf(head), head.etag], [5, null], 'all bytes are there, and no effect');
  const ended = await append(server, path, 5, '', { 'if-none-match': '"none"', 'if-match': other.etag });
  assert.equal(ended.status, 204);
  assert.equal((await server.get('MEDIA/film')).text, 'abcde');
});

test('what is not tus 1.0.0, or not right, is refused by name and changes nothing', async (t) => {
  const server = await startServer(t, { limits: { maxUploadBytes: 100, closeGraceMs: 50 } });
  const { path } = await begin(server, 10);
  await append(server, path, 0, 'abc');
  const cases = [
    [412, 'tus-version', () => server.send('DELETE', path)], [412, 'tus-version', () => server.send('PATCH', path, { ...kPiece, 'tus-resumable': '0.2.2', 'upload-offset': '3', body: 'x' })],
    [409, 'offset', () => append(server, path, 2, 'c')], [409, 'offset', () => append(server, path, 4, 'e')],
    [400, 'bad-request', () => append(server, path, 'x', 'c')], [400, 'bad-request', () => append(server, path, '', 'c')], [400, 'bad-request', () => append(server, path, '-1', 'c')],
    [415, 'unsupported', () => append(server, path, 3, 'd', { 'content-type': 'text/plain' })], [415, 'unsupported', () => append(server, path, 3, 'd', { 'content-encoding': 'gzip' })],
    [413, 'too-large', () => append(server, path, 3, 'defghijkl')], [404, 'not-found', () => append(server, '/uploads/none', 0, 'a')],
    [413, 'too-large', () => begin(server, 101, { key: 'l' })], [400, 'bad-request', () => begin(server, 'many', { key: 'l' })], [400, 'bad-request', () => begin(server, 5, { key: 'l', metadata: '' })],
    [400, 'bad-request', () => begin(server, 5, { key: 'l', metadata: about({ entity: '1' }) })], [400, 'bad-request', () => begin(server, 5, { key: 'l', metadata: about({ filetype: 'a\nb: c' }) })],
    [415, 'unsupported', () => begin(server, 5, { key: 'l', metadata: about({ filetype: 'application/json' }) })],
    [400, 'bad-request', () => server.send('POST', '/uploads', { ...kTus, 'upload-length': '5', 'upload-metadata': about() })],
  ];
  for (const [status, type, ask] of cases) {
    const answer = await ask();
    assert.equal(answer.status, status, `${ask}: ${answer.text}`);
    if (answer.problem) assert.equal(answer.problem.type, `urn:tidegate:${type}`, String(ask));
  }
  assert.equal((await server.send('HEAD', '/uploads/none', kTus)).status, 404);
  assert.equal(offsetOf(await server.send('HEAD', path, kTus)), 3);
  assert.equal(rowsOf(server.file, 'SELECT * FROM uploads').length, 1);
  const options = await server.send('OPTIONS', '/uploads');
  assert.deepEqual([options.status, ...['tus-version', 'tus-extension', 'tus-max-size'].map((name) => options.headers.get(name))], [204, '1.0.0', 'creation,expiration,termination', '100']);
});

/** Sends the head of a PATCH and `bytes` of its body; gives the request, not ended. */
function halfPatch(server, path, offset, length, bytes) {
  const sent = request(`${server.api}${path}`, { method: 'PATCH', headers: { ...kPiece, 'upload-offset': offset, 'content-length': length } });
  sent.on('error', () => {});
  sent.write(bytes);
  return sent;
}

test('a connection that is cut in the middle of a chunk keeps what came, and while it lasts another PATCH is 423', async (t) => {
  const server = await startServer(t);
  const bytes = randomBytes(900_000);
  const { path } = await begin(server, bytes.length);
  const sent = halfPatch(server, path, 0, bytes.length, bytes.subarray(0, 600_000));
  const at = async () => offsetOf(await server.send('HEAD', path, kTus));
  while ((await at()) < 512 * 1024) await new Promise(setImmediate);
  assert.equal((await append(server, path, await at(), 'x')).status, 423);
  sent.destroy();
  while ((await at()) < 600_000) await new Promise(setImmediate);
  for (let status = 423; status === 423;) ({ status } = await append(server, path, 600_000, bytes.subarray(600_000)));
  assert.ok((await server.get('MEDIA/film')).bytes.equals(bytes));
});

test('DELETE takes an unfinished upload away, and no other; its address is gone and its key begins anew', async (t) => {
  const server = await startServer(t);
  const { path } = await begin(server, 4);
  await append(server, path, 0, 'ab');
  assert.equal((await server.send('DELETE', path, kTus)).status, 204);
  assert.equal((await server.send('HEAD', path, kTus)).status, 404);
  assert.equal(rowsOf(server.file, 'SELECT * FROM pieces').length, 0);
  const again = await begin(server, 4);
  assert.notEqual(again.path, path);
  await append(server, again.path, 0, 'abcd');
  assert.equal((await server.send('DELETE', again.path, kTus)).status, 404);
  assert.equal((await server.get('MEDIA/film')).text, 'abcd');
});

test('the pieces of a document go when it is written over, deleted, or uploaded anew; a patch of one is 415', async (t) => {
  const server = await startServer(t);
  const pieces = () => rowsOf(server.file, 'SELECT sum(length(bytes)) AS n FROM pieces')[0].n ?? 0;
  const first = await begin(server, 4, { key: 'a' });
  const { etag } = await append(server, first.path, 0, 'abcd');
  const patch = await server.patch('MEDIA/film', { 'if-match': etag, 'content-type': 'application/vcdiff', body: 'x' });
  assert.deepEqual([patch.status, patch.problem.type], [415, 'urn:tidegate:unsupported']);
  const over = { 'if-match': etag, 'if-none-match': '"none"' };
  const second = await begin(server, 6, { key: 'b', ...over });
  const next = await append(server, second.path, 0, 'efghij', over);
  assert.deepEqual([next.status, (await server.get('MEDIA/film')).text, pieces()], [204, 'efghij', 6]);
  const written = await server.put('MEDIA/film', { 'if-match': next.etag, 'content-type': 'text/plain', body: 'short' });
  assert.deepEqual([written.status, (await server.get('MEDIA/film')).text, pieces()], [200, 'short', 0]);
  const third = await begin(server, 3, { key: 'c', 'if-none-match': '"none"', 'if-match': written.etag });
  const { etag: last } = await append(server, third.path, 0, 'xyz', { 'if-none-match': '"none"', 'if-match': written.etag });
  assert.equal((await server.remove('MEDIA/film', { 'if-match': last })).status, 204);
  assert.deepEqual([(await server.get('MEDIA/film')).status, pieces()], [410, 0]);
});

test('an upload survives the server: another process on the same file goes on where it was', async (t) => {
  const file = join(temporaryDirectory(t), 'server.db');
  const open = async () => createServer({ limits: { closeGraceMs: 50 }, store: await openSqliteStore({ file }) });
  const one = await open();
  const { path } = await begin(client(one.url), 6);
  await append(client(one.url), path, 0, 'abc');
  await one.close();
  const two = await open();
  t.after(() => two.close());
  const server = client(two.url);
  assert.equal(offsetOf(await server.send('HEAD', path, kTus)), 3);
  await append(server, path, 3, 'def');
  assert.equal((await server.get('MEDIA/film')).text, 'abcdef');
});

test('an unfinished upload to which nothing is added goes after uploadRetentionMs; one that became a document stays with it; too many at once are 429', async (t) => {
  let nowMs = Date.now();
  const server = await startServer(t, { clock: () => nowMs, limits: { purgeEveryMs: 5, uploadRetentionMs: 1000, maxUnfinishedUploads: 2, closeGraceMs: 50 } });
  const done = await begin(server, 2, { key: 'done', metadata: about({ entityId: 'done' }) });
  await append(server, done.path, 0, 'ok');
  const { path } = await begin(server, 6, { key: 'a' });
  await begin(server, 6, { key: 'b', metadata: about({ entityId: 'b' }) });
  const refused = await begin(server, 6, { key: 'c', metadata: about({ entityId: 'c' }) });
  assert.deepEqual([refused.status, refused.headers.get('retry-after')], [429, '60']);
  nowMs += 900;
  await append(server, path, 0, 'abc');
  nowMs += 900;
  const left = () => rowsOf(server.file, 'SELECT key FROM uploads ORDER BY key').map(({ key }) => key).join();
  while (left() !== 'a,done') await new Promise(setImmediate);
  nowMs += 1100;
  while (left() !== 'done') await new Promise(setImmediate);
  assert.equal((await server.send('HEAD', path, kTus)).status, 404);
  nowMs += 40 * 24 * 3600 * 1000;
  for (let requests = server.server.stats().requests + 20; server.server.stats().requests < requests;) assert.equal((await server.get('MEDIA/done')).text, 'ok');
  assert.equal(left(), 'done');
});
