// For `npm run soak`: one seed of it is a run in which the worker is ended ten times in the middle of a drain, on top of 10 % answers of 500 and 10 % resets.
// Every third seed it is the whole browser that is killed, of the others every second one sends batches. Any seed runs again by itself in under a minute:
//
//     npm run test:faults -- --seed N --blow stop|kill --libraries tidegate|tidegate-batch
import { kFaults, runSeed } from './run.js';

const kPatienceMs = 45_000;

/**
 * @param {number} seed
 * @returns {Promise<{ok: boolean, stops: number, kills: number, lost: number, duplicated: number, thrownAway: number, findings: string[]}>}
 *     `stops` and `kills`: workers stopped and browsers killed, as counted by the distinct worker starts the server saw; none in a seed whose browser deleted its database
 *     (`thrownAway`), which shows nothing (that such a loss is told: tests/browser/kill.test.js)
 */
export async function run(seed) {
  const blow = seed % 3 === 0 ? 'kill' : 'stop';
  const library = seed % 2 === 0 ? 'tidegate-batch' : 'tidegate';
  const { lost, duplicated, left, starts, thrownAway, findings } = await runSeed({ library, seed, blow, patienceMs: kPatienceMs });
  if (thrownAway) return { ok: duplicated === 0, stops: 0, kills: 0, lost: 0, duplicated, thrownAway: 1, findings };
  const blows = starts - 1;
  const found = [...findings, ...(left > 0 ? [`${left} ops left after ${kPatienceMs} ms`] : []), ...(blows < kFaults.kills ? [`only ${blows} blows were seen by the server`] : [])];
  return {
    ok: lost === 0 && duplicated === 0 && found.length === 0, lost, duplicated, thrownAway: 0, [blow === 'stop' ? 'stops' : 'kills']: blows, [blow === 'stop' ? 'kills' : 'stops']: 0,
    findings: found,
  };
}
