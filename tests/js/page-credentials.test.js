// A worker that has no headers of its own asks an open page: the real worker, shell, core and server; pages are fakes of their browser.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromPages } from '../../sw/page-credentials.js';
import { connect } from '../../web/client.js';
import { startServer } from './server-harness.js';
import { openPage, origin, startWorker, wipe } from './sw-harness.js';

/** A server that asks for a token (told in `seen`), and a worker that asks pages for it. @param {import('node:test').TestContext} t */
async function scene(t) {
  await wipe();
  const server = await startServer(t);
  const world = origin(server.url);
  const seen = [];
  const real = globalThis.fetch;
  globalThis.fetch = async (url, init) => {
    const token = new Headers(init?.headers).get('authorization');
    if (!String(url).includes('/api/v1/')) return real(url, init);
    seen.push(token);
    return token === world.good ? real(url, init) : new Response('{}', { status: 401, headers: { 'content-type': 'application/problem+json' } });
  };
  t.after(() => { globalThis.fetch = real; });
  world.good = 'Bearer 1';
  const worker = await startWorker(world, { authorize: fromPages() });
  await worker.fire('install');
  const open = async (options) => {
    const page = openPage(world, { worker });
    t.after(() => page.close());
    const client = await connect({ worker: '/sw.js', endpoint: '/api/v1', wasm: '/tidegate.wasm', ...options });
    t.after(() => client.close());
    return { page, client };
  };
  const get = async (path) => {   // the test itself needs no token
    const guarded = globalThis.fetch;
    globalThis.fetch = real;
    try { return await server.get(path); } finally { globalThis.fetch = guarded; }
  };
  return { ...server, world, worker, seen, open, get };
}

/** A page that is nobody's client: it answers as the test says, or not at all. */
function strange(world, answer) {
  const asked = [];
  world.pages.unshift({ type: 'window', url: world.base, postMessage: (data, [port] = []) => {
    if (data.type !== 'authorize') return;
    asked.push(data.detail);
    const value = answer(data.detail);
    if (value !== undefined) port.postMessage(value);
    port.close();
  } });
  return asked;
}

test('the page of the owner is asked, on a refusal for a refresh, and what it says goes with the request', async (t) => {
  const { world, seen, open, get } = await scene(t);
  const asked = [];
  const { client } = await open({ owner: 'ann', authorize: async (owner, { refresh }) => {
    asked.push([owner, refresh]);
    return { headers: { authorization: `Bearer ${refresh ? 2 : 1}` }, expiresAt: Date.now() + 3_600_000 };
  } });
  await client.save('NOTE', '1', { n: 1 });
  await client.sync();
  world.good = 'Bearer 2';
  await client.save('NOTE', '2', { n: 2 });
  await client.sync();
  assert.deepEqual([(await get('NOTE/1')).status, (await get('NOTE/2')).status], [200, 200]);
  assert.deepEqual(asked, [['ann', false], ['ann', true]]);
  assert.deepEqual(seen, ['Bearer 1', 'Bearer 1', 'Bearer 2']);
});

test('pages are asked one after the other until one answers; a page of somebody else, and an answer of another shape, say nothing', async (t) => {
  const { world, seen, open } = await scene(t);
  const bob = strange(world, () => ({ tidegate: 1, value: null }));
  const wrong = [{ tidegate: 1, value: { authorization: 5 } }, { value: { authorization: 'x' } }, 'Bearer x', { tidegate: 1, value: { headers: Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`h${i}`, ''])) } }]
    .map((answer) => strange(world, () => answer));
  let calls = 0;
  const { client } = await open({ owner: 'ann', authorize: () => { calls += 1; return { authorization: 'Bearer 1' }; } });
  await client.save('NOTE', '1', { n: 1 });
  await client.sync();
  assert.deepEqual(await client.ops(), []);
  assert.deepEqual([...new Set(seen)], ['Bearer 1']);
  for (const asked of [bob, ...wrong]) assert.deepEqual(asked[0], { owner: 'ann', refresh: false });
  assert.ok(calls >= 1);
});

test('two pages of one owner: one of them is asked', async (t) => {
  const { world, open } = await scene(t);
  const calls = [];
  await open({ owner: 'ann', authorize: () => { calls.push('first'); return { authorization: 'Bearer 1' }; } });
  const { client } = await open({ owner: 'ann', authorize: () => { calls.push('second'); return { authorization: 'Bearer 1' }; } });
  assert.equal(world.pages.length, 2);
  await client.save('NOTE', '1', { n: 1 });
  await client.sync();
  assert.deepEqual(await client.ops(), []);
  assert.deepEqual([...new Set(calls)], ['first']);
});

test('without a page that knows them the ops wait for a sign-in, and go when one opens', async (t) => {
  const { world, worker, seen, open, get } = await scene(t);
  const { client, page } = await open({ owner: 'ann', authorize: () => { throw new Error('signed out'); } });
  const { id } = await client.save('NOTE', '1', { n: 1 });
  await client.sync();
  assert.deepEqual(seen, []);
  assert.equal((await client.explain(id)).reason, 'auth');
  assert.deepEqual((await client.ops()).map(({ attempts, state }) => [attempts, state]), [[0, 'queued']]);
  await client.close();
  page.close();
  world.pages.length = 0;
  await worker.fire('push', { data: { json: () => ({ tidegate: 'hint' }) } });
  assert.deepEqual(seen, [], 'no page at all');
  const { client: again } = await open({ owner: 'ann', authorize: () => ({ authorization: 'Bearer 1' }) });
  await again.sync();
  assert.equal((await get('NOTE/1')).status, 200);
});

test('a page that answers too many headers, or too long a one, is told from one that has none', async (t) => {
  for (const headers of [Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`h${i}`, ''])), { authorization: 'x'.repeat(16_384) }]) {
    const { world, seen, open } = await scene(t);
    strange(world, () => ({ tidegate: 1, value: { headers } }));
    const { client } = await open({ owner: 'ann', authorize: () => { throw new Error('signed out'); } });
    await client.save('NOTE', '1', { n: 1 });
    assert.deepEqual((await client.sync()).errors, ['Sign-in needed: no headers for this owner: HeadersRefused']);
    assert.deepEqual(seen, []);
  }
});

test('a page whose owner signed out says nothing of him', async (t) => {
  const { world, open } = await scene(t);
  let calls = 0;
  const { client } = await open({ owner: 'ann', authorize: () => { calls += 1; return { authorization: 'Bearer 1' }; } });
  await client.signOut();
  const before = calls;
  const { port1, port2 } = new MessageChannel();
  const said = new Promise((resolve) => { port1.onmessage = ({ data }) => resolve(data); });
  world.pages[0].postMessage({ tidegate: 1, type: 'authorize', detail: { owner: 'ann', refresh: false } }, [port2]);
  assert.deepEqual(await said, { tidegate: 1, value: null });
  assert.equal(calls, before);
  port1.close();
});
