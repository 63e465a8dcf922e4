// npm run sim:compare [-- --seeds 200] [--from 1] [--json FILE]: the same histories native, as Wasm in Node and as Wasm in Chromium. Every plan of every history goes into
// one hash, byte by byte; the three must agree. A chunk that differs is narrowed down to its first seed.
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { launch, newProfile, removeProfile } from '../tests/browser/harness/chromium.js';
import { cmakeBuild } from './build.mjs';
import { at, fail, say } from './lib.mjs';
import { ensureNode, ensureNpmPackages, ensureSystemPackages, toolsFor } from './setup.mjs';
import { buildSim, runSim } from './sim.mjs';

/** Seeds of one call: what differs shows early. */
const kChunk = 20;

const options = { seeds: 200, from: 1, json: '' };
const args = process.argv.slice(2);
for (let i = 0; i < args.length; i += 2) {
  const name = args[i].replace(/^--/, '');
  const value = args[i + 1] ?? '';
  if (name === 'json' && value) options.json = value;
  else if ((name === 'seeds' || name === 'from') && /^[1-9]\d{0,8}$/.test(value)) options[name] = Number(value);
  else fail(`${args.slice(i, i + 2).join(' ')}: expected --seeds N, --from N (whole numbers from 1) or --json FILE`);
}

/** A page that is loaded anew for every run of the program. */
async function inChromium() {
  const files = { '/': ['text/html', '<!doctype html><title>simulator</title>'], '/tg_sim.js': ['text/javascript', readFileSync(at('build/wasm/tg_sim.cjs'))], '/tg_sim.wasm': ['application/wasm', readFileSync(at('build/wasm/tg_sim.wasm'))] };
  const server = createServer(({ url }, response) => {
    const [type, body] = files[url ?? ''] ?? [];
    response.writeHead(body ? 200 : 404, { 'content-type': type ?? 'text/plain' }).end(body);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const profile = newProfile();
  const browser = await launch(profile);
  const url = `http://127.0.0.1:${server.address().port}/`;
  const page = await browser.page();
  const runHere = async (given) => {
    const wasmBinary = await (await fetch('/tg_sim.wasm')).arrayBuffer();
    return new Promise((resolve, reject) => {
      let output = '';
      const print = (line) => { output += `${line}\n`; };
      globalThis.Module = { arguments: given, wasmBinary, print, printErr: print, onExit: () => resolve(output), onAbort: (why) => reject(new Error(String(why))) };
      const script = document.createElement('script');
      script.src = '/tg_sim.js';
      script.onerror = () => reject(new Error('tg_sim.js did not load'));
      document.head.append(script);
    });
  };
  return {
    async run(given) {
      await page.goto(url);
      return page.run(runHere, given);
    },
    async close() {
      await browser.kill();
      server.closeAllConnections();
      server.close();
      removeProfile(profile);
    },
  };
}

ensureNode();
ensureNpmPackages();
ensureSystemPackages(toolsFor.test);
const program = buildSim();
cmakeBuild('wasm', ['tg_sim'], { quiet: true });
const chromium = await inChromium();
const resultOf = (output) => JSON.parse(output.trimEnd().split('\n').at(-1));
const places = {
  native: async (given) => (await runSim(program, given)).result,
  node: async (given) => (await runSim(process.execPath, [at('build/wasm/tg_sim.cjs'), ...given])).result,
  chromium: async (given) => resultOf(await chromium.run(given)),
};

/** What each place made of some seeds, and whether they agree. @param {number} from @param {number} count */
async function compare(from, count) {
  const found = {};
  for (const [place, run] of Object.entries(places)) {
    const result = await run(['--from', `${from}`, '--count', `${count}`, '--log', '--no-shrink']);
    if (!result?.hash) fail(`${place}: the simulator ended abnormally between seeds ${from} and ${from + count - 1}`);
    found[place] = { hash: result.hash, bytes: result.logBytes };
  }
  return { found, agree: new Set(Object.values(found).map(({ hash, bytes }) => `${hash} ${bytes}`)).size === 1 };
}

const sum = { seeds: 0, bytes: 0, differ: [] };
try {
  for (let from = options.from; from < options.from + options.seeds; from += kChunk) {
    const count = Math.min(kChunk, options.from + options.seeds - from);
    const { found, agree } = await compare(from, count);
    sum.seeds += count;
    sum.bytes += found.native.bytes;
    console.log(`seeds ${from}–${from + count - 1}: ${agree ? `the same ${found.native.bytes} bytes of plans, ${found.native.hash}` : 'NOT THE SAME'}`);
    if (agree) continue;
    for (let seed = from; seed < from + count; ++seed) {
      const one = await compare(seed, 1);
      if (one.agree) continue;
      sum.differ.push(seed);
      for (const [place, { hash, bytes }] of Object.entries(one.found)) console.log(`  seed ${seed}, ${place}: ${bytes} bytes, ${hash}`);
      break;
    }
  }
} finally {
  await chromium.close();
}
say(`${sum.seeds} histories, ${sum.bytes} bytes of plans each time: ${sum.differ.length === 0 ? 'native, Wasm in Node and Wasm in Chromium agree' : 'they differ'}`);
const text = JSON.stringify(sum);
console.log(text);
if (options.json) writeFileSync(options.json, `${text}\n`);
process.exitCode = sum.differ.length > 0 ? 1 : 0;
