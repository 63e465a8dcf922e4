// The files of the app under test, bundled once per process from the package as it is published.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { at } from '../../../scripts/lib.mjs';

const kApp = at('tests/browser/app');
const kTypes = { html: 'text/html; charset=utf-8', js: 'text/javascript; charset=utf-8', wasm: 'application/wasm' };

/** @type {Promise<Map<string, Buffer>> | undefined} */
let made;

/** The app's files by path, without the version in sw.js. */
async function files() {
  const { outputFiles } = await build({
    entryPoints: ['page.js', 'sw.js', 'blob-sw.js', 'page-credentials-sw.js', 'sealed-sw.js', 'mortal-sw.js', 'started-sw.js', 'inner-sw.js', 'notify-sw.js', 'plugins-sw.js'].map((name) => join(kApp, name)), bundle: true, format: 'esm', target: 'es2022', conditions: ['browser'],
    outdir: kApp, write: false, absWorkingDir: at('.'), logLevel: 'error',
  });
  const found = new Map(outputFiles.map(({ path, contents }) => [path.slice(kApp.length), Buffer.from(contents)]));
  found.set('/index.html', readFileSync(join(kApp, 'index.html')));
  for (const name of ['tidegate.wasm', 'delta.wasm', 'delta.simd.wasm']) found.set(`/${name}`, readFileSync(at('dist', name)));
  found.set('/empty.js', Buffer.from("self.addEventListener('install', () => self.skipWaiting());"));   // a worker that does nothing, to measure against
  return found;
}

/** A site whose sw.js is of shell version `site.version`. */
export async function createSite() {
  const all = await (made ??= files());
  const site = {
    version: '1',
    /** @param {string} path */
    file(path) {
      const name = path === '/' ? '/index.html' : path;
      const body = all.get(name);
      if (!body) return undefined;
      const type = kTypes[name.split('.').at(-1)];
      return { type, body: name === '/sw.js' ? body.toString().replace('SHELL_VERSION', site.version) : body };
    },
  };
  return site;
}
