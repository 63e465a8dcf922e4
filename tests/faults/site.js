// The files of tests/faults/app, bundled once per process, as a page finds them.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { at } from '../../scripts/lib.mjs';

const kApp = at('tests/faults/app');
const kTypes = { html: 'text/html; charset=utf-8', js: 'text/javascript; charset=utf-8', wasm: 'application/wasm' };
const kEntries = ['page.js', 'tidegate-sw.js', 'sealed-sw.js', 'workbox-sw.js', 'drop-in-sw.js'];

/** @type {Promise<Map<string, Buffer>> | undefined} */
let made;

async function files() {
  const { outputFiles } = await build({
    entryPoints: kEntries.map((name) => join(kApp, name)), bundle: true, format: 'esm', target: 'es2022', conditions: ['browser'], outdir: kApp,
    write: false, absWorkingDir: at('.'), logLevel: 'error', define: { 'process.env.NODE_ENV': '"production"' },
  });
  const found = new Map(outputFiles.map(({ path, contents }) => [path.slice(kApp.length), Buffer.from(contents)]));
  found.set('/', readFileSync(join(kApp, 'index.html')));
  found.set('/blank', Buffer.from('<!doctype html><title>blank</title>'));
  found.set('/empty.js', Buffer.from("self.addEventListener('install', () => self.skipWaiting());"));   // a worker that does nothing, to measure against
  found.set('/tidegate.wasm', readFileSync(at('dist/tidegate.wasm')));
  return found;
}

/** path → {type, body}, or undefined. */
export async function createSite() {
  const all = await (made ??= files());
  return (/** @type {string} */ path) => {
    const body = all.get(path);
    return body && { type: kTypes[path.split('.').at(-1)] ?? kTypes.html, body };
  };
}
