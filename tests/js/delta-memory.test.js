// Out of memory, really: a Node whose Wasm memory may not grow beyond 48 MB. The call that needs more is refused, the instance is replaced, the next call
// works; in a batch only the culprit is refused.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';

const kPages = 768;   // of 64 KiB

/** @param {string} body @returns {any} */
function underTheCap(body) {
  const script = `import { DeltaError, apply, applyDelta, diff, diffMany, encodeDelta } from ${JSON.stringify(new URL('../../wasm/delta.js', import.meta.url).href)};
    const refused = (call) => { try { call(); return 'was not refused'; } catch (error) { return error instanceof DeltaError ? error.code : String(error); } };
    const big = (mb) => '{"pad":"' + 'x'.repeat(mb << 20) + '"}';
    ${body}`;
  const { stdout, stderr, status } = spawnSync(process.execPath, [`--wasm-max-mem-pages=${kPages}`, '--input-type=module', '-e', script], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout);
}

test('a document that does not fit is refused, and the next call works', () => {
  const { codes, patches } = underTheCap(`
    const codes = [], patches = [];
    for (let i = 0; i < 3; i++) {
      codes.push(refused(() => diff(big(40), big(41))));
      patches.push(diff('{"a":1}', '{"a":2}'));
    }
    console.log(JSON.stringify({ codes, patches }));`);
  for (const code of codes) assert.ok(code === 'memory' || code === 'trapped', code);
  assert.deepEqual(patches, Array(3).fill('[{"op":"add","path":"/a","value":2}]'));
});

test('memory that runs out in the middle of a call: the call traps, the instance is replaced', () => {
  const { code, patch, back } = underTheCap(`
    const base = new Uint8Array(14 << 20), next = new Uint8Array(30 << 20);
    const delta = encodeDelta(new Uint8Array(1 << 20), next.subarray(0, 1 << 20));
    const code = refused(() => apply(big(6), JSON.stringify(Array.from({ length: 12 }, (_, i) => ({ op: 'copy', from: '/pad', path: '/p' + i })))));
    const small = base.subarray(0, 1000);
    console.log(JSON.stringify({ code, patch: diff('[1]', '[2]'), back: applyDelta(small, encodeDelta(small, small)).length }));`);
  assert.ok(code === 'trapped' || code === 'memory' || code === 'patch-limit', code);
  assert.equal(code, 'trapped');
  assert.equal(patch, '[{"op":"replace","path":"/0","value":2}]');
  assert.equal(back, 1000);
});

test('in a batch the culprit alone is refused', () => {
  const { results } = underTheCap(`
    const many = (n) => '[' + Array.from({ length: n }, (_, i) => i).join(',') + ']';
    const pairs = [['{"a":1}', '{"a":2}'], [many(400000), many(400001).replace('0,', '-1,').split(',').reverse().join(',').replace(/^(\\d+)\\]/, '[$1').replace(/\\[(-?\\d+)$/, '$1]')], ['[1]', '[1,2]']];
    const results = diffMany(pairs).map((result) => (result instanceof DeltaError ? result.code : typeof result === 'string' && result.length < 100 ? result : 'long'));
    console.log(JSON.stringify({ results }));`);
  assert.equal(results[0], '[{"op":"add","path":"/a","value":2}]');
  assert.equal(results[2], '[{"op":"add","path":"/1","value":2}]');
  assert.ok(results[1] === 'trapped' || results[1] === 'memory', results[1]);
});
