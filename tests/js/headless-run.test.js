// The headless runner end to end: real client process, real server process, SQLite files, loopback.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../headless/main.mjs', import.meta.url));
const FAULTS = ['reset', '500', 'kill', 'offline'];
const RESULT_NAMES = [
  'mode', 'ops', 'sent_ops', 'requests', 'bytes_naive', 'bytes_sent', 'conflicts', 'faults', 'lost', 'duplicated', 'converged', 'seconds',
];

const folder = mkdtempSync(join(tmpdir(), 'tidegate-headless-run-'));
after(() => rmSync(folder, { recursive: true }));

/** @param {string[]} args @returns {Promise<{code: number | null, out: string, err: string, result: any}>} */
function headless(...args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    const said = { out: '', err: '' };
    child.stdout.setEncoding('utf8').on('data', (text) => { said.out += text; });
    child.stderr.setEncoding('utf8').on('data', (text) => { said.err += text; });
    child.on('error', reject);
    child.on('close', (code) => {
      const last = said.out.trim().split('\n').pop() ?? '';
      resolve({ code, ...said, result: last.startsWith('{') ? JSON.parse(last) : null });
    });
  });
}

/** @param {{code: number | null, out: string, err: string, result: any}} run */
function assertClean({ code, out, err, result }) {
  assert.equal(code, 0, out + err);
  assert.deepEqual([result.lost, result.duplicated, result.converged], [0, 0, true]);
}

test('mode offline: one request for everything, less than a tenth of the bytes, the same line in the file', async () => {
  const json = join(folder, 'out.json');
  const run = await headless('--json', json);
  assertClean(run);
  assert.deepEqual(Object.keys(run.result), RESULT_NAMES);
  assert.deepEqual(JSON.parse(readFileSync(json, 'utf8')), run.result);
  assert.deepEqual([run.result.ops, run.result.sent_ops, run.result.requests, run.result.conflicts], [132, 22, 1, 0]);
  assert.ok(run.result.bytes_sent < run.result.bytes_naive / 10, run.out);
});

test('mode versions: every version is its own effect, in two requests and a tenth of the bytes', async () => {
  const run = await headless('--mode', 'versions');
  assertClean(run);
  assert.deepEqual([run.result.ops, run.result.sent_ops, run.result.requests, run.result.conflicts], [132, 132, 2, 0]);
  assert.ok(run.result.bytes_sent < run.result.bytes_naive / 10, run.out);
});

test('numbers beyond 2^53 and members in any order come through unchanged, over several files', async () => {
  const files = ['one', 'two'].map((name) => {
    const path = join(folder, `${name}.jsonl`);
    const versions = ['9007199254740993', '9007199254740992', '1.0', '1e400', '-0'];
    writeFileSync(path, versions.map((value) => `{"doc":{"z":[{"id":"${name}"}],"a":${value}}}\n`).join(''));
    return path;
  });
  for (const mode of ['offline', 'versions']) {
    const run = await headless('--mode', mode, '--input', ...files);
    assertClean(run);
    assert.equal(run.result.ops, 10);
  }
});

for (const mode of ['offline', 'versions']) {
  test(`mode ${mode} with every fault: nothing lost, nothing twice, and each fault really happened`, async () => {
    const run = await headless('--mode', mode, '--faults', FAULTS.join(','), '--seed', '7');
    assertClean(run);
    for (const fault of [...FAULTS, 'kill_saving', 'kill_server']) assert.ok(run.result.faults[fault] >= 1, `${fault}: ${run.out}`);
    assert.ok(run.result.faults.kill >= 5, run.out);
  });
}

test('an input of a single version meets all the faults too', async () => {
  assertClean(await headless('--ops', '1', '--faults', FAULTS.join(','), '--seed', '3'));
});

test('planted bug: a server that does not deduplicate turns the checker red', async () => {
  const run = await headless('--faults', 'reset,kill', '--plant', 'no-dedupe');
  assert.equal(run.code, 1);
  assert.ok(run.result.duplicated > 0, run.out);
  assert.match(run.out, /duplicated: .*a second effect/);
});

test('planted bug: a client that acknowledges before it commits turns the checker red', async () => {
  const run = await headless('--faults', 'kill', '--plant', 'ack-before-commit');
  assert.equal(run.code, 1);
  assert.ok(run.result.lost > 0, run.out);
  assert.match(run.out, /lost: .*no effect, no fold or cancel record, no dead letter/);
});

test('input that cannot be used: exit code 2, file and line named, no result', async () => {
  const bad = join(folder, 'bad.jsonl');
  writeFileSync(bad, '{"doc":{"n":1}}\n{"doc":\n');
  for (const [args, message] of /** @type {[string[], string][]} */ ([
    [['--input', bad], `${bad}:2: not a JSON object`],
    [['--input', join(folder, 'missing.jsonl')], `${join(folder, 'missing.jsonl')}: no such file`],
    [['--mode', 'sideways'], '--mode is "sideways"'],
  ])) {
    const run = await headless(...args);
    assert.equal(run.code, 2, run.err);
    assert.ok(run.err.includes(message), run.err);
    assert.equal(run.out, '');
  }
});
