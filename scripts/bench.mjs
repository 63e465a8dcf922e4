// npm run bench -- <name> [options]: builds what is measured, installs the peers once, runs bench/<name>.mjs.
import { existsSync, readdirSync } from 'node:fs';
import { at, fail, isMain, mustRun } from './lib.mjs';
import { build } from './build.mjs';

if (isMain(import.meta.url)) {
  const [name, ...options] = process.argv.slice(2);
  const script = at('bench', `${name}.mjs`);
  const known = readdirSync(at('bench')).filter((file) => file.endsWith('.mjs') && !['corpus.mjs', 'delta_chromium.mjs', 'measure.mjs'].includes(file)).map((file) => file.slice(0, -4));
  if (!name || !known.includes(name)) fail(`npm run bench -- ${known.join('|')} [--json FILE], this was ${JSON.stringify(name ?? '')}`);
  await build();
  if (!existsSync(at('bench', 'node_modules'))) mustRun('npm', ['ci', '--prefix', at('bench'), '--no-audit', '--no-fund']);
  mustRun(process.execPath, [script, ...options]);
}
