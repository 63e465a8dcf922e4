/**
 * Bundles the sample app into a folder that any static server can serve: app.js, sw.js, the core's Wasm files and the files that are
 * shipped as they are. The list of the offline shell and its version come from the very files written, so a changed byte anywhere
 * makes another sw.js, and with it an update.
 */
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const kHere = dirname(fileURLToPath(import.meta.url));
const kRoot = join(kHere, '../..');

/** Shipped as they are, and part of the offline shell. */
const kStatic = [
  'index.html', 'styles.css', 'manifest.webmanifest', 'icons/logo.svg', 'icons/icon-192.png', 'icons/icon-512.png', 'icons/icon-maskable-512.png',
  'icons/apple-touch-icon.png',
];

/** What both bundles have in common. @type {import('esbuild').BuildOptions} */
const kBundle = {
  absWorkingDir: kHere, bundle: true, format: 'esm', target: 'es2022', minify: true, sourcemap: true, legalComments: 'none', logLevel: 'warning',
  conditions: ['browser'],
};

/**
 * Writes the app to `outDir`, which is emptied first. The core (dist/tidegate.wasm, dist/tidegate.mjs) has to be built before.
 * @param {string} outDir
 * @returns {Promise<{version: string, files: string[]}>} the version of the shell, and what was written
 */
export async function buildDemo(outDir) {
  rmSync(outDir, { recursive: true, force: true });
  /** The names with their content hash, by the names without. @type {Record<string, string>} */
  const core = JSON.parse(readFileSync(join(kRoot, 'dist/manifest.json'), 'utf8'));
  for (const file of kStatic) copy(join(kHere, file), join(outDir, file));
  for (const file of Object.values(core)) copy(join(kRoot, 'dist', file), join(outDir, file));
  const define = { DEMO_CORE: JSON.stringify(core) };
  await build({ ...kBundle, entryPoints: ['app.js'], outfile: join(outDir, 'app.js'), define });

  const assets = [...kStatic.filter((file) => file !== 'index.html'), 'app.js'];
  const version = hashOf([...assets, 'index.html', ...Object.values(core)].map((file) => join(outDir, file)));
  const shell = { version, assets, navigate: './' };
  await build({ ...kBundle, entryPoints: ['sw.js'], outfile: join(outDir, 'sw.js'), define: { ...define, DEMO_SHELL: JSON.stringify(shell) } });
  return { version, files: ['index.html', ...assets, ...Object.values(core), 'sw.js'] };
}

/** @param {string} from @param {string} to */
function copy(from, to) {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, to);
}

/** @param {string[]} paths */
function hashOf(paths) {
  const hash = createHash('sha256');
  for (const path of paths) hash.update(readFileSync(path)).update('\0');
  return hash.digest('hex').slice(0, 12);
}
