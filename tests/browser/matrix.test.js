// The kill matrix, a slice of it: the worker (or the page that saves) ended, and the browser killed, at awaits drawn from all of each phase. All of them:
// npm run soak -- --only matrix. TG_SEED draws the same ones again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRandom } from '../../headless/random.mjs';
import { Matrix, kPhases } from './harness/matrix.js';
import { openScene, whileStorageLasts } from './harness/scene.js';

const kStopsPerPhase = 3;
const kKillsPerPhase = 1;
const kMostLate = 8;
const kFewestPoints = { accept: 8, drain: 40, conflict: 60, refresh: 45, upload: 60, 'accept a blob': 10 };
const seed = Number(process.env.TG_SEED ?? Math.floor(Math.random() * 2 ** 31));

for (const phase of Object.keys(kPhases))
  test(`ended at an await of ${phase}: nothing is lost or doubled, and page and server agree`, (t) => whileStorageLasts(t, {}, async (scene) => {
    const matrix = new Matrix(scene);
    await matrix.start();
    const points = (await matrix.points(phase)).length;
    const random = createRandom(seed, phase);
    const drawn = Array.from({ length: kStopsPerPhase + kKillsPerPhase }, () => random.integer(1, points));
    t.diagnostic(`TG_SEED=${seed}: ${points} points, stopped at ${drawn.slice(0, kStopsPerPhase).join(', ')}, killed at ${drawn.slice(kStopsPerPhase).join(', ')}`);
    assert.ok(points >= kFewestPoints[phase], `${points} points`);
    let late = 0;
    for (let [i, at] of drawn.entries())   // the number of points differs a little from run to run: one that was not reached is drawn again, before it
      while (!(await matrix.dies(phase, at, i < kStopsPerPhase ? 'stop' : 'kill'))) {
        assert.ok(++late <= kMostLate, `${late} points were not reached, the last of them ${at} of ${points}`);
        at = random.integer(1, at - 1);
      }
    assert.equal(matrix.deaths.size, drawn.length, 'each death was another start');
    assert.deepEqual(scene.gateway.violations, []);
  }));

test('a server that does not know its keys again is found out: these tests can fail', async (t) => {
  const scene = await openScene(t, { server: ['--plant', 'no-dedupe'] });
  const matrix = new Matrix(scene);
  await matrix.start();
  const answered = (await matrix.points('drain')).indexOf('fetch answered') + 1;
  const found = async () => {   // the number of points before it differs a little from run to run: one of these lies between the effect and its record here
    for (let at = answered; at < answered + 12; at++) await matrix.dies('drain', at, 'stop');
  };
  await assert.rejects(found(), /^Error: drain, stop at point \d+ \(.+\): an op has two effects/);
});
