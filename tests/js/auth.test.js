// 401 through the whole line: a gate before the real server that knows which token is good, the real client, core and transport.
import assert from 'node:assert/strict';
import { createServer, request } from 'node:http';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { openClient } from '../../sw/node.js';
import { startServer, temporaryDirectory } from './server-harness.js';

/** A server behind a gate, and a client whose provider hands out `world.token`. `world.good` says whether a request passes. @param {import('node:test').TestContext} t */
async function behindGate(t) {
  const server = await startServer(t);
  const world = { ...server, token: 'first', good: (/** @type {string} */ token) => token === 'Bearer first', passed: 0, refused: 0, events: /** @type {string[]} */ ([]) };
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
  const client = await openClient({
    path: join(temporaryDirectory(t), 'outbox.db'), endpoint: `http://127.0.0.1:${port}/api/v1`, autoSync: false, authorize: async () => ({ authorization: `Bearer ${world.token}` }),
  });
  t.after(() => client.close());
  client.subscribe(({ type }) => world.events.push(type));
  return { world, client };
}

const kOps = 6;
const saveAll = async (/** @type {any} */ client) => { for (let n = 0; n < kOps; n++) await client.save('NOTE', `n${n}`, { n }); };

test('a token that ends in the middle: what is left waits for sign-in, no attempt is counted, and with a new token each goes once', async (t) => {
  const { world, client } = await behindGate(t);
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
  const { world, client } = await behindGate(t);
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
