// The slice of the soak that runs with every build: three times ten workers stopped, once ten browsers killed, on top of 10 % answers of 500 and 10 % resets.
// `npm run test:faults` prints the same next to workbox, `npm run soak` does it for hours.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kFaults, runSeed } from '../faults/run.js';

/** What CI runs on may be busy; how long it takes is for test:faults to say. */
const kPatienceMs = 90_000;

for (const [library, blow, seed] of [['tidegate', 'stop', 101], ['tidegate-batch', 'stop', 102], ['tidegate', 'stop', 103], ['tidegate-batch', 'kill', 104]])
  test(`${library}, seed ${seed}: ten times ${blow === 'stop' ? 'the worker stopped' : 'the browser killed'} in the middle of a drain, nothing lost, doubled or left`, async (t) => {
    const result = await runSeed({ library, seed, blow, patienceMs: kPatienceMs });
    t.diagnostic(JSON.stringify(result));
    const { lost, duplicated, left, findings, starts } = result;
    assert.deepEqual({ lost, duplicated, left, findings }, { lost: 0, duplicated: 0, left: 0, findings: [] });
    assert.ok(starts - 1 >= kFaults.kills, `the server saw ${starts} starts of the worker`);
    assert.ok(result.answered500 > 0 && result.resets + result.answered500 > 2, 'the faults happened');
  });

test('a drop-in queue under the same blows loses nothing', async (t) => {
  const { lost, duplicated, findings, starts } = await runSeed({ library: 'drop-in', seed: 105, faults: { ...kFaults, ops: 60, rate500: 0.02, rateReset: 0.02, kills: 5 }, patienceMs: kPatienceMs });
  t.diagnostic(`${starts} starts`);
  assert.deepEqual({ lost, duplicated, findings }, { lost: 0, duplicated: 0, findings: [] });
});

test('workbox under the same blows is seen to lose and to double: these tests can fail', async () => {
  const { lost, duplicated } = await runSeed({ library: 'workbox', seed: 106, faults: { ...kFaults, ops: 100, kills: 3 }, patienceMs: kPatienceMs });
  assert.ok(lost > 0 && duplicated > 0, `lost ${lost}, doubled ${duplicated}`);
});
