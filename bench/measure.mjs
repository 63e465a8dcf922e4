// How the benches measure: contenders run interleaved in rounds, each round gives one ratio, a row shows the median and the quartiles.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus, loadavg, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Microseconds of this thread's CPU time where the add-on builds, else of wall time. @returns {{name: string, now: () => number}} */
function makeClock() {
  const source = fileURLToPath(new URL('clock/cpu_clock.c', import.meta.url));
  const include = [join(dirname(process.execPath), '../include/node'), '/usr/include/node'].find((path) => existsSync(join(path, 'node_api.h')));
  const folder = join(tmpdir(), `tidegate-bench-${createHash('sha256').update(readFileSync(source)).update(process.version).digest('hex').slice(0, 12)}`);
  const file = join(folder, 'cpu_clock.node');
  if (include && !existsSync(file)) {
    mkdirSync(folder, { recursive: true });
    spawnSync('cc', ['-O2', '-shared', '-fPIC', '-I', include, source, '-o', file]);
  }
  if (existsSync(file)) return { name: 'main-thread CPU time', now: createRequire(import.meta.url)(file) };
  return { name: 'wall clock (the CPU clock add-on did not build)', now: () => performance.now() * 1000 };
}

export const clock = makeClock();
export const kRounds = 15;

/** @param {number[]} values @param {number} part */
export function quantile(values, part) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * part, low = Math.floor(at);
  return sorted[low] + (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]) * (at - low);
}

export const median = (/** @type {number[]} */ values) => quantile(values, 0.5);

/**
 * Runs the contenders over `items`, `perRound` of them in each round, order rotating. A contender may take a share of the round's items
 * (`share`, for slow ones); its time is per item either way.
 * @param {{contenders: Record<string, {run: (item: any, index: number) => unknown, share?: number, many?: (items: any[]) => unknown}>, items: any[], perRound?: number, rounds?: number}} options
 * @returns {Record<string, number[]>} microseconds per item, by contender and round
 */
export function measure({ contenders, items, perRound = items.length, rounds = kRounds }) {
  const names = Object.keys(contenders);
  /** @type {Record<string, number[]>} */
  const times = Object.fromEntries(names.map((name) => [name, []]));
  const pass = (/** @type {string} */ name, /** @type {number} */ round) => {
    const { run, many, share = 1 } = contenders[name];
    const part = [];
    for (let i = 0; i < Math.max(1, Math.round(perRound * share)); i++) part.push(items[(round * perRound + i) % items.length]);
    const start = clock.now();
    if (many) many(part);
    else for (let i = 0; i < part.length; i++) run(part[i], i);
    return (clock.now() - start) / part.length;
  };
  for (let round = -3; round < rounds; round++) {   // the first three warm up
    for (let i = 0; i < names.length; i++) {
      const name = names[(i + round + 3) % names.length];
      const time = pass(name, round + 3);
      if (round >= 0) times[name].push(time);
    }
  }
  return times;
}

/** The rows of one bench, printed as they come. */
export class Rows {
  /** @type {any[]} */
  rows = [];

  /**
   * How many times faster ours is than the peer. @param {string} name @param {Record<string, number[]>} times @param {string} ours @param {string} peer
   * @param {number | null} goal null: no goal, print only
   */
  ratio(name, times, ours, peer, goal) {
    const ratios = times[peer].map((time, round) => time / times[ours][round]);
    const [low, ratio, high] = [0.25, 0.5, 0.75].map((part) => quantile(ratios, part));
    this.add({ name, value: median(times[ours]), unit: 'us', peer: `${peer} ${median(times[peer]).toFixed(1)} us`, ratio, low, high, goal, met: goal === null ? null : low >= goal });
  }

  /** A plain figure with an upper or lower bound. @param {string} name @param {number} value @param {string} unit @param {{atMost?: number, atLeast?: number, peer?: string}} [bound] */
  figure(name, value, unit, { atMost, atLeast, peer = '' } = {}) {
    const goal = atMost ?? atLeast ?? null;
    const met = goal === null ? null : atMost === undefined ? value >= goal : value <= goal;
    this.add({ name, value, unit, peer, ratio: null, low: null, high: null, goal, met });
  }

  /** A figure of each round, with an upper bound that three rounds of four keep. @param {string} name @param {number[]} values @param {string} unit @param {{atMost: number, peer?: string}} bound */
  rounds(name, values, unit, { atMost, peer = '' }) {
    const [low, value, high] = [0.25, 0.5, 0.75].map((part) => quantile(values, part));
    this.add({ name, value, unit, peer: `${low.toFixed(1)}–${high.toFixed(1)}, worst of ${values.length} ${Math.max(...values).toFixed(1)}${peer && `; ${peer}`}`, ratio: null, low, high, goal: atMost, met: high <= atMost });
  }

  /** The worst of all rounds, with an upper bound that none may break. @param {string} name @param {number[]} values @param {string} unit @param {{atMost: number}} bound */
  worst(name, values, unit, { atMost }) {
    const [low, middle, high] = [0.25, 0.5, 0.75].map((part) => quantile(values, part)), value = Math.max(...values);
    this.add({ name, value, unit, peer: `worst of ${values.length} rounds; median ${middle.toFixed(1)} (${low.toFixed(1)}–${high.toFixed(1)})`, ratio: null, low, high, goal: atMost, met: value <= atMost });
  }

  /** @param {any} row */
  add(row) {
    this.rows.push(row);
    const number = (/** @type {number | null} */ value) => (value === null ? '' : Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(2));
    const ratio = row.ratio === null ? '' : `${number(row.ratio)}x (${number(row.low)}–${number(row.high)})`;
    const verdict = row.met === null ? '' : row.met ? 'met' : 'MISSED';
    console.log([row.name.padEnd(52), `${number(row.value)} ${row.unit}`.padStart(12), ratio.padStart(24), row.goal === null ? ''.padStart(8) : `goal ${row.goal}`.padStart(10), verdict.padEnd(6), row.peer].join('  '));
  }

  toJSON() {
    return { clock: clock.name, loadAverage: loadavg(), node: process.version, cpu: cpus()[0]?.model, cpus: cpus().length, rows: this.rows };
  }
}
