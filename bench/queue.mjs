// npm run bench -- queue [--json FILE]: choosing a batch and ordering a queue from scratch beside what JavaScript offers (a bench-only Wasm of the core's own
// sources, bench/queue/queue.cpp), and the planner as it ships with long queues: one warm step, the longest step, a restore.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import FlatQueue from 'flatqueue';
import { Engine } from 'json-rules-engine';
import TinyQueue from 'tinyqueue';
import { at } from '../scripts/lib.mjs';
import { cmakeConfigure } from '../scripts/build.mjs';
import { generator } from './corpus.mjs';
import { Rows, clock, kRounds, measure, median, quantile } from './measure.mjs';
import { fullPlanner, restored } from './queue/planner.mjs';

const kMaxOps = 50, kMaxBytes = 200_000;
const kNow = 1_795_262_400_000, kMsPerPoint = 180_000, kHeadStartMs = 4 * 3_600_000 + 200 * kMsPerPoint;
const kOpsInRound = 200_000;
const kEngineOps = 200, kCycles = 10;
/** No step is to be longer: half of a frame, on a machine like this. */
const kStepMs = 8;
/** Ops the planner takes: kMaxQueuedOps of the core. */
const kQueued = [1_000, 10_000, 100_000];

const options = process.argv.slice(2);
if (options.length > 0 && (options[0] !== '--json' || !options[1] || options.length > 2)) throw new Error(`${options.join(' ')}: expected --json FILE`);
const rows = new Rows();
console.log(`clock: ${clock.name}; load ${loadavg().map((x) => x.toFixed(1)).join(' ')}; node ${process.version}; ${kRounds} rounds`);

/** The core's sources as a queue alone. @returns {any} */
function queueAlone() {
  cmakeConfigure('release');   // lays out the JSON header that em++ is to see
  const file = join(mkdtempSync(join(tmpdir(), 'tidegate-bench-')), 'queue.wasm');
  const sources = ['bench/queue/queue.cpp', 'wasm/tidegate/batch.cpp', 'wasm/tidegate/priority.cpp'];
  const { status, stderr } = spawnSync('em++', ['-O3', '-flto', '-std=c++20', '-msimd128', '-mbulk-memory', '-fno-exceptions', '-fno-rtti', '-DJSON_NOEXCEPTION', '-Iwasm',
    '-isystem', 'build/release/third_party/tg_json', ...sources, '-o', file, '--no-entry', '-sSTANDALONE_WASM', '-sALLOW_MEMORY_GROWTH=1'], { cwd: at(), encoding: 'utf8' });
  if (status !== 0) throw new Error(`em++ could not build bench/queue/queue.cpp: ${stderr}`);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(file)), { env: { emscripten_notify_memory_growth() {} }, wasi_snapshot_preview1: { proc_exit() {} } });
  /** @type {any} */ (exports)._initialize?.();
  return exports;
}

/** Ops in columns, and as the objects an app would keep. @param {number} count */
function makeOps(count) {
  const random = generator(count);
  const columns = {
    created: new Float64Array(count), bytes: new Uint32Array(count), people: new Uint32Array(count),
    band: new Uint8Array(count), severity: new Uint8Array(count), kind: new Uint8Array(count), photos: new Uint8Array(count), urgent: new Uint8Array(count),
  };
  const objects = Array.from({ length: count }, (_, id) => {
    const what = random.next();
    const op = {
      id, created: kNow - Math.floor(random.next() * 7 * 86_400_000), bytes: 200 + Math.floor(random.next() * 7800), people: Math.floor(random.next() * 3000),
      band: what < 0.02 ? 3 : what < 0.2 ? 2 : what < 0.7 ? 1 : 0, severity: Math.floor(random.next() * 6), kind: Math.floor(random.next() * 5), photos: Math.floor(random.next() * 12), urgent: random.next() < 0.1 ? 1 : 0,
    };
    for (const [name, column] of Object.entries(columns)) column[id] = op[name];
    return op;
  });
  return { count, columns, objects };
}

const kRules = [
  { name: 'severe', points: 25, when: (op) => op.severity >= 4 }, { name: 'many people', points: 20, when: (op) => op.people >= 1000 }, { name: 'inspection', points: 15, when: (op) => op.kind === 3 },
  { name: 'many photos', points: -10, when: (op) => op.photos > 8 }, { name: 'urgent', points: 30, when: (op) => op.urgent === 1 },
];
const keyOf = (band, points, created) => created - Math.min(200, Math.max(0, 25 * (band + 1) + points)) * kMsPerPoint - (band === 3 ? kHeadStartMs : 0);

/** The first that fit, as the core passes over what does not. @param {{id: number, bytes: number}[]} sorted */
function greedy(sorted) {
  const chosen = [];
  let bytes = 0;
  for (const op of sorted) {
    if (bytes + op.bytes > kMaxBytes) continue;
    bytes += op.bytes;
    chosen.push(op.id);
    if (chosen.length === kMaxOps) break;
  }
  return chosen;
}

const byRules = ({ objects }) => greedy(objects
  .map((op) => ({ id: op.id, bytes: op.bytes, key: keyOf(op.band, kRules.reduce((sum, rule) => sum + (rule.when(op) ? rule.points : 0), 0), op.created) }))
  .sort((a, b) => a.key - b.key || a.id - b.id));

/** The best JavaScript we know: columns, rules written out, a threshold that drops nearly everything at once. */
function byTypedArrays({ count, columns: { created, bytes, people, band, severity, kind, photos, urgent } }) {
  const keep = kMaxOps + 65;
  let best = [], limit = Infinity;
  const byKey = (a, b) => a.key - b.key || a.id - b.id;
  for (let i = 0; i < count; i++) {
    const points = 25 * (band[i] + 1) + (severity[i] >= 4 ? 25 : 0) + (people[i] >= 1000 ? 20 : 0) + (kind[i] === 3 ? 15 : 0) - (photos[i] > 8 ? 10 : 0) + (urgent[i] ? 30 : 0);
    const key = created[i] - (points < 0 ? 0 : points > 200 ? 200 : points) * kMsPerPoint - (band[i] === 3 ? kHeadStartMs : 0);
    if (key >= limit) continue;
    best.push({ key, id: i, bytes: bytes[i] });
    if (best.length < 1024) continue;
    best = best.sort(byKey).slice(0, keep);
    limit = best[keep - 1].key;
  }
  return greedy(best.sort(byKey));
}

const core = queueAlone();
/** Columns into Wasm memory, once: there they live. */
function place({ count, columns }) {
  core.room(count);
  const starts = Object.keys(columns).map((_, index) => core.column(index));
  Object.values(columns).forEach((column, index) => new /** @type {any} */ (column.constructor)(core.memory.buffer, starts[index], count).set(column));
}
const result = (count) => new Uint32Array(core.memory.buffer, core.result(), count);
const byCore = () => [...result(core.choose(kMaxOps, kMaxBytes))];

/** Microseconds an op costs json-rules-engine with the same five rules. @param {any[]} ops */
async function rulesEngine(ops) {
  const engine = new Engine();
  const facts = [['severity', 'greaterThanInclusive', 4, 25], ['people', 'greaterThanInclusive', 1000, 20], ['kind', 'equal', 3, 15], ['photos', 'greaterThan', 8, -10], ['urgent', 'equal', 1, 30]];
  for (const [fact, operator, value, points] of facts) engine.addRule({ conditions: { all: [{ fact, operator, value }] }, event: { type: 'points', params: { points } } });
  const run = async () => { for (const op of ops) await engine.run(op); };
  await run();
  const start = clock.now();
  await run();
  return (clock.now() - start) / ops.length;
}

/** So often in a round that it lasts a while. @param {any} ops */
const again = (ops) => Array(Math.max(1, kOpsInRound / ops.count)).fill(ops);
const label = (count) => (count === 1_000_000 ? '1M' : `${count / 1000}k`);
for (const [count, against, typed] of [[10_000, 40, 3.5], [1_000_000, 300, 3.5]]) {
  const ops = makeOps(count);
  place(ops);
  if (`${byCore()}` !== `${byRules(ops)}` || `${byCore()}` !== `${byTypedArrays(ops)}`) throw new Error(`${label(count)}: the contenders choose different batches`);
  const times = measure({ items: again(ops), contenders: { ours: { run: byCore }, 'rule objects + sort': { run: byRules }, 'typed arrays': { run: byTypedArrays } } });
  rows.ratio(`best 50 of ${label(count)}, 5 rules, against rule objects + sort`, times, 'ours', 'rule objects + sort', against);
  rows.ratio('  against the best typed-array JavaScript', times, 'ours', 'typed arrays', typed);
  const engine = await rulesEngine(ops.objects.slice(0, kEngineOps));
  rows.figure(`  json-rules-engine, ${label(count)} (from ${kEngineOps})`, engine * count / 1e6, 's', { peer: `${engine.toFixed(1)} us an op` });
}

for (const [count, tiny, flat] of [[10_000, 18, 5], [1_000_000, 40, 10]]) {
  const ops = makeOps(count);
  const keys = ops.objects.map((op) => keyOf(op.band, kRules.reduce((sum, rule) => sum + (rule.when(op) ? rule.points : 0), 0), op.created));
  const items = keys.map((key, id) => ({ key, id }));
  const inBulk = () => {
    place(ops);
    core.order();
    return result(count).slice();
  };
  const contenders = {
    ours: { run: inBulk },
    tinyqueue: { run: () => { const queue = new TinyQueue([], (a, b) => a.key - b.key || a.id - b.id); for (const item of items) queue.push(item); const out = new Uint32Array(count); for (let i = 0; i < count; i++) out[i] = queue.pop().id; return out; } },
    flatqueue: { run: () => { const queue = new FlatQueue(); for (let i = 0; i < count; i++) queue.push(i, keys[i]); const out = new Uint32Array(count); for (let i = 0; i < count; i++) out[i] = queue.pop(); return out; } },
  };
  if (Buffer.compare(Buffer.from(inBulk().buffer), Buffer.from(contenders.tinyqueue.run().buffer)) !== 0) throw new Error(`${label(count)}: the queues disagree`);
  const times = measure({ items: again(ops), contenders });
  rows.ratio(`push + pop all, ${label(count)}, in bulk (a queue alone), against tinyqueue`, times, 'ours', 'tinyqueue', tiny);
  rows.ratio('  against flatqueue', times, 'ours', 'flatqueue', flat);
}

// The planner as it ships. Its rows go in as the shell gives them; every outcome is answered at once.
const planners = await Promise.all(kQueued.map(async (count) => /** @type {const} */ ([label(count), await fullPlanner(count)])));
/** @type {Record<string, number[]>} */
const times = Object.fromEntries(planners.map(([name]) => [name, []]));
for (let round = -3; round < kRounds; round++) {
  for (const [name, planner] of planners) {
    let spent = 0;
    for (let i = 0; i < kCycles; i++) spent += planner.cycle();
    if (round >= 0) times[name].push(spent / kCycles);
  }
}
rows.figure('one warm step at 1k queued: an outcome in, the next 50 out', median(times['1k']), 'us');
for (const name of ['10k', '100k']) {
  const slower = times[name].map((time, round) => time / times['1k'][round]);
  const [low, ratio, high] = [0.25, 0.5, 0.75].map((part) => quantile(slower, part));
  rows.add({ name: `  at ${name}, times that at 1k${name === '100k' ? ', the most the core takes' : ''}`, value: median(times[name]), unit: 'us', peer: '', ratio, low, high, goal: 2, met: high <= 2 });
}
const kAsked = [{ type: 'status' }, { type: 'metrics' }, { type: 'preview' }, { type: 'explain', id: '01990000-0000-7000-8000-000000099999' }];
for (const [what, edits] of /** @type {const} */ ([['small ops', false], ['edits of 2 kB', true]])) {
  // In a process of its own, as a worker is: what the rows above leave behind in V8 (its table of strings, its heap) is none of the steps' business.
  const { stdout, stderr } = spawnSync(process.execPath, [at('bench/queue/steps.mjs'), JSON.stringify({ count: kQueued[2], edits, rounds: kRounds, also: kAsked })], { encoding: 'utf8' });
  if (!stdout) throw new Error(stderr);
  const longest = JSON.parse(stdout);
  rows.worst(`100k ${what} queued, settings as they come: the longest step`, longest.sending, 'ms', { atMost: kStepMs });
  rows.worst('  of status, metrics, explain and preview', longest.asking, 'ms', { atMost: kStepMs });
  rows.worst('  that reads a window of rows', longest.reading, 'ms', { atMost: kStepMs });
}
const restore = await restored(kQueued[2]);
rows.figure('restore of 100k ops, from their rows', restore.nsPerOp, 'ns/op');
rows.figure('  Wasm heap then', restore.heapBytes / 2 ** 20, 'MiB', { atMost: 64 });
const sim = spawnSync(process.execPath, [at('scripts/sim.mjs'), '--seeds', '100', '--processes', '1'], { encoding: 'utf8', maxBuffer: 1 << 26 });
rows.figure('simulator: op-attempts a minute on one core', JSON.parse(sim.stdout.trimEnd().split('\n').at(-1) ?? '').attemptsPerMinutePerProcess, '', { atLeast: 1e6 });

if (options[1]) writeFileSync(options[1], `${JSON.stringify(rows, null, 2)}\n`);
