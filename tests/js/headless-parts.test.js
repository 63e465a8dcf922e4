import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request, createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { openAcceptanceLog } from '../../headless/acceptance-log.mjs';
import { readAcceptanceLog } from '../../headless/checker.mjs';
import { Link } from '../../headless/link.mjs';
import { parseOptions, UsageError } from '../../headless/options.mjs';
import { createRandom } from '../../headless/random.mjs';

const folder = mkdtempSync(join(tmpdir(), 'tidegate-headless-parts-'));
after(() => rmSync(folder, { recursive: true }));

test('options: several inputs after one flag, repeated flags, name=value', () => {
  const options = parseOptions(['--input', 'a', 'b', '--input=c', '--mode', 'versions', '--ops', '7', '--faults', 'reset,500', '--faults', 'kill', '--seed=9']);
  assert.deepEqual(options.inputs, ['a', 'b', 'c']);
  assert.deepEqual([options.mode, options.ops, [...options.faults].sort(), options.seed], ['versions', 7, ['500', 'kill', 'reset'], 9]);
});

test('options: the shipped sample is the default input', () => {
  assert.match(parseOptions([]).inputs[0], /sample\/field-assessments\.jsonl$/);
});

test('options: what cannot be understood is refused by name, value and expectation', () => {
  for (const [args, message] of /** @type {[string[], RegExp][]} */ ([
    [['--mode', 'online'], /--mode is "online", expected one of offline, versions/],
    [['--faults', 'reset,flood'], /--faults is "flood", expected one of reset, 500, kill, offline/],
    [['--ops', '0'], /--ops is "0", expected an integer from 1/],
    [['--ops', '1e3'], /--ops is "1e3"/],
    [['--seed', '-1'], /--seed is "-1"/],
    [['--input'], /--input needs a value/],
    [['--input', '--seed', '1'], /--input needs a value/],
    [['--seed', '1', '--seed', '2'], /--seed is given twice/],
    [['sample.jsonl'], /sample\.jsonl is not an option/],
  ])) {
    assert.throws(() => parseOptions(args), (error) => error instanceof UsageError && message.test(error.message), args.join(' '));
  }
});

test('random: one seed and purpose is one sequence, another purpose another', () => {
  const draw = (/** @type {number} */ seed, /** @type {string} */ purpose) => {
    const random = createRandom(seed, purpose);
    return Array.from({ length: 50 }, () => random.integer(0, 9)).join('');
  };
  assert.equal(draw(1, 'a'), draw(1, 'a'));
  assert.notEqual(draw(1, 'a'), draw(2, 'a'));
  assert.notEqual(draw(1, 'a'), draw(1, 'b'));
  assert.deepEqual([...new Set(draw(3, 'c'))].sort().join(''), '0123456789');
});

test('acceptance log: what was accepted is known to the next process, a torn line is cut off', () => {
  const file = join(folder, 'acceptance.jsonl');
  const about = (/** @type {number} */ n) => ({ n, entity: 'T', entityId: 'a', action: 'update', sha256: `${n}` });
  const first = openAcceptanceLog(file);
  for (const n of [1, 2]) {
    first.saving(about(n));
    first.acceptedAs(about(n), `op${n}`);
  }
  first.close();
  appendFileSync(file, '{"saving":3,"ent');

  const second = openAcceptanceLog(file);
  assert.deepEqual([...second.accepted], [1, 2]);
  second.saving(about(3));
  second.close();
  assert.deepEqual(readAcceptanceLog(file).map(({ n, opId }) => [n, opId]), [[1, 'op1'], [2, 'op2'], [3, null]]);
  assert.ok(readFileSync(file, 'utf8').split('\n').every((line) => line === '' || JSON.parse(line)));
});

/** A server on loopback that answers everything with "answer", behind a link. @param {import('node:test').TestContext} t */
async function serverBehindLink(t) {
  const server = createServer((incoming, outgoing) => {
    incoming.resume();
    incoming.on('end', () => outgoing.end('answer'));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const link = new Link({ serverPort: () => /** @type {any} */ (server.address()).port, latencyMs: 20 });
  await link.open();
  const ask = () => new Promise((resolve, reject) => {
    const outgoing = request({ port: link.port, host: '127.0.0.1', agent: false, method: 'POST' }, (incoming) => {
      let text = '';
      incoming.setEncoding('utf8').on('data', (part) => { text += part; });
      incoming.on('end', () => resolve(text));
      incoming.on('error', reject);
    });
    outgoing.on('error', reject);
    outgoing.end('question');
  });
  t.after(async () => {
    await link.close();
    await new Promise((resolve) => server.close(resolve));
  });
  return { link, ask };
}

test('link: passes requests on, and knows one that is in flight', async (t) => {
  const { link, ask } = await serverBehindLink(t);
  const begun = new Promise((resolve) => link.once('request', () => resolve(link.inFlight)));
  const answer = ask();
  assert.equal(await begun, 1);
  assert.equal(await answer, 'answer');
  assert.equal(link.inFlight, 0);
});

test('link: cut, it resets what is in flight and turns away what comes; mended, it works again', async (t) => {
  const { link, ask } = await serverBehindLink(t);
  link.once('request', () => link.cut());
  await assert.rejects(ask(), { code: 'ECONNRESET' });
  await assert.rejects(ask(), { code: 'ECONNRESET' });
  assert.equal(link.turnedAway, 2);
  link.mend();
  assert.equal(await ask(), 'answer');
});
