// npm run bench -- start [--starts 20] [--ops 100000] [--json FILE]: a long queue, and a worker that the browser has just started for it. The clock runs from the
// entry of the worker's sync listener to the moment the server has the head of the first request, both by the machine's own clock; plain, with a key set, and without
// the snapshot that a drain leaves (of a queue as long as this one it covers the first rows at most). Then what one more such worker holds, over one that does nothing:
// at most while it reads the queue, and at rest with all of it known.
//
// Each start is a new worker: the first batch of it is done and answered, the rest of the line is dead, so the drain reads all of the queue and ends; then the worker
// is stopped and handed the next sync event.
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { openTidegateWith } from '../tests/faults/libraries.js';
import { Machine } from '../tests/faults/run.js';
import { createSite } from '../tests/faults/site.js';
import { restingBytes, watchPeak } from '../tests/browser/harness/memory.js';
import { until } from '../tests/browser/harness/until.js';
import { Rows, median, quantile } from './measure.mjs';

const kPatienceMs = 120_000;
const kAtOnce = 500;
const kMebibyte = 2 ** 20;
const kMaxBytes = 64 * kMebibyte;
/** After a failure of the line a drain waits an hour, so it ends; a sync event says that the line may be back. */
const kSettings = { baseDelay: 3_600_000, maxDelay: 3_600_000, jitter: 'none' };

let starts = 20, ops = 100_000, json = '';
for (let args = process.argv.slice(2); args.length > 0; args = args.slice(2)) {
  if (args[0] === '--starts' && /^[1-9]\d*$/.test(args[1] ?? '')) starts = Number(args[1]);
  else if (args[0] === '--ops' && /^[1-9]\d*$/.test(args[1] ?? '')) ops = Number(args[1]);
  else if (args[0] === '--json' && args[1]) json = args[1];
  else throw new Error(`${args[0]} ${args[1] ?? ''}: expected --starts N, --ops N or --json FILE`);
}

/** A line that lets the first write of each start through and drops all others. */
async function openLine(library) {
  const files = await createSite();
  /** @type {Map<string, number>} start → ms from its sync event to its first write here */
  const first = new Map();
  const server = createServer(async (request, response) => {
    const atMs = performance.timeOrigin + performance.now();
    const { pathname } = new URL(String(request.url), 'http://line');
    if (!pathname.startsWith('/api/')) {
      const file = files(pathname);
      return response.writeHead(file ? 200 : 404, { 'cache-control': 'no-cache', 'content-type': file?.type ?? 'text/plain' }).end(file?.body);
    }
    const start = String(request.headers['x-start'] ?? ''), syncAtMs = Number(request.headers['x-sync-at']);
    if (request.method !== 'POST' || !start || !(syncAtMs > 0) || first.has(start)) return request.socket.destroy();
    first.set(start, atMs - syncAtMs);
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const answer = await library.upstream({ method: request.method, url: request.url, headers: request.headers, body: Buffer.concat(chunks) });
    response.writeHead(answer.status, answer.headers).end(answer.body);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { origin: `http://127.0.0.1:${/** @type {any} */ (server.address()).port}`, first, close: () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); }) };
}

/** Whether a drain is under way, read as it lies in the store; runs in a page. */
async function leaseHolder() {
  const settled = (/** @type {any} */ request) => new Promise((resolve, reject) => { request.onsuccess = () => resolve(request.result); request.onerror = () => reject(request.error); });
  const db = await settled(indexedDB.open('tidegate'));
  const lease = await settled(db.transaction('state').objectStore('state').get('lease'));
  db.close();
  return lease?.holder ?? null;
}

/** How many snapshots the next start finds: 1, or 0 also where it was taken away. Runs in a page. @param {boolean} keep */
async function hasSnapshot(keep) {
  const settled = (/** @type {any} */ request) => new Promise((resolve, reject) => { request.onsuccess = () => resolve(request.result); request.onerror = () => reject(request.error); });
  const db = await settled(indexedDB.open('tidegate'));
  const state = db.transaction('state', 'readwrite').objectStore('state');
  if (!keep) await settled(state.delete('snapshot'));
  const found = await settled(state.count('snapshot'));
  db.close();
  return found;
}

/** @param {any} page @param {number} count */
async function fill(page, count) {
  for (let from = 0; from < count; from += kAtOnce) {
    await page.run(async (from, to) => {
      const items = [];
      for (let n = from; n < to; n++) items.push({ entity: 'READING', entityId: `r${n}`, doc: { n, site: `site-${n % 40}`, value: (n * 7919) % 1000, unit: 'kPa', note: 'checked' } });
      await (await client).saveAll(items);
    }, from, Math.min(count, from + kAtOnce));
  }
}

/**
 * @param {{library: string, snapshot?: boolean}} scene  which worker, and whether each start finds a snapshot
 * @returns {Promise<{times: number[], found: number, memory: {peak: number, atRest: number, empty: number}, unbounded: number}>} ms of each start, how many of them found a snapshot, bytes, and how often all of a store was asked for at once
 */
async function measured({ library, snapshot = true }) {
  const opened = await openTidegateWith({});
  const line = await openLine(opened);
  const machine = new Machine(/** @type {any} */ (line));
  try {
    await machine.start();
    await machine.queue({ ...opened, path: `/?library=${library}`, ready: async (page) => { await opened.ready(page); await page.run(async (settings) => { await (await client).settings(settings); }, kSettings); }, queue: fill }, ops);
    await machine.goOnline();
    const blank = await machine.open('/blank');
    let found = 0;
    const idle = () => until(async () => (await blank.run(leaseHolder)) === null, 'the drain to end', { patienceMs: kPatienceMs });
    const startAgain = async () => {
      await idle();
      await machine.strike('stop');
      found += await blank.run(hasSnapshot, snapshot);
      await machine.fire();
    };
    const requested = (/** @type {number} */ seen) => until(() => line.first.size > seen, 'a request of a new worker', { patienceMs: kPatienceMs, seen: () => line.first.size });
    for (let seen = 0; seen <= starts; seen = line.first.size) {
      if (seen > 0) await startAgain();
      await requested(seen);
      console.log(`  start ${seen}: ${[...line.first.values()].at(-1)?.toFixed(0)} ms`);
    }
    const times = [...line.first.values()].slice(1);   // the first was there before the line was
    // One more start, to be looked into: a debugger would make those before it slower, and keep them alive.
    const foundByTimed = found, seen = line.first.size;
    await startAgain();
    const worker = await machine.attach(`/${library}-sw.js`);
    await until(() => worker.run('typeof wasmBytes !== "undefined"'), 'its script to be evaluated');
    const watch = watchPeak(worker);
    await requested(seen);
    await idle();
    const peak = await watch.stop();
    const atRest = (await restingBytes(worker)) + (await worker.run('wasmBytes()'));
    await blank.run(async () => { await navigator.serviceWorker.register('empty.js', { scope: 'empty/' }); });
    const empty = await restingBytes(await machine.attach('/empty.js'));
    return { times, found: foundByTimed, memory: { peak: peak.total - empty, atRest: atRest - empty, empty }, unbounded: await worker.run('unbounded()') };
  } finally {
    await machine.end();
    await line.close();
    await opened.close();
  }
}

const rows = new Rows();
/** @type {[string, {library: string, snapshot?: boolean}][]} */
const kScenes = [['plain', { library: 'tidegate' }], ['with a key set', { library: 'sealed' }], ['without a snapshot', { library: 'tidegate', snapshot: false }]];
for (const [name, scene] of kScenes) {
  const { times, found, memory, unbounded } = await measured(scene);
  const goal = scene.snapshot === false ? {} : { atMost: 300 };
  rows.figure(`${ops} queued, ${name}: sync event to first request, median of ${times.length}`, median(times), 'ms', { ...goal, peer: `${quantile(times, 0).toFixed(0)} to ${quantile(times, 1).toFixed(0)} ms; ${found} starts found a snapshot` });
  for (const [when, bytes] of [['while it reads the queue', memory.peak], ['at rest', memory.atRest]])
    rows.figure(`${ops} queued, ${name}: memory of the worker ${when}`, bytes / kMebibyte, 'MiB', { atMost: kMaxBytes / kMebibyte, peer: `over a worker that does nothing, ${(memory.empty / kMebibyte).toFixed(1)} MiB` });
  rows.figure(`${ops} queued, ${name}: reads of all of a store at once`, unbounded, 'times', { atMost: 0 });
}
if (json) writeFileSync(json, `${JSON.stringify(rows, null, 2)}\n`);
