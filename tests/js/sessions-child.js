// One process in which sessions end in every way there is, the last of each client in its close(), over one file; what it holds is told to whoever forked it.
// For tests/js/sessions.test.js.
// REQUIRES: --expose-gc.
import { readdirSync, readlinkSync } from 'node:fs';
import { openClient } from '../../sw/node.js';
import { until } from '../browser/harness/until.js';

const [path, endpoint, ...counts] = process.argv.slice(2);
/** A wait after a failure is over at once, and no failure keeps the next session from being tried. */
const kSettings = { mode: 'rest', baseDelay: 1, maxDelay: 1, maximumConcurrentOperations: 1 };

/** The Wasm memory of every core there has been, as long as it is held. @type {WeakRef<WebAssembly.Memory>[]} */
const memories = [];
let largest = 0;
WebAssembly.Instance = class extends WebAssembly.Instance {
  constructor(/** @type {any} */ module, /** @type {any} */ imports) {
    super(module, imports);
    for (const value of Object.values(this.exports)) if (value instanceof WebAssembly.Memory) memories.push(new WeakRef(value));
  }
};

/** Asks the server's process. @param {object} wish @returns {Promise<any>} */
const parent = (wish) => new Promise((resolve) => { process.once('message', resolve); process.send?.(wish); });

/** How a session may go; `client` has ops to send. Each answers whether it ended like that. @type {Record<string, (client: any) => Promise<boolean>>} */
const kEnds = {
  completes: async (client) => (await client.sync()).itemsSucceeded > 0,
  fails: async (client) => {
    const { refusals } = await parent({ faults: ['status500'] });
    await client.sync();   // and what failed goes in the same one, a moment later
    return (await parent({})).refusals > refusals;
  },
  cancelled: async (client) => {
    let cancelled;
    const forget = client.subscribe(({ type, detail }) => { if (type === 'sync.started') cancelled ??= client.cancelSync(detail.sessionId); });
    const { errors } = await client.sync();
    await cancelled;
    forget();
    return errors.includes('Cancelled');
  },
  stopped: async (client) => {
    const { hangs } = await parent({ faults: ['hang'] });
    const ended = client.sync().then(() => false, ({ code }) => code === 'closed');
    await until(async () => (await parent({})).hangs > hangs, 'the request to be under way');
    await client.close();
    return ended;
  },
};

/** @param {string} fd */
const openAs = (fd) => { try { return readlinkSync(`/proc/self/fd/${fd}`); } catch { return ''; } };   // that of the reading itself is gone

/** What is held when nothing is under way; connections that are kept for a next request are waited out. */
async function held() {
  const things = () => process.getActiveResourcesInfo().filter((name) => name !== 'Timeout' && name !== 'Immediate').sort();   // those of until() and of the connections themselves
  await until(() => !things().some((name) => name.startsWith('TCP')), 'the kept connections to end', { seen: things });
  for (let i = 0; i < 3; i++) {
    await new Promise(setImmediate);   // what is weakly held is let go between two tasks
    /** @type {any} */ (globalThis).gc();
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  const files = process.platform === 'linux' ? readdirSync('/proc/self/fd').map(openAs).filter((name) => name.startsWith('/')).sort() : [];   // databases and locks among them
  return { heapUsed, arrayBuffers, files, things: things(), cores: memories.filter((memory) => memory.deref()).length, coreBytes: largest };
}

const ended = Object.fromEntries(Object.keys(kEnds).map((name) => [name, 0]));
let sessions = 0;
for (const count of counts.map(Number)) {
  while (sessions < count) {
    const client = await openClient({ path, endpoint, autoSync: false });
    if (sessions === 0) await client.settings(kSettings);
    for (const [name, end] of Object.entries(kEnds)) {
      sessions += 1;
      for (const n of [1, 2]) await client.save('NOTE', `n${n}`, { sessions, n });
      if (await end(client)) ended[name] += 1;
    }
    largest = memories.at(-1)?.deref()?.buffer.byteLength ?? 0;
  }
  process.send?.({ at: sessions, ended: { ...ended }, ...(await held()) });
}
process.disconnect();
