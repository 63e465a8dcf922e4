// The delta bench in Chromium: the same documents and contenders in a page, wall clock, interleaved rounds. Used by bench/delta.mjs.
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chromium as chromiumPath } from '../scripts/setup.mjs';

const entry = `
  import fastJsonPatch from 'fast-json-patch';
  import { apply, diff, diffMany, merge3, ready } from '../wasm/delta.js';
  import { edited, forms, generator } from './corpus.mjs';
  const encoder = new TextEncoder(), decoder = new TextDecoder();
  const parse = (bytes) => JSON.parse(decoder.decode(bytes)), write = (value) => encoder.encode(JSON.stringify(value));
  const { compare, applyPatch } = fastJsonPatch, trust = { trustedBase: true };
  function rounds(items, contenders, count) {
    const names = Object.keys(contenders), times = Object.fromEntries(names.map((name) => [name, []]));
    for (let round = -3; round < count; round++)
      for (let i = 0; i < names.length; i++) {
        const name = names[(i + round + 3) % names.length], start = performance.now();
        contenders[name](items);
        if (round >= 0) times[name].push((performance.now() - start) * 1000 / items.length);
      }
    return times;
  }
  const each = (run) => (items) => { for (const d of items) run(d); };
  const peer = each((d) => write(compare(parse(d.baseBytes), parse(d.nextBytes))));
  function handMade(d) {
    const base = parse(d.baseBytes), ours = compare(base, parse(d.nextBytes)), theirs = compare(base, parse(d.theirsBytes));
    const mine = new Set(ours.map((op) => op.path)), clashes = theirs.filter((op) => mine.has(op.path));
    return [write(applyPatch(applyPatch(base, ours).newDocument, theirs.filter((op) => !mine.has(op.path))).newDocument), clashes];
  }
  window.bench = async (count) => {
    await ready(fetch('/delta.wasm'));
    const docs = forms(1000, 20260101), g = generator(5);
    for (const d of docs) { d.patch = diff(d.baseBytes, d.nextBytes); d.theirsBytes = write(edited(g, d.base, false)); }
    const big = forms(4, 7, 1 << 20, (1 << 20) + 1);
    return {
      diff: rounds(docs, {
        ours: each((d) => diff(d.baseBytes, d.nextBytes, trust)), 'fast-json-patch': peer,
        batched: (items) => { for (let i = 0; i < items.length; i += 25) diffMany(items.slice(i, i + 25).map((d) => [d.baseBytes, d.nextBytes]), trust); },
      }, count),
      big: rounds(big, { ours: each((d) => diff(d.baseBytes, d.nextBytes, trust)), 'fast-json-patch': peer }, count),
      apply: rounds(docs, { ours: each((d) => apply(d.baseBytes, d.patch, { trustedDocument: true })), 'fast-json-patch': each((d) => write(applyPatch(parse(d.baseBytes), parse(d.patch), false, true).newDocument)) }, count),
      merge: rounds(docs.filter((d) => !d.structure).slice(0, 300), { ours: each((d) => merge3(d.baseBytes, d.nextBytes, d.theirsBytes, { trusted: true })), 'hand-made with fast-json-patch': each(handMade) }, count),
    };
  };`;

/** Microseconds per document by contender and round, for each part; null where there is no Chromium. @param {number} rounds @returns {Promise<any>} */
export async function inChromium(rounds) {
  const executablePath = chromiumPath();
  if (!executablePath) return null;
  const [{ chromium }, { build }] = await Promise.all([import('playwright-core'), import('esbuild')]);
  const { outputFiles } = await build({
    stdin: { contents: entry, resolveDir: fileURLToPath(new URL('.', import.meta.url)), loader: 'js' }, bundle: true, format: 'iife', target: 'es2022', write: false, logLevel: 'error',
  });
  const files = new Map([
    ['/', ['text/html', '<!doctype html><title>bench</title><script src="/bench.js"></script>']],
    ['/bench.js', ['text/javascript', outputFiles[0].text]],
    ['/delta.wasm', ['application/wasm', readFileSync(new URL('../dist/delta.simd.wasm', import.meta.url))]],
  ]);
  const server = createServer((request, response) => {
    const [type, body] = files.get(request.url ?? '') ?? ['text/plain', ''];
    // Isolated, so that the page's clock is fine.
    response.writeHead(200, { 'content-type': type, 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' }).end(body);
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', () => resolve(undefined)); });
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  try {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}/`);
    const times = await page.evaluate((count) => /** @type {any} */ (window).bench(count), rounds);
    return { version: browser.version(), times };
  } finally {
    await browser.close();
    server.close();
  }
}
