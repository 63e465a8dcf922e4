// tidegate/blob-deltas on the real drain: the real core and shell over a SQLite file, the real server, and a line between them that sees every request.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, request as forward } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { blobDeltas } from '../../sw/blob-deltas.js';
import { openClient } from '../../sw/node.js';
import { killSweep } from './mortal.js';
import { startServer, rowsOf, temporaryDirectory } from './server-harness.js';

const kPhoto = { contentType: 'image/jpeg' };
const kMegabyte = 2 ** 20;

/** Bytes that do not compress, the same for the same seed. @param {number} size @param {number} seed */
function noise(size, seed = 1) {
  const bytes = new Uint8Array(size);
  for (let i = 0, state = seed; i < size; i++) bytes[i] = (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 24;
  return bytes;
}

/** A blob with ten bytes changed at one place and as many inserted at another. @param {Uint8Array} bytes */
function edited(bytes) {
  const place = bytes.length >> 1;
  const changed = Buffer.concat([bytes.subarray(0, place), Buffer.from('ten bytes.'), bytes.subarray(place)]);
  changed.set(Buffer.from('other here'), bytes.length >> 2);
  return changed;
}

/** The line: hands every write on and notes it. `meddle` may answer in the server's place, or keep the answer to itself. */
async function line(t, upstream) {
  const seen = [];
  const way = { seen, api: '', meddle: async (_place, _entry) => undefined };
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks), { connection: _, ...headers } = request.headers;
    const entry = { method: request.method, body, key: headers['idempotency-key'], type: headers['content-type'], ifMatch: headers['if-match'] };
    seen.push(entry);
    const instead = await way.meddle('arrived', entry);
    if (instead) return response.writeHead(instead.status, instead.headers).end(instead.body);
    const asking = forward(new URL(request.url, upstream), { method: request.method, headers: { ...headers, 'content-length': body.length } });
    asking.end(body);
    const [answer] = await once(asking, 'response');
    const parts = [];
    for await (const part of answer) parts.push(part);
    if (await way.meddle('answered', entry)) return response.destroy();
    const { 'transfer-encoding': __, connection: ___, ...kept } = answer.headers;
    response.writeHead(answer.statusCode, kept).end(Buffer.concat(parts));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => { server.closeAllConnections(); server.close(); });
  way.api = `http://127.0.0.1:${server.address().port}/api/v1`;
  return way;
}

/** A server, the line to it, and a client that has a megabyte acknowledged. */
async function scene(t, options = {}) {
  const world = await startServer(t);
  const way = await line(t, world.url);
  const path = join(temporaryDirectory(t), 'outbox.db');
  const open = async (more = {}) => {
    const client = await openClient({ path, endpoint: way.api, autoSync: false, maxOpBytes: 2 * kMegabyte, blobDeltas: blobDeltas(), ...options, ...more });
    t.after(() => client.close());
    return client;
  };
  const client = await open();
  const base = noise(kMegabyte), next = edited(base);
  await client.save('MEDIA', 'p', base, kPhoto);
  await client.sync();
  assert.ok((await world.get('MEDIA/p')).bytes.equals(base));
  way.seen.length = 0;
  return { ...world, way, path, open, client, base, next, effects: () => rowsOf(world.file, 'SELECT count(*) AS n FROM effects')[0].n };
}

const methods = (way) => way.seen.map(({ method }) => method);

test('a megabyte edited a little goes as less than a twentieth of its bytes, and arrives whole', async (t) => {
  const { client, way, get, next, effects } = await scene(t);
  await client.save('MEDIA', 'p', next, kPhoto);
  await client.sync();
  assert.deepEqual(await client.ops(), []);
  assert.deepEqual(way.seen.map(({ method, type }) => [method, type]), [['PATCH', 'application/vcdiff']]);
  const bytes = way.seen[0].body.length;
  t.diagnostic(`${bytes} bytes of ${next.length}`);
  assert.ok(bytes < next.length / 20, `${bytes} bytes of ${next.length}`);
  const got = await get('MEDIA/p');
  assert.ok(got.bytes.equals(next));
  assert.equal(got.headers.get('content-type'), 'image/jpeg');
  assert.equal(effects(), 2);
  const again = edited(next);   // of the version that was made by a delta
  await client.save('MEDIA', 'p', again, kPhoto);
  await client.sync();
  assert.deepEqual(methods(way), ['PATCH', 'PATCH']);
  assert.ok((await get('MEDIA/p')).bytes.equals(again));
});

test('a process killed between send and answer: the next one repeats the same bytes under the same key, with one effect', async (t) => {
  const { client, way, path, open, get, next, effects } = await scene(t);
  await client.save('MEDIA', 'p', next, kPhoto);
  await client.close();
  const child = spawn(process.execPath, ['--input-type=module', '-e', `
    import { openClient } from ${JSON.stringify(new URL('../../sw/node.js', import.meta.url).href)};
    import { blobDeltas } from ${JSON.stringify(new URL('../../sw/blob-deltas.js', import.meta.url).href)};
    const client = await openClient({ path: ${JSON.stringify(path)}, endpoint: ${JSON.stringify(way.api)}, blobDeltas: blobDeltas() });
    await client.sync();
  `], { stdio: ['ignore', 'inherit', 'inherit'] });
  const died = once(child, 'exit');
  way.meddle = async (place) => {
    if (place !== 'answered') return undefined;
    child.kill('SIGKILL');
    await died;
    return true;
  };
  assert.equal((await died)[1], 'SIGKILL');
  way.meddle = async () => undefined;
  assert.equal(effects(), 2, 'the server has it');

  const blind = await open({ blobDeltas: undefined });   // what was frozen needs no encoder
  await blind.sync();
  assert.deepEqual(await blind.ops(), []);
  const [first, second] = way.seen;
  assert.deepEqual(methods(way), ['PATCH', 'PATCH']);
  assert.equal(second.key, first.key);
  assert.ok(second.body.equals(first.body));
  assert.equal(effects(), 2);
  assert.ok((await get('MEDIA/p')).bytes.equals(next));
});

test('without an encoder, without an acknowledged version, and for a blob that is all new, it goes whole', async (t) => {
  const { client, way, open, get, next } = await scene(t);
  await client.save('MEDIA', 'new', next, kPhoto);
  await client.sync();
  const other = noise(kMegabyte, 99);
  await client.save('MEDIA', 'p', other, kPhoto);
  await client.sync();
  await client.close();
  const plain = await open({ blobDeltas: undefined });
  await plain.save('MEDIA', 'new', edited(next), kPhoto);
  await plain.sync();
  assert.deepEqual(methods(way), ['PUT', 'PUT', 'PUT']);
  assert.ok((await get('MEDIA/p')).bytes.equals(other));
  assert.ok((await get('MEDIA/new')).bytes.equals(edited(next)));
});

test('a server that takes no VCDIFF (415) gets the blob whole under a new key, and is not offered one again', async (t) => {
  const { client, way, get, next, effects } = await scene(t);
  way.meddle = async (place, { method }) => (place === 'arrived' && method === 'PATCH' ? { status: 415, headers: {}, body: '' } : undefined);
  const { id } = await client.save('MEDIA', 'p', next, kPhoto);
  await client.sync();
  assert.deepEqual(way.seen.map(({ method, key }) => [method, key]), [['PATCH', `"${id}"`], ['PUT', `"${id}.2"`]]);
  await client.save('MEDIA', 'p', edited(next), kPhoto);
  await client.sync();
  assert.deepEqual(methods(way), ['PATCH', 'PUT', 'PUT']);
  assert.ok((await get('MEDIA/p')).bytes.equals(edited(next)));
  assert.equal(effects(), 3);
});

test('a blob changed on the server meanwhile is a conflict as ever; the winner goes whole, and what follows as deltas again', async (t) => {
  const { client, way, get, put, next, effects } = await scene(t);
  const { etag } = await get('MEDIA/p');
  assert.equal((await put('MEDIA/p', { 'if-match': etag, 'content-type': 'image/jpeg', body: 'theirs' })).status, 200);
  await client.save('MEDIA', 'p', next, kPhoto);
  await client.sync();
  assert.deepEqual(methods(way), ['PATCH', 'PUT']);
  assert.ok((await get('MEDIA/p')).bytes.equals(next));
  await client.save('MEDIA', 'p', edited(next), kPhoto);
  await client.sync();
  assert.deepEqual(methods(way), ['PATCH', 'PUT', 'PATCH']);
  assert.ok((await get('MEDIA/p')).bytes.equals(edited(next)));
  assert.equal(effects(), 4);
});

test('in REST mode, with deltas of documents beside it', async (t) => {
  const { client, way, get, next } = await scene(t);
  await client.settings({ mode: 'rest' });
  await client.save('NOTE', 'n', { text: 'x'.repeat(3000), n: 1 });
  await client.sync();
  await client.save('NOTE', 'n', { text: 'x'.repeat(3000), n: 2 });
  await client.save('MEDIA', 'p', next, kPhoto);
  await client.sync();
  assert.deepEqual(way.seen.filter(({ method }) => method === 'PATCH').map(({ type }) => type).sort(), ['application/merge-patch+json', 'application/vcdiff']);
  assert.ok((await get('MEDIA/p')).bytes.equals(next));
});

const base = noise(20_000), next = edited(base);
let patches = 0;
const sent = ({ method }) => { patches += method === 'PATCH' ? 1 : 0; };
killSweep('killed at every await of a drain of a changed blob: one effect, the server holds it, and nothing is left over, whether the next worker has an encoder or not', {
  least: 20, before: {}, shell: { sent, around: blobDeltas() }, after: (kill) => ({ sent, ...(kill % 2 ? { around: blobDeltas() } : {}) }),
  begin: async ({ accept, drained }) => {
    const first = await accept('p', base, kPhoto);
    await drained();
    return [first, await accept('p', next, kPhoto)];
  },
  expect: async ({ effects, get, when }) => {
    assert.equal(effects.length, 2, when);
    assert.ok((await get('p')).bytes.equals(next), when);
  },
  atEnd: () => { assert.ok(patches >= 10, `${patches} deltas sent`); patches = 0; },
});
