// What a worker holds in memory: its JavaScript heap as committed, what lies outside of it (array buffers, the DOM's side), and its Wasm memories,
// which the heap's own figures leave out.
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

const kSampleEveryMs = 50;

/** @param {any} session of a worker */
async function heapBytes(session) {
  const { totalSize, embedderHeapUsedSize, backingStorageSize } = await session.send('Runtime.getHeapUsage');
  return totalSize + embedderHeapUsedSize + backingStorageSize;
}

/** A worker without Wasm, at rest. @param {any} session */
export async function restingBytes(session) {
  await session.send('HeapProfiler.collectGarbage');
  return heapBytes(session);
}

/** Watches a worker's memory until stop(), which answers the largest seen. REQUIRES: the worker has wasmBytes(). @param {any} session */
export function watchPeak(session) {
  const peak = { heap: 0, wasm: 0, total: 0 };
  let running = true;
  const watching = (async () => {
    while (running) {
      const [heap, wasm] = await Promise.all([heapBytes(session), session.run('wasmBytes()')]);
      if (heap + wasm > peak.total) Object.assign(peak, { heap, wasm, total: heap + wasm });
      await pause(kSampleEveryMs);
    }
  })();
  return {
    async stop() {
      running = false;
      await watching;
      return peak;
    },
  };
}

/**
 * The resident memory of every renderer process, and a new start for its high-water mark (Linux: VmHWM of /proc/PID/status, proc(5)).
 * The answer says by how much the one that grew most grew: an upper bound for the worker, engine and all.
 * @param {import('./chromium.js').Browser} browser
 */
export async function watchProcesses(browser) {
  if (process.platform !== 'linux') return { peak: () => undefined };
  const { processInfo } = await browser.send('SystemInfo.getProcessInfo');
  const field = (pid, name) => Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(new RegExp(`${name}:\\s*(\\d+) kB`))[1]) * 1024;
  const before = processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => {
    writeFileSync(`/proc/${id}/clear_refs`, '5');
    return { id, bytes: field(id, 'VmRSS') };
  });
  return { peak: () => Math.max(...before.map(({ id, bytes }) => field(id, 'VmHWM') - bytes)) };
}
