// Out of memory in the planner, really: a Node whose Wasm memory may not grow beyond 24 MB, and an op whose bytes need more. The core traps, is replaced,
// and nothing that was accepted is lost.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { startServer, temporaryDirectory } from './server-harness.js';

const kPages = 384;   // of 64 KiB
const kBigBytes = 12 * 2 ** 20;

/** Runs `body` in a process of its own with a client of `api` on the file `path`; what it answers. @param {{api: string, path: string, cap?: boolean}} where @param {string} body */
async function run({ api, path, cap = true }, body) {
  const script = `import { openClient } from ${JSON.stringify(new URL('../../sw/node.js', import.meta.url).href)};
    const client = await openClient({ path: ${JSON.stringify(path)}, endpoint: ${JSON.stringify(api)}, autoSync: false, maxOpBytes: 16 * 2 ** 20 });
    const events = [];
    client.subscribe(({ type }) => events.push(type));
    const out = await (async () => { ${body} })();
    await client.close();
    console.log(JSON.stringify({ ...out, events }));`;
  const child = spawn(process.execPath, [...(cap ? [`--wasm-max-mem-pages=${kPages}`] : []), '--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part) => { text += part; });
  assert.deepEqual(await once(child, 'close'), [0, null]);
  return JSON.parse(text);
}

test('an op too large for the core\'s memory: the core is replaced and says so, the op is kept apart, and everything else goes in the same drain', async (t) => {
  const { api, get } = await startServer(t);
  const where = { api, path: join(temporaryDirectory(t), 'outbox.db') };
  const { events, states, before, left } = await run(where, `
    await client.save('NOTE', 'before', { n: 1 });
    await client.sync();
    const before = (await client.ops()).length;
    const { id } = await client.save('NOTE', 'big', { text: 'x'.repeat(${kBigBytes}) });
    await client.save('NOTE', 'after', { n: 2 });
    await client.sync();
    const states = (await client.ops()).map(({ entityId, state }) => [entityId, state]);
    await client.drop(id);
    return { before, states, left: (await client.ops()).length };`);
  assert.ok(events.includes('sync.core-restarted') && events.includes('op.quarantined'), events.join());
  assert.deepEqual([before, states, left], [0, [['big', 'quarantined']], 0]);
  assert.equal((await get('NOTE/before')).status, 200);
  assert.equal((await get('NOTE/big')).status, 404);
  assert.equal((await get('NOTE/after')).text, '{"n":2}');
});

test('what one device had no memory for is sent from the same outbox where there is memory', async (t) => {
  const { api, get } = await startServer(t);
  const where = { api, path: join(temporaryDirectory(t), 'outbox.db') };
  const small = await run(where, `
    const { id } = await client.save('NOTE', 'big', { text: 'x'.repeat(${kBigBytes}) });
    await client.sync();
    return { id, states: (await client.ops()).map(({ state }) => state) };`);
  assert.deepEqual(small.states, ['quarantined']);
  const large = await run({ ...where, cap: false }, `
    await client.settings({ mode: 'rest' });
    await client.retry(${JSON.stringify(small.id)});
    await client.sync();
    return { ops: await client.ops() };`);
  assert.deepEqual(large.ops, []);
  assert.equal((await get('NOTE/big')).text.length, kBigBytes + '{"text":""}'.length);
});
