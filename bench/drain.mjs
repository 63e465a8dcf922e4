// npm run bench -- drain [--rounds 1] [--json FILE]: a queue of 1 000 is drained in Chromium by its service worker, Tidegate's beside that of
// workbox-background-sync 7.4.1, over the same line in the same run.
//
// The line is Chromium's own emulation on the worker's session (latency and upload rate per request; no handshakes). The clock runs from the moment the worker is
// online to the moment the server has done the last op. Latency makes one request after the other exactly linear, so what sends one by one over
// the slow line is measured on a tenth and counted ten times.
//
// The last rows are of the page: open, with <tidegate-progress> in it, while 1 000 ops drain as fast as this machine can. Its longest task is what the browser's
// own trace says of the page's thread, the time included in which the thread was ready and another process had the core. How late a timer of 4 ms comes at
// most is the longest time that anything kept the page, ours or not. Of each round one figure; the bound is for the upper quartile.
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { openLibrary, openTidegateWith } from '../tests/faults/libraries.js';
import { Gate } from '../tests/faults/gate.js';
import { Machine } from '../tests/faults/run.js';
import { createSite } from '../tests/faults/site.js';
import { until } from '../tests/browser/harness/until.js';
import { forms } from './corpus.mjs';
import { Rows, median } from './measure.mjs';

const kOps = 1_000;
const kSeed = 42;
const kPatienceMs = 400_000;
const kNear = { latency: 50, uploadThroughput: -1 };
const kSlow = { latency: 150, uploadThroughput: 750_000 / 8 };
const kNoFaults = { ops: kOps, rate500: 0, rateReset: 0, kills: 0, seed: 1, killAfter: /** @type {[number, number]} */ ([1, 1]) };
/** The browser's own limit for one HTTP/1.1 host. */
const kConnections = 6;

let rounds = 1, json = '';
for (let args = process.argv.slice(2); args.length > 0; args = args.slice(2)) {
  if (args[0] === '--rounds' && /^[1-9]\d?$/.test(args[1] ?? '')) rounds = Number(args[1]);
  else if (args[0] === '--json' && args[1]) json = args[1];
  else throw new Error(`${args[0]} ${args[1] ?? ''}: expected --rounds N or --json FILE`);
}

const version = JSON.parse(readFileSync(createRequire(import.meta.url).resolve('workbox-background-sync/package.json'), 'utf8')).version;
console.log(`Tidegate beside workbox-background-sync ${version} in Chromium, ${kOps} ops, ${rounds} round(s)`);

/** @param {Promise<any>} opening @param {(scene: {machine: Machine, gate: Gate, library: any}) => Promise<any>} work */
async function onMachine(opening, work) {
  const library = await opening;
  const gate = new Gate({ files: await createSite(), upstream: library.upstream, opsOf: library.opsOf, ...kNoFaults });
  const machine = new Machine(gate);
  try {
    await gate.open();
    await machine.start();
    return await work({ machine, gate, library });
  } finally {
    await machine.end();
    await gate.close();
    await library.close();
  }
}

/** Milliseconds and bytes until the server has done `count` ops. @param {{machine: Machine, gate: Gate}} scene @param {number} count @param {object} line @param {() => Promise<any>} [begin] */
async function drained({ machine, gate }, count, line, begin) {
  gate.deliveries.clear();
  const [bytes, writes] = [gate.bytes, gate.writes];
  const startedAt = performance.now();
  await machine.goOnlineOver(/** @type {any} */ (line));
  await begin?.();
  await until(() => gate.deliveries.size >= count, 'the last op', { patienceMs: kPatienceMs, seen: () => gate.deliveries.size });
  return { ms: gate.lastAt - startedAt, bytes: gate.bytes - bytes, requests: gate.writes - writes };
}

const small = Array.from({ length: kOps }, (_, n) => ({ n, kind: 'reading', site: `site-${n % 40}`, value: (n * 7919) % 1000, unit: 'kPa', at: 1_790_000_000_000 + n * 61_000, note: 'checked' }));
const edits = forms(kOps, kSeed).map(({ base, next }, n) => ({ base: { ...base, n }, next: { ...next, n } }));

/** 1 000 small creates queued offline, then the line. */
const drainSmall = (opening) => onMachine(opening, async (scene) => {
  const { library } = scene;
  await scene.machine.queue(library, small);
  return drained(scene, kOps, kNear);
});

/** Forms the server has, each edited once offline. */
const drainEdits = (opening) => onMachine(opening, async (scene) => {
  const { machine, gate, library } = scene;
  const page = await machine.open(library.path);
  await library.ready(page);
  await machine.holdWorker();
  await library.queue(page, edits.map(({ base }) => base));
  await until(async () => gate.deliveries.size >= kOps && (await machine.left(library.store)) === 0, 'the forms to be there', { patienceMs: kPatienceMs, seen: () => gate.deliveries.size });
  await machine.goOffline();
  await library.queue(page, edits.map(({ next }) => next));
  await page.close();
  return drained(scene, kOps, kSlow);
});

/** A tenth of the edits, whole, as workbox keeps them; times ten. */
const drainWhole = (opening) => onMachine(opening, async (scene) => {
  const { library } = scene;
  const some = edits.slice(0, kOps / 10).map(({ next }) => next);
  await scene.machine.queue(library, some);
  return tenfold(await drained(scene, some.length, kSlow));
});

/** The same bytes as plain requests, `width` at a time: what the best queue without delta and batches could do. */
const drainPlainly = (opening, width) => onMachine(opening, async (scene) => {
  const { machine, library } = scene;
  const page = await machine.open(library.path);
  await library.ready(page);
  await machine.holdWorker();
  const some = edits.slice(0, kOps / 10).map(({ next }) => ({ id: `e${next.n}`, body: JSON.stringify(next) }));
  return tenfold(await drained(scene, some.length, kSlow, () => page.run((list, width) => window.sendPlainly(list, width), some, width)));
});
const tenfold = ({ ms, bytes, requests }) => ({ ms: 10 * ms, bytes: 10 * bytes, requests: 10 * requests });

/** Milliseconds to accept 1 000 ops while offline: one after the other, or issued together. */
const accept = (opening, together) => onMachine(opening, async ({ machine, library }) => {
  const page = await machine.open(library.path);
  await library.ready(page);
  await machine.holdWorker();
  await machine.goOffline();
  return { ms: await library.accept(page, small, together), bytes: 0, requests: 0 };
});

/** Of the page, while everything drains: its longest task, and the longest wait of a short timer, in ms. @param {string} path  what is added to the page's address */
const watched = (path) => onMachine(openTidegateWith({}), async ({ machine, gate, library }) => {
  const page = await machine.open(`${library.path}&progress${path}`);
  await library.ready(page);
  await page.run(async () => { await (await client).pause(); });
  await library.queue(page, small);
  await page.run(watch);
  /** @type {any} */
  let seen;
  const longest = await longestTask(page, async () => {
    await page.run(async () => { await (await client).resume(); });
    await until(() => gate.deliveries.size >= kOps, 'the last op', { patienceMs: kPatienceMs, seen: () => gate.deliveries.size });
    seen = await page.run(() => window.watched());   // before left() opens a page of its own: one that is not in front has its timers slowed
    await until(async () => (await machine.left(library.store)) === 0, 'the queue to be empty');
  });
  return { ...longest, ...seen };
});

/** Of the page's thread while `work` is done: its longest task and how much of that it computed, in ms. @param {any} page @param {() => Promise<void>} work */
async function longestTask(page, work) {
  const { browser } = page;
  /** @type {any[]} */
  const events = [];
  browser.on('Tracing.dataCollected', (/** @type {any} */ { value }) => events.push(...value));
  const complete = new Promise((resolve) => browser.on('Tracing.tracingComplete', resolve));
  await browser.send('Tracing.start', { traceConfig: { includedCategories: ['toplevel', 'blink.user_timing'] }, transferMode: 'ReportEvents' });
  await page.run(() => { performance.mark('the page of the bench'); });
  await work();
  await browser.send('Tracing.end');
  await complete;
  const mark = events.find(({ name }) => name === 'the page of the bench');
  const tasks = events.filter(({ ph, cat, pid, tid }) => ph === 'X' && cat.includes('toplevel') && pid === mark.pid && tid === mark.tid);
  if (tasks.length === 0) throw new Error('the trace has no task of the page');
  const { dur, tdur } = tasks.reduce((longest, task) => (task.dur > longest.dur ? task : longest));
  return { taskMs: dur / 1000, computedMs: (tdur ?? NaN) / 1000 };
}

/** Runs in the page. */
function watch() {
  const seen = { latestMs: 0, long: /** @type {number[]} */ ([]) };
  const kEveryMs = 4;
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    seen.latestMs = Math.max(seen.latestMs, now - last - kEveryMs);
    last = now;
  }, kEveryMs);
  const observer = new PerformanceObserver((list) => { for (const { duration } of list.getEntries()) seen.long.push(duration); });
  observer.observe({ type: 'longtask' });
  window.watched = () => {
    clearInterval(timer);
    for (const { duration } of observer.takeRecords()) seen.long.push(duration);
    return seen;
  };
}

const kBatch = {};
const kRest = { mode: 'rest', maximumConcurrentOperations: kConnections };
const contenders = {
  'small, batch': () => drainSmall(openTidegateWith(kBatch)),
  'small, rest': () => drainSmall(openTidegateWith(kRest)),
  'small, workbox': () => drainSmall(openLibrary('workbox')),
  'edits, batch': () => drainEdits(openTidegateWith(kBatch)),
  'edits, workbox': () => drainWhole(openLibrary('workbox')),
  'edits, six at a time': () => drainPlainly(openLibrary('workbox'), kConnections),
  'accept, tidegate': () => accept(openTidegateWith(kBatch), true),
  'accept, workbox': () => accept(openLibrary('workbox'), true),
  'accept one by one, tidegate': () => accept(openTidegateWith(kBatch), false),
  'accept one by one, workbox': () => accept(openLibrary('workbox'), false),
};
const pages = { 'in the service worker': '', 'in the page itself': '&worker=none' };
/** @type {Record<string, any[]>} */
const tasks = Object.fromEntries(Object.keys(pages).map((name) => [name, []]));
/** @type {Record<string, any[]>} */
const seen = Object.fromEntries(Object.keys(contenders).map((name) => [name, []]));
for (let round = 0; round < rounds; round++) {
  for (const [name, run] of Object.entries(contenders)) {
    const result = await run();
    seen[name].push(result);
    console.log(`  ${name.padEnd(30)} ${result.ms.toFixed(0).padStart(8)} ms  ${String(result.requests).padStart(6)} requests  ${String(result.bytes).padStart(9)} bytes`);
  }
  for (const [name, path] of Object.entries(pages)) tasks[name].push(await watched(path));
}

const rows = new Rows();
const times = Object.fromEntries(Object.entries(seen).map(([name, list]) => [name, list.map(({ ms }) => ms * 1000)]));
const bytes = (name) => median(seen[name].map((one) => one.bytes));
rows.ratio('1 000 small POSTs, 50 ms, batch mode', times, 'small, batch', 'small, workbox', 40);
rows.figure('  its bytes, headers included', bytes('small, batch'), 'B', { atMost: 150_000, peer: `workbox ${bytes('small, workbox')} B` });
rows.ratio('1 000 small POSTs, 50 ms, REST mode', times, 'small, rest', 'small, workbox', 4);
rows.ratio('1 000 form edits, 150 ms, 750 kbit/s, one by one', times, 'edits, batch', 'edits, workbox', 100);
rows.ratio('1 000 form edits, 150 ms, 750 kbit/s, six at a time', times, 'edits, batch', 'edits, six at a time', 35);
rows.figure('  its bytes, headers included', bytes('edits, batch'), 'B', { peer: `whole documents ${bytes('edits, workbox')} B` });
rows.ratio('accepting 1 000 ops issued together, strict', times, 'accept, tidegate', 'accept, workbox', 2);
rows.ratio('accepting 1 000 ops one by one, strict', times, 'accept one by one, tidegate', 'accept one by one, workbox', null);
for (const [name, list] of Object.entries(tasks)) {
  const computed = list.map(({ computedMs }) => computedMs), long = list.flatMap((one) => one.long);
  rows.rounds(`1 000 ops drain ${name}: the page's longest task`, list.map(({ taskMs }) => taskMs), 'ms', {
    atMost: 50, peer: `computing in it ${median(computed).toFixed(1)}, at most ${Math.max(...computed).toFixed(1)}; long tasks that the browser names: ${long.length === 0 ? 'none' : long.join(', ')}`,
  });
  rows.rounds('  anything, ours or not, keeps it for at most', list.map(({ latestMs }) => latestMs), 'ms', { atMost: 50 });
}
if (json) writeFileSync(json, `${JSON.stringify(rows, null, 2)}\n`);
