// server/main.js as others run it: a process of its own.
import assert from 'node:assert/strict';
import { fork, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createServer } from '../../server/index.js';
import { client, rowsOf, temporaryDirectory } from './server-harness.js';

const MAIN = fileURLToPath(new URL('../../server/main.js', import.meta.url));

/** Starts main.js and waits for its line. @param {import('node:test').TestContext} t @param {string[]} args */
async function start(t, args) {
  const child = fork(MAIN, ['--port', '0', ...args], { silent: true });
  t.after(() => { child.kill('SIGKILL'); });
  const lines = [];
  createInterface({ input: child.stdout }).on('line', (line) => { lines.push(line); child.emit('line'); });
  child.stderr.resume();
  const exited = once(child, 'exit');
  await Promise.race([once(child, 'line'), exited.then(([code]) => { throw new Error(`the server exited with ${code}`); })]);
  return { child, lines, exited, ...client(lines[0]) };
}

test('it prints one line, its URL on loopback, serves, and ends on SIGTERM with everything closed', async (t) => {
  const file = join(temporaryDirectory(t), 'server.db');
  const { child, lines, exited, url, create } = await start(t, ['--db', file]);
  assert.match(url, /^http:\/\/127\.0\.0\.1:\d+$/);
  await create('A/a');
  child.kill('SIGTERM');
  assert.deepEqual(await exited, [0, null]);
  assert.deepEqual(lines, [url]);
  assert.equal(rowsOf(file, 'SELECT * FROM effects').length, 1);
});

test('it ends when the process that started it is gone', async (t) => {
  const { child, exited } = await start(t, ['--db', join(temporaryDirectory(t), 'server.db')]);
  child.disconnect();
  assert.deepEqual(await exited, [0, null]);
});

test('over IPC it tells requests and socket bytes, headers included, also of a connection that is still open', async (t) => {
  const { child, url } = await start(t, ['--db', join(temporaryDirectory(t), 'server.db')]);
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  t.after(() => socket.destroy());
  const request = 'PUT /api/v1/entities/A/a HTTP/1.1\r\nHost: x\r\nIdempotency-Key: "k"\r\nContent-Length: 5\r\n\r\nhello';
  socket.write(request);
  const [answer] = await once(socket, 'data');
  assert.match(answer.toString(), /^HTTP\/1\.1 201 /);
  child.send({ type: 'stats' });
  const [{ type, stats }] = await once(child, 'message');
  assert.equal(type, 'stats');
  assert.deepEqual([stats.requests, stats.bytesIn, stats.bytesOut], [1, request.length, answer.length]);
});

test('over IPC it takes faults for the next requests', async (t) => {
  const { child, put } = await start(t, ['--db', join(temporaryDirectory(t), 'server.db')]);
  child.send({ type: 'faults', next: ['status500'] });
  child.send({ type: 'stats' });
  await once(child, 'message');
  assert.deepEqual([(await put('A/a', { body: 'x' })).status, (await put('A/a', { body: 'x' })).status], [500, 201]);
});

test('a command line it cannot understand is refused with exit code 2 and a sentence', async () => {
  const refused = async (args, message) => {
    const child = spawn(process.execPath, [MAIN, ...args]);
    let stderr = '';
    child.stderr.on('data', (chunk) => { stderr += chunk; });
    assert.deepEqual(await once(child, 'close'), [2, null]);
    assert.ok(stderr.includes(message), stderr);
  };
  await Promise.all([
    refused([], '--db FILE is missing'),
    refused(['--db', 'x', '--port', '70000'], '--port must be an integer from 0 to 65535, got "70000"'),
    refused(['--db', ':memory:', '--faults', '{'], '--faults must be a JSON object, got "{"'),
    refused(['--db', ':memory:', '--plant', 'bugs'], 'no planted bug "bugs"'),
  ]);
});

test('options that make no sense are refused by name and value', async () => {
  for (const [options, message] of [
    [{ faults: { status500: 2 } }, 'faults.status500 must be from 0 to 1, got 2'],
    [{ faults: { flood: 0.1 } }, 'faults.flood is not a fault'],
    [{ faults: { status500: 0.6, hang: 0.6 } }, 'the faults must add up to at most 1'],
    [{ limits: { maxBatchOps: 0 } }, 'limits.maxBatchOps must be a positive integer, got 0'],
    [{ limits: { maxFun: 1 } }, 'limits.maxFun is not a limit'],
    [{ rateLimit: { perSecond: 0, burst: 1 } }, 'rateLimit.perSecond must be above 0, got 0'],
    [{ rateLimit: { perSecond: 1, burst: 0.5 } }, 'rateLimit.burst must be an integer from 1, got 0.5'],
    [{ plant: 'bugs' }, 'no planted bug "bugs"'],
  ]) await assert.rejects(createServer({ store: /** @type {any} */ ({}), ...options }), (error) => error instanceof TypeError && error.message.includes(message));
});

test('a port or directory it cannot have is an error of one line and exit code 1', async (t) => {
  const directory = temporaryDirectory(t);
  const { url } = await start(t, ['--db', join(directory, 'server.db')]);
  for (const args of [['--port', new URL(url).port], ['--port', '0', '--static', join(directory, 'absent')]]) {
    const child = spawn(process.execPath, [MAIN, '--db', join(directory, 'other.db'), ...args]);
    let stderr = '';
    child.stderr.on('data', (chunk) => { stderr += chunk; });
    const [code] = await once(child, 'close');
    assert.equal(code, 1);
    assert.match(stderr, /^tidegate-server: .+\n$/);
  }
});

/** Effect log, bindings and documents tell one story: it is what the last effects left. @param {string} file */
function assertConsistent(file) {
  const effects = rowsOf(file, 'SELECT * FROM effects ORDER BY n');
  const keys = rowsOf(file, 'SELECT key, etag, at_ms FROM keys');
  const documents = rowsOf(file, 'SELECT * FROM documents');
  assert.deepEqual(new Map(keys.map(({ key, etag }) => [key, etag])), new Map(effects.map(({ key, etag }) => [key, etag])));
  assert.equal(keys.length, effects.length, 'one effect per key');
  const last = new Map(effects.map((effect) => [`${effect.entity}/${effect.entity_id}`, effect]));
  assert.equal(documents.length, last.size);
  for (const { entity, entity_id: id, n, etag, key, deleted, body } of documents) {
    const effect = last.get(`${entity}/${id}`);
    assert.deepEqual([n, etag, key, deleted === 1], [effect.n, effect.etag, effect.key, effect.action === 'delete']);
    assert.equal(body && createHash('sha256').update(Buffer.from(body)).digest('hex'), effect.sha256);
  }
  return effects;
}

test('killed in the middle, again and again, it has all it answered and nothing by halves', async (t) => {
  const file = join(temporaryDirectory(t), 'server.db');
  const KILLS = 4;
  const lanes = 8;
  const length = 60;
  /** Each lane writes one entity, version upon version, by batches of three of which two are a group; it repeats what was not answered. */
  const lane = Array.from({ length: lanes }, () => ({ next: 0, etag: /** @type {string|null} */ (null), answered: /** @type {string[]} */ ([]) }));
  let kills = 0;
  for (let round = 0; lane.some(({ next }) => next < length); round += 1) {
    const server = await start(t, ['--db', file]);
    let answers = 0;
    const killAt = round < KILLS ? 5 + ((round * 7) % 11) : Infinity;
    await Promise.all(lane.map(async (state, index) => {
      while (state.next < length) {
        const ids = [0, 1, 2].map((n) => `op-${index}-${state.next + n}`);
        const op = (n, more) => [{ id: ids[n], action: 'update', entity: 'A', entityId: `e${index}`, codec: 'full', body: true, ...more }, JSON.stringify({ by: ids[n] })];
        const first = state.etag === null ? { ifNoneMatch: '*' } : { ifMatch: state.etag };
        let answer;
        try {
          answer = await server.batch([...op(0, first), ...op(1, { after: ids[0], group: 'g' }), ...op(2, { after: ids[1], group: 'g' })]);
        } catch {
          return; // The server is dead; whether it had applied the batch shows in the next round.
        }
        assert.ok(answer.results.every(({ status }) => status === 200 || status === 201), answer.text);
        state.answered.push(...ids);
        state.etag = answer.results[2].etag;
        state.next += 3;
        answers += 1;
        if (answers === killAt) {
          kills += 1;
          server.child.kill('SIGKILL');
        }
      }
    }));
    if (killAt === Infinity) server.child.kill('SIGTERM');
    await server.exited;
    const logged = new Set(assertConsistent(file).map(({ op_id }) => op_id));
    for (const { answered } of lane) for (const id of answered) assert.ok(logged.has(id), `${id} was answered and is lost`);
    // Of the last two ops of a batch, a group, none is there without the other.
    for (const id of logged) {
      const [, index, n] = id.split('-').map(Number);
      if (n % 3 === 1) assert.ok(logged.has(`op-${index}-${n + 1}`));
    }
  }
  assert.equal(kills, KILLS);
  const effects = assertConsistent(file);
  assert.equal(effects.length, lanes * length);
  for (let index = 0; index < lanes; index += 1) {
    assert.deepEqual(effects.filter(({ entity_id }) => entity_id === `e${index}`).map(({ op_id }) => op_id), Array.from({ length }, (_, n) => `op-${index}-${n}`));
  }
});
