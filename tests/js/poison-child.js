// One drain in a process of its own, in which the step of the core that looks at a poison op ends the process for good, or only the core's instance. Started by
// tests/js/poison.test.js.
import { readFileSync } from 'node:fs';
import { clock } from '../../sw/clock.js';
import { webLocks } from '../../sw/locks.js';
import { random } from '../../sw/random.js';
import { openSqliteStore } from '../../sw/sqlite-store.js';
import { createTransport } from '../../sw/transport.js';
import { Turns } from '../../sw/turns.js';
import { createPlanner } from '../../wasm/index.js';
import { lockManager } from './sw-harness.js';

const [path, api, how, ends] = process.argv.slice(2);
const wasm = readFileSync(new URL('../../dist/tidegate.wasm', import.meta.url));
const kPoison = Buffer.from('POISON');

const die = () => {
  if (ends === 'process') process.kill(process.pid, 'SIGKILL');
  throw new WebAssembly.RuntimeError('unreachable');
};

/** The real core, but for poison. A row kills by its name and a document by its text, only in the next step; what the server had acknowledged of one kills as it is taken in. */
async function deadly() {
  const planner = await createPlanner(wasm);
  let poisoned = false;
  return {
    restore: (...args) => planner.restore(...args),
    bytes: (slot) => planner.bytes(slot),
    put(slot, bytes) {
      const poison = Buffer.from(bytes).includes(kPoison);
      if (poison && how === 'base') die();
      poisoned ||= poison && how === 'payload';
      planner.put(slot, bytes);
    },
    step(input) {
      if (poisoned || (how === 'row' && input.rows?.some(({ entityId, state }) => entityId.startsWith('poison') && state !== 'quarantined'))) die();
      return planner.step(input);
    },
  };
}

const store = await openSqliteStore({ path });
const transport = createTransport({ endpoint: api, clock });
const turns = new Turns({
  store, transport, clock, random, locks: webLocks(lockManager()), publish: () => {}, readings: () => ({}), createPlanner: deadly,
});
const end = await turns.ask({ event: { type: 'manual', trigger: 'manual' }, commands: [{ type: 'flush' }] }).end;
await turns.close();
await store.close();
process.exit(end.ok ? 0 : 1);
