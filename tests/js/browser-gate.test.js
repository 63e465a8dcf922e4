// The gate of the browser suites: a run in which nothing failed may still not pass.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resultOf } from '../../scripts/test-browsers.mjs';

const tap = (lines, counts) => ({ code: 0, output: ['TAP version 13', ...lines, ...Object.entries(counts).map(([word, n]) => `# ${word} ${n}`), ''].join('\n') });

test('a skip that no list allows fails its suite, and so does one marked as to be done; one that is allowed is counted as skipped', () => {
  const run = tap(['ok 1 - drain', 'ok 2 - restart # SKIP no profile here', 'ok 3 - later # ' + 'TO' + 'DO', '    ok 1 - inner # SKIP'], { pass: 1, fail: 0, cancelled: 0 });
  const strict = resultOf('common', run, []);
  assert.deepEqual([strict.passed, strict.failed, strict.skipped], [1, 3, [{ test: 'restart', reason: 'no profile here' }, { test: 'later', reason: '' }, { test: 'inner', reason: '' }]]);
  assert.ok(strict.faults.every((fault) => /skips\.json does not allow it: (restart|later|inner)$/.test(fault)));
  const lenient = resultOf('common', run, ['restart', 'inner']);
  assert.deepEqual([lenient.failed, lenient.faults.length], [1, 1]);
  assert.equal(resultOf('common', run, ['restart', 'later', 'inner']).failed, 0);
});

test('a suite that ran nothing, whose process failed, or whose tests were cancelled has failed', () => {
  assert.deepEqual(resultOf('empty', tap([], { pass: 0, fail: 0, cancelled: 0 }), []), { suite: 'empty', passed: 0, failed: 1, skipped: [], faults: ['no test ran'] });
  assert.equal(resultOf('all skipped', tap(['ok 1 - a # SKIP'], { pass: 0, fail: 0 }), ['a']).failed, 1);
  assert.equal(resultOf('crashed', { ...tap(['ok 1 - a'], { pass: 1, fail: 0 }), code: 7 }, []).failed, 1);
  assert.equal(resultOf('cancelled', { ...tap(['ok 1 - a'], { pass: 1, fail: 1, cancelled: 2 }), code: 1 }, []).failed, 3);
  assert.equal(resultOf('good', tap(['ok 1 - a'], { pass: 1, fail: 0, cancelled: 0 }), []).failed, 0);
});
