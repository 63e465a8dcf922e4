// docs/protocol.md, "Pull".
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rowsOf, startServer } from './server-harness.js';

const DAY_MS = 24 * 3600 * 1000;

test('changes come with their bodies on one line, tombstones and keys, and end with the cursor', async (t) => {
  const { changes, create, put, remove } = await startServer(t);
  const a = await create('A/a', '{\n"n":9007199254740993}');
  const image = await put('A/i', { key: 'image', 'content-type': 'image/png', body: 'x' });
  const geo = await put('A/g', { key: 'geo', 'content-type': 'application/geo+json', body: '{}' });
  const gone = await remove('A/d', { key: 'gone', 'if-match': await create('A/d') });
  const page = await changes();
  assert.equal(page.headers.get('content-type'), 'application/x-ndjson');
  assert.deepEqual(page.changes, [
    { entity: 'A', entityId: 'a', etag: a, key: 'auto-1', body: '{ "n":9007199254740993}' },
    { entity: 'A', entityId: 'i', etag: image.etag, key: 'image', contentType: 'image/png' },
    { entity: 'A', entityId: 'g', etag: geo.etag, key: 'geo', contentType: 'application/geo+json', body: '{}' },
    { entity: 'A', entityId: 'd', etag: gone.etag, deleted: true, key: 'gone' },
  ]);
  assert.equal(page.last.more, false);
  const later = await changes(`?cursor=${encodeURIComponent(page.last.cursor)}`);
  assert.deepEqual([later.changes, later.last], [[], { cursor: page.last.cursor, more: false }]);
});

test('pages follow each other to the end, and `limit` is capped by the server', async (t) => {
  const { changes, create } = await startServer(t, { limits: { maxChangesPage: 3, closeGraceMs: 50 } });
  for (let n = 1; n <= 7; n += 1) await create(`A/${n}`);
  for (const [limit, pages] of [['', ['123', '456', '7']], ['&limit=2', ['12', '34', '56', '7']], ['&limit=999999999', ['123', '456', '7']]]) {
    const seen = [];
    for (let cursor = '', more = true; more;) {
      const page = await changes(`?${cursor}${limit}`);
      seen.push(page.changes.map(({ entityId }) => entityId).join(''));
      more = page.last.more;
      cursor = `cursor=${page.last.cursor}`;
    }
    assert.deepEqual(seen, pages);
  }
});

test('a page stops before it grows over the answer limit', async (t) => {
  const { changes, create } = await startServer(t, { limits: { maxAnswerBytes: 250, closeGraceMs: 50 } });
  for (const id of ['a', 'b', 'c']) await create(`A/${id}`, JSON.stringify('x'.repeat(98)));
  const page = await changes();
  assert.deepEqual([page.changes.length, page.last.more], [2, true]);
});

test('a limit or cursor that is none is refused by name, a cursor of another database is 410', async (t) => {
  const { changes } = await startServer(t);
  for (const limit of ['0', '-1', '1.5', 'all', '']) {
    const { problem } = await changes(`?limit=${limit}`);
    assert.deepEqual([problem.type, problem.field], ['urn:tidegate:bad-request', 'limit'], limit);
  }
  assert.equal((await changes('?cursor=a&cursor=b')).problem.field, 'cursor');
  for (const cursor of ['', 'x', 'abcd-1-0', '99999999999999999999']) {
    const { status, problem } = await changes(`?cursor=${cursor}`);
    assert.deepEqual([status, problem.type], [410, 'urn:tidegate:cursor-expired'], cursor);
  }
});

test('the server purges by itself: keys after 30 days, tombstones after 90, and a cursor from before gets 410', async (t) => {
  let nowMs = 1_000_000;
  const { changes, create, remove, get, put, file } = await startServer(t, { clock: () => nowMs, limits: { purgeEveryMs: 5, closeGraceMs: 50 } });
  const first = await put('A/a', { key: 'old', 'if-none-match': '*', body: 'x' });
  const etag = await create('A/d');
  const { last } = await changes();
  const gone = await remove('A/d', { 'if-match': etag });
  const keys = () => rowsOf(file, 'SELECT key FROM keys').map(({ key }) => key);
  const until = async (holds) => { while (!holds()) await new Promise((resolve) => { setImmediate(resolve); }); };

  nowMs += 30 * DAY_MS;
  const kept = await put('A/a', { key: 'old', body: 'x' });
  assert.deepEqual([kept.status, kept.etag], [201, first.etag]);
  nowMs += 1;
  await until(() => keys().length === 0);
  assert.equal((await put('A/a', { key: 'old', body: 'x' })).status, 428);
  assert.equal((await get('A/d')).etag, gone.etag);
  assert.equal((await changes(`?cursor=${last.cursor}`)).status, 200);

  nowMs += 60 * DAY_MS;
  await until(() => rowsOf(file, 'SELECT 1 FROM documents WHERE deleted').length === 0);
  assert.equal((await get('A/d')).status, 404);
  const expired = await changes(`?cursor=${last.cursor}`);
  assert.deepEqual([expired.status, expired.problem.type], [410, 'urn:tidegate:cursor-expired']);
  assert.deepEqual((await changes()).changes.map(({ entityId }) => entityId), ['a']);
});
