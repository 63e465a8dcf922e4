// npm run size: what a user's browser downloads, raw, gzip and brotli. With --write it sets the budget of tests/size-budget.json
// to what was measured plus kSlack; tests/js/size.test.js keeps us within it.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { at, isMain, say } from './lib.mjs';

export const kBudgetFile = 'tests/size-budget.json';
const kSlack = 1.1;

const measure = (bytes) => ({
  raw: bytes.length,
  gzip: gzipSync(bytes, { level: 9 }).length,
  brotli: brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }).length,
});

/** A source of ours with everything it imports, minified; the glue stays outside because it is counted by itself. */
async function bundle(entry) {
  const { build } = await import('esbuild');
  const { outputFiles } = await build({
    entryPoints: [at(entry)], bundle: true, minify: true, write: false, format: 'esm', target: 'es2022',
    external: ['*/dist/tidegate.mjs', '*/dist/delta.mjs'], logLevel: 'error',
  });
  return Buffer.from(outputFiles[0].contents);
}

const kBundles = {
  worker: 'sw/worker.js', page: 'web/index.js', delta: 'wasm/delta.js', workbox: 'sw/workbox.js', hints: 'sw/hints.js', 'page credentials': 'sw/page-credentials.js', tasks: 'sw/tasks.js',
  'blob deltas': 'sw/blob-deltas.js', uploads: 'sw/uploads.js', encryption: 'sw/encryption.js', 'worker client': 'sw/worker-client.js',
};

/** name → {raw, gzip, brotli} for everything that exists. */
export async function sizes() {
  const found = {};
  for (const name of ['tidegate.wasm', 'tidegate.mjs', 'delta.wasm', 'delta.simd.wasm', 'delta.mjs']) found[name] = measure(readFileSync(at('dist', name)));
  for (const [name, entry] of Object.entries(kBundles)) if (existsSync(at(entry))) found[`${name} bundle`] = measure(await bundle(entry));
  return found;
}

/** What one service worker loads: the planner's Wasm, the glue, and the worker with all it imports. */
export const workerTotal = (found, key) =>
  found['tidegate.wasm'][key] + found['tidegate.mjs'][key] + found['worker bundle'][key];

export function table(found) {
  const rows = Object.entries(found).map(([name, { raw, gzip, brotli }]) => [name, raw, gzip, brotli]);
  if (found['worker bundle']) rows.push(['Wasm + glue + worker', ...['raw', 'gzip', 'brotli'].map((key) => workerTotal(found, key))]);
  return [['', 'raw', 'gzip', 'brotli'], ...rows].map(([name, ...figures]) => name.padEnd(26) + figures.map((figure) => String(figure).padStart(9)).join('')).join('\n');
}

if (isMain(import.meta.url)) {
  const found = await sizes();
  console.log(table(found));
  if (process.argv.includes('--write')) {
    const budget = Object.fromEntries(Object.entries(found).map(([name, { brotli }]) => [name, Math.ceil(brotli * kSlack)]));
    writeFileSync(at(kBudgetFile), `${JSON.stringify(budget, null, 2)}\n`);
    say(`wrote ${kBudgetFile}`);
  }
}
