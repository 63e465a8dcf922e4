// npm run bench -- scheduling [--json FILE]: how well the core's own policy schedules (bench/scheduling/, native): the order in windows that are too short,
// a herd after an outage, the radio's energy. Nothing here is timed. The links are bench/traces, or all of TIDEGATE_CORPORA.
import { writeFileSync } from 'node:fs';
import { at, mustRun } from '../scripts/lib.mjs';
import { cmakeBuild } from '../scripts/build.mjs';
import { Rows, quantile } from './measure.mjs';

const kInstances = 1000, kSmallInstances = 500;
const kSeeds = [1, 2, 3, 4, 5];
/** Seconds that nothing may wait longer than (`minInterval`). */
const kWaits = [60, 300, 900];
/** Seconds between two saves, on average, in the hour on the links. */
const kGaps = [30, 120];
const kPaceS = 300;
/** How the server is down, how it turns away what is too much, and the seconds of Retry-After it then asks for. */
const kHerds = { 'no answer while down': [0, 503, 0], '503 while down': [503, 503, 0], '503 while down, Retry-After when full': [503, 429, 30] };

const options = process.argv.slice(2);
if (options.length > 0 && (options[0] !== '--json' || !options[1] || options.length > 2)) throw new Error(`${options.join(' ')}: expected --json FILE`);
const links = process.env.TIDEGATE_CORPORA ?? at('bench', 'traces');

cmakeBuild('release', ['bench_scheduling'], { quiet: true });
/** The figures of one part. @param {(string | number)[]} part @returns {any} */
const run = (...part) => JSON.parse(mustRun(at('build', 'release', 'bench_scheduling'), part.map(String), { quiet: true }));

const rows = new Rows();
const mean = (/** @type {number[]} */ values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const percent = (/** @type {number} */ share) => `${(100 * share).toFixed(1)} %`;
const spread = (/** @type {number[]} */ values) => `worst ${percent(Math.min(...values))}, 1st/5th/25th/50th of 100: ${[0.01, 0.05, 0.25, 0.5].map((part) => percent(quantile(values, part))).join(', ')}`;

const table = run('table', kInstances);
rows.figure('short window: of the best order that knows as much', 100 * mean(table.ofOrder), '%', { atLeast: 95, peer: spread(table.ofOrder) });
rows.figure('short window: of the clairvoyant choice', 100 * mean(table.ofClairvoyant), '%', { atLeast: 90, peer: spread(table.ofClairvoyant) });
for (const [half, odd] of [['with dependencies', 1], ['without dependencies', 0]]) {
  const part = table.ofOrder.filter((/** @type {number} */ _, /** @type {number} */ index) => index % 2 === odd);
  rows.figure(`  the half ${half}, of the best order`, 100 * mean(part), '%', { peer: spread(part) });
}
rows.figure('  hard enough: first come first served', 100 * mean(table.fifo), '%', { atMost: 60, peer: 'of the clairvoyant choice' });
rows.figure('  hard enough: fixed priorities', 100 * mean(table.fixedPriority), '%', { atMost: 85, peer: 'of the clairvoyant choice' });

const traces = run('traces', links);
rows.figure(`links: worth there after half of an event, mean of ${traces.ours.length}`, 100 * mean(traces.ours), '%',
  { peer: `first come first served ${percent(mean(traces.fifo))}, fixed priorities ${percent(mean(traces.fixedPriority))}` });
for (const [name, peer] of [['first come first served', traces.fifo], ['fixed priorities', traces.fixedPriority]]) {
  const gains = traces.ours.map((/** @type {number} */ value, /** @type {number} */ index) => value / peer[index]);
  rows.figure(`  against ${name}, median`, quantile(gains, 0.5), 'x', { peer: `worst ${Math.min(...gains).toFixed(2)}x, better on ${percent(mean(gains.map((/** @type {number} */ gain) => (gain > 1 ? 1 : 0))))}` });
}

for (const [name, kind] of Object.entries(kHerds)) {
  const herds = kSeeds.map((seed) => run('herd', ...kind, seed));
  const worst = (/** @type {string} */ key) => Math.max(...herds.map((herd) => herd[key]));
  rows.figure(`herd, ${name}: peak, worst of ${kSeeds.length} seeds`, worst('peak'), 'req/s', { atMost: 1.5 * herds[0].capacity, peer: `all ${herds.map((herd) => herd.peak).join(', ')}; first second ${worst('firstSecond')}` });
  rows.figure('  requests per client', worst('requestsPerClient'), '', { atMost: 10, peer: `at most ${worst('mostRequests')}; there after ${worst('medianS').toFixed(0)} s (median), ${worst('p99S').toFixed(0)} s (99 of 100); ${worst('left')} left` });
}

for (const wait of kWaits) {
  const { ratios, lateS } = run('energy', wait, kSmallInstances);
  rows.figure(`energy (LTE), small, minInterval ${wait} s: worst of ${ratios.length}`, Math.max(...ratios), 'x least', { atMost: 2, peer: `mean ${mean(ratios).toFixed(2)}x; ${lateS > 0 ? `up to ${lateS.toFixed(2)} s late` : 'none late'}` });
}
for (const gap of kGaps)
  for (const pace of [0, kPaceS]) {
    const hour = run('hour', links, gap, pace);
    for (const radio of ['LTE', '3G']) {
      const { naiveJ, oursJ } = hour[radio];
      const share = (/** @type {number} */ joules) => (100 * joules) / hour.batteryJ;
      rows.figure(`an hour, a save every ${gap} s, ${radio}${pace ? `, minInterval ${pace} s` : ''}: worst link`, share(Math.max(...oursJ)), '% battery',
        { atMost: 5, peer: `mean ${share(mean(oursJ)).toFixed(2)} %; each at once ${share(mean(naiveJ)).toFixed(2)} %, worst ${share(Math.max(...naiveJ)).toFixed(2)} %` });
    }
  }

if (options[1]) writeFileSync(options[1], `${JSON.stringify(rows, null, 2)}\n`);
