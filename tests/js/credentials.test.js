// Headers of owners: asked of the provider, kept in memory, renewed once for all who need them.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { clock } from '../../sw/clock.js';
import { createCredentials } from '../../sw/credentials.js';
import { createTransport } from '../../sw/transport.js';

/** A provider whose answers come when the test says so. */
function provider(answer) {
  const asked = [];
  const credentials = createCredentials(async (owner, { refresh }) => {
    asked.push([owner, refresh]);
    return answer(asked.length, owner);
  }, {});
  return { asked, credentials };
}

test('headers without an end are asked for every time', async () => {
  const { asked, credentials } = provider((n) => ({ authorization: `token ${n}` }));
  for (let n = 1; n <= 3; n++) assert.deepEqual(await credentials('ann', 1000), { headers: { authorization: `token ${n}` } });
  assert.deepEqual(asked, [['ann', false], ['ann', false], ['ann', false]]);
});

test('with an end they are kept until they would not outlive the request, and then renewed', async () => {
  const { asked, credentials } = provider((n) => ({ headers: { authorization: `token ${n}` }, expiresAt: n * 1000 }));
  const first = await credentials('ann', 500);
  assert.equal(await credentials('ann', 999), first);
  assert.equal(asked.length, 1);
  assert.equal((await credentials('ann', 1000)).headers.authorization, 'token 2', 'it ends while the request may be under way');
  assert.deepEqual(asked, [['ann', false], ['ann', true]]);
});

test('a header that is called "headers" is a header', async () => {
  const { credentials } = provider(() => ({ headers: 'yes' }));
  assert.deepEqual(await credentials('ann', 0), { headers: { headers: 'yes' } });
});

test('who needs them while the provider is asked waits for the same answer', async () => {
  let give = () => {};
  const { asked, credentials } = provider(() => new Promise((resolve) => { give = () => resolve({ headers: { a: '1' }, expiresAt: 9e9 }); }));
  const all = [credentials('ann', 5), credentials('ann', 5), credentials('ann', 5)];
  give();
  assert.equal(new Set(await Promise.all(all)).size, 1);
  assert.equal(asked.length, 1);
});

test('refused ones are renewed once, however many were refused; who comes later with the old ones gets the new', async () => {
  const { asked, credentials } = provider((n) => ({ a: String(n) }));
  const old = await credentials('ann', 5);
  const renewed = await Promise.all([1, 2, 3].map(() => credentials('ann', 5, old)));
  assert.deepEqual(renewed, Array(3).fill({ headers: { a: '2' } }));
  assert.equal(await credentials('ann', 5, old), renewed[0]);
  assert.deepEqual(asked, [['ann', false], ['ann', true]]);
});

test('an answer that was asked for before the refusal is not taken for a renewal', async () => {
  const gives = [];
  const { asked, credentials } = provider(() => new Promise((resolve) => { gives.push(resolve); }));
  const first = credentials('ann', 5);
  gives[0]({ a: 'old' });
  const old = await first;
  const again = credentials('ann', 5);
  const wanted = credentials('ann', 5, old);
  gives[1]({ a: 'old' });
  assert.equal(await again, old);
  while (gives.length < 3) await new Promise(setImmediate);
  gives[2]({ a: 'new' });
  assert.deepEqual((await wanted).headers, { a: 'new' });
  assert.deepEqual(asked.map(([, refresh]) => refresh), [false, false, true]);
});

test('a provider that has no others says the same again, which is told from new ones; refused ones are not kept', async () => {
  const { asked, credentials } = provider(() => ({ headers: { a: '1' }, expiresAt: 9e9 }));
  const old = await credentials('ann', 5);
  assert.equal(await credentials('ann', 5, old), old);
  await credentials('ann', 5);
  assert.equal(asked.length, 3, 'it is asked before the next request');
});

test('a provider that fails is asked again the next time; one owner\'s headers are never another\'s', async () => {
  const { asked, credentials } = provider((n, owner) => { if (n === 1) throw new Error('offline'); return { headers: { owner }, expiresAt: 9e9 }; });
  await assert.rejects(credentials('ann', 5), /offline/);
  assert.deepEqual((await credentials('ann', 5)).headers, { owner: 'ann' });
  assert.deepEqual((await credentials('bob', 5)).headers, { owner: 'bob' });
  assert.deepEqual((await credentials('ann', 5)).headers, { owner: 'ann' });
  assert.deepEqual(asked.map(([owner]) => owner), ['ann', 'ann', 'bob', 'ann'], 'what was held for the one is gone when the other comes');
});

// --- with requests ------------------------------------------------------------------------------------------------------------------

/** A server that takes one token, and sends of it. @param {import('node:test').TestContext} t */
async function guarded(t, authorize, good = 'new') {
  const heard = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    heard.push([request.headers.authorization, request.headers['idempotency-key'], body]);
    response.writeHead(request.headers.authorization === good ? 200 : 401).end('{}');
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => { server.close(); server.closeAllConnections(); });
  const transport = createTransport({ endpoint: `http://127.0.0.1:${server.address().port}/api`, clock, authorize });
  const send = (key = '"k"') => transport.send(
    { type: 'send', id: 1, method: 'POST', url: 'batch', headers: { 'idempotency-key': key }, timeoutMs: 2000, owner: 'ann', items: [], writes: [] },
    new TextEncoder().encode('hello'), new AbortController().signal);
  return { heard, send };
}

test('a request that was refused goes once more with the renewed headers: the same bytes under the same key, and the bytes of both are counted', async (t) => {
  const { heard, send } = await guarded(t, async (_, { refresh }) => ({ authorization: refresh ? 'new' : 'old' }));
  const answer = await send();
  assert.deepEqual([answer.status, answer.sentBytes], [200, 10]);
  assert.deepEqual(heard, [['old', '"k"', 'hello'], ['new', '"k"', 'hello']]);
});

test('three requests that are refused at once: one refresh, each goes once more', async (t) => {
  let refreshes = 0, token = 'old';
  const { heard, send } = await guarded(t, async (_, { refresh }) => {
    if (refresh) {
      refreshes += 1;
      while (heard.length < 3) await new Promise(setImmediate);
      token = 'new';
    }
    return { headers: { authorization: token }, expiresAt: Date.now() + 3_600_000 };
  });
  const answers = await Promise.all(['"1"', '"2"', '"3"'].map((key) => send(key)));
  assert.deepEqual(answers.map(({ status }) => status), [200, 200, 200]);
  assert.equal(refreshes, 1);
  assert.equal(heard.length, 6);
});

for (const [what, authorize, requests] of [
  ['has no others', async () => ({ authorization: 'old' }), 1],
  ['has others that are refused too', async (_, { refresh }) => ({ authorization: refresh ? 'older' : 'old' }), 2],
  ['fails', async (_, { refresh }) => { if (refresh) throw new Error('x'); return { authorization: 'old' }; }, 1],
  ['never answers', (_, { refresh }) => (refresh ? new Promise(() => {}) : { authorization: 'old' }), 1],
  ['gives what is no header', async (_, { refresh }) => ({ authorization: refresh ? 'a\r\nb: c' : 'old' }), 1],
])
  test(`a provider that ${what}: the 401 is the answer, after ${requests} ${requests === 1 ? 'request' : 'requests'}`, async (t) => {
    const { heard, send } = await guarded(t, authorize);
    const { status, failure } = await send();
    assert.deepEqual([status, failure], [401, undefined]);
    assert.equal(heard.length, requests);
  });
