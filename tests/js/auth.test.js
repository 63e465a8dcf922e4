// 401 through the whole line: a gate before the real server that knows which token is good, the real client, core and transport.
import assert from 'node:assert/strict';
import { createServer, request } from 'node:http';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { readFileSync, readdirSync } from 'node:fs';
import { openClient } from '../../sw/node.js';
import { startServer, temporaryDirectory } from './server-harness.js';

/** A server behind a gate, and a client whose provider hands out `world.token`. `world.good` says whether a request passes. @param {import('node:test').TestContext} t */
async function behindGate(t) {
  const server = await startServer(t);
  const world = { ...server, token: 'first', good: (/** @type {string} */ token) => token === 'Bearer first', passed: 0, refused: 0, events: /** @type {string[]} */ ([]), told: /** @type {any[]} */ ([]) };
  const gate = createServer((incoming, answer) => {
    if (!world.good(incoming.headers.authorization ?? '')) {
      world.refused += 1;
      incoming.resume();
      return answer.writeHead(401, { 'content-type': 'application/problem+json' }).end('{"type":"about:blank","status":401}');
    }
    world.passed += 1;
    const onward = request(`${server.url}${incoming.url}`, { method: incoming.method, headers: incoming.headers }, (got) => { got.pipe(answer.writeHead(got.statusCode ?? 500, got.headers)); });
    incoming.pipe(onward);
  });
  await once(gate.listen(0, '127.0.0.1'), 'listening');
  t.after(() => { gate.close(); gate.closeAllConnections(); });
  const { port } = /** @type {import('node:net').AddressInfo} */ (gate.address());
  const path = join(temporaryDirectory(t), 'outbox.db');
  const open = async (/** @type {any} */ options = {}) => {
    const client = await openClient({ path, endpoint: `http://127.0.0.1:${port}/api/v1`, autoSync: false, authorize: async () => ({ authorization: `Bearer ${world.token}` }), ...options });
    t.after(() => client.close());
    client.subscribe((event) => { world.events.push(event.type); world.told.push(event); });
    return client;
  };
  return { world, path, open };
}

const kOps = 6;
const saveAll = async (/** @type {any} */ client) => { for (let n = 0; n < kOps; n++) await client.save('NOTE', `n${n}`, { n }); };

test('a token that ends in the middle: what is left waits for sign-in, no attempt is counted, and with a new token each goes once', async (t) => {
  const { world, open } = await behindGate(t);
  const client = await open();
  await client.settings({ mode: 'rest', maximumConcurrentOperations: 1 });
  await saveAll(client);
  world.good = (token) => token === 'Bearer second' || world.passed < 2;
  await client.sync();
  const left = await client.ops();
  assert.equal(left.length, kOps - 2);
  // The one that was refused keeps its key: the browser may have sent the request once before by itself, and the 401 says nothing of that copy.
  assert.deepEqual(left.map(({ attempts = 0, state }) => [attempts, state]), [[0, 'unknown'], [0, 'queued'], [0, 'queued'], [0, 'queued']]);
  assert.equal(world.refused, 1, 'one answer speaks for all of the owner');
  assert.ok(world.events.includes('sync.auth'));
  const { reason, sentence } = await client.explain(left[0].id);
  assert.deepEqual([reason, sentence], ['auth', 'Sign-in needed']);

  world.token = 'second';
  await client.sync();
  assert.deepEqual(await client.ops(), []);
  assert.deepEqual([world.passed, world.refused], [kOps, 1], 'each op took one request that was let through');
  for (let n = 0; n < kOps; n++) assert.equal((await world.get(`NOTE/n${n}`)).text, `{"n":${n}}`);
});

test('401 for ever: one request for each time somebody asks, nothing becomes a dead letter, nothing is lost', async (t) => {
  const { world, open } = await behindGate(t);
  const client = await open();
  await saveAll(client);
  world.good = () => false;
  const kAsked = 10;
  for (let i = 0; i < kAsked; i++) await client.sync();
  assert.ok(world.refused <= kAsked, `${world.refused} requests for ${kAsked} calls`);
  assert.equal((await client.status()).deadLetters, 0);
  assert.equal((await client.ops()).length, kOps);
  world.good = () => true;
  await client.sync();
  assert.deepEqual(await client.ops(), []);
  for (let n = 0; n < kOps; n++) assert.equal((await world.get(`NOTE/n${n}`)).text, `{"n":${n}}`);
});

const arrived = async (/** @type {any} */ world) => { for (let n = 0; n < kOps; n++) assert.equal((await world.get(`NOTE/n${n}`)).text, `{"n":${n}}`); };

test('a token that ends in the middle and can be renewed: one refresh for all requests under way, everything arrives in the same drain, nobody is asked to sign in', async (t) => {
  const { world, open } = await behindGate(t);
  let refreshes = 0;
  const client = await open({ authorize: async (/** @type {string} */ _, /** @type {any} */ { refresh }) => {
    if (refresh) { refreshes += 1; world.token = 'second'; }
    return { headers: { authorization: `Bearer ${world.token}` }, expiresAt: Date.now() + 3_600_000 };
  } });
  await client.settings({ mode: 'rest', maximumConcurrentOperations: 3 });
  await saveAll(client);
  world.good = (token) => token === 'Bearer second' || world.passed < 2;
  const { itemsSucceeded } = await client.sync();
  assert.equal(itemsSucceeded, kOps);
  assert.equal(refreshes, 1);
  assert.ok(world.refused >= 1 && world.refused <= 3, `${world.refused} were under way`);
  assert.ok(!world.events.includes('sync.auth'));
  await arrived(world);
});

test('a token that would not outlive the request is renewed before it leaves: the server never sees it', async (t) => {
  const { world, open } = await behindGate(t);
  const asked = /** @type {boolean[]} */ ([]);
  const client = await open({ authorize: async (/** @type {string} */ _, /** @type {any} */ { refresh }) => {
    asked.push(refresh);
    return { headers: { authorization: `Bearer ${refresh ? 'second' : 'first'}` }, expiresAt: Date.now() + (refresh ? 3_600_000 : 5_000) };   // shorter than any timeout
  } });
  world.good = () => true;
  await client.save('NOTE', 'n0', { n: 0 });
  await client.sync();
  assert.deepEqual(asked, [false], 'the first is used: nothing better is known');
  world.good = (token) => token === 'Bearer second';
  for (let n = 1; n < kOps; n++) { await client.save('NOTE', `n${n}`, { n }); await client.sync(); }
  assert.deepEqual(asked, [false, true], 'and the one that lasts is kept');
  assert.equal(world.refused, 0);
  await arrived(world);
});

test('no headers to be had: nothing leaves, nothing is held against anybody, and with signIn() it goes', async (t) => {
  const { world, open } = await behindGate(t);
  let signedOut = true;
  const client = await open({ authorize: async () => { if (signedOut) throw new Error('no session: canary-4711'); return { authorization: 'Bearer first' }; } });
  await saveAll(client);
  await client.sync();
  assert.equal(world.passed + world.refused, 0);
  const ops = await client.ops();
  assert.deepEqual(ops.map(({ attempts, state }) => [attempts, state]), Array(kOps).fill([0, 'queued']), 'none was sent, so nothing is unknown');
  const { reason, sentence, untilMs } = await client.explain(ops[0].id);
  assert.deepEqual([reason, sentence], ['auth', 'Sign-in needed']);
  assert.ok(untilMs > Date.now());
  assert.ok(world.events.includes('sync.auth'));
  const { state, connectivity } = await client.status();
  assert.notEqual(state, 'offline');
  assert.equal(connectivity.isOnline, true, 'it says nothing about the network');
  await client.cancel(ops[kOps - 1].id);
  await client.save('NOTE', `n${kOps - 1}`, { n: kOps - 1 });
  await client.sync();   // somebody asks: the provider is asked again, and only the provider
  assert.equal(world.passed + world.refused, 0);
  signedOut = false;
  await client.signIn();
  await client.sync();
  assert.deepEqual(await client.ops(), []);
  await arrived(world);
  assert.doesNotMatch(JSON.stringify(world.told), /canary-4711/);
});

test('a 401 holds up that owner\'s lanes and nobody else\'s', async (t) => {
  const { world, open } = await behindGate(t);
  world.good = (token) => token === 'Bearer of bob';
  const authorize = async (/** @type {string} */ owner) => ({ authorization: `Bearer of ${owner}` });
  const ann = await open({ owner: 'ann', authorize });
  const { id } = await ann.save('NOTE', 'a', { of: 'ann' });
  await ann.sync();
  assert.equal((await ann.explain(id)).reason, 'auth');
  await ann.close();
  const bob = await open({ owner: 'bob', authorize });
  await bob.save('NOTE', 'b', { of: 'bob' });
  await bob.sync();
  assert.deepEqual(await bob.ops(), []);
  assert.equal((await world.get('NOTE/b')).status, 200);
  assert.equal((await world.get('NOTE/a')).status, 404);
  await bob.close();
  world.good = () => true;
  const again = await open({ owner: 'ann', authorize });
  assert.deepEqual((await again.ops()).map(({ attempts }) => attempts), [0]);
  await again.sync();
  assert.equal((await world.get('NOTE/a')).status, 200);
});

test('what a provider answers is in no file and in no event', async (t) => {
  const { world, path, open } = await behindGate(t);
  const kSecret = 'canary-0815';
  const client = await open({ authorize: async () => ({ headers: { authorization: `Bearer ${kSecret}` }, expiresAt: Date.now() + 3_600_000 }) });
  await saveAll(client);
  world.good = () => false;
  await client.sync();
  world.good = () => true;
  await client.sync();
  const known = JSON.stringify([world.told, await client.status(), await client.metrics(), await client.history({}), await client.ops()]);
  await client.close();
  const files = readdirSync(dirname(path));
  assert.ok(files.length >= 2);
  for (const text of [known, ...files.map((name) => readFileSync(join(dirname(path), name), 'latin1'))]) assert.ok(!text.includes(kSecret));
});
