// Both libraries as expressions, bundled the same way, and the differences that docs/workbox.md admits.
import { readFileSync } from 'node:fs';
import { build } from 'esbuild';
import { at } from '../../scripts/lib.mjs';
import { kRaces } from './workbox-scenarios.js';

const kWorkbox = `
  export { BackgroundSyncPlugin, Queue, QueueStore, StorableRequest } from 'workbox-background-sync';
  export { QueueDb } from 'workbox-background-sync/lib/QueueDb.js';`;
const kTidegate = "export * from './sw/workbox.js';";

async function asExpression(contents) {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: at('.') }, bundle: true, write: false, format: 'iife', globalName: 'library', target: 'es2022', logLevel: 'error',
    define: { 'process.env.NODE_ENV': '"production"' },
  });
  return `(() => { ${outputFiles[0].text}; return library; })()`;
}

export const libraries = async () => ({ workbox: await asExpression(kWorkbox), tidegate: await asExpression(kTidegate) });

/** scenario → what → {workbox, tidegate}: the rows of the table of differences. How a race of workbox ends is not compared. */
export function admitted() {
  const rows = {};
  for (const line of readFileSync(at('docs/workbox.md'), 'utf8').split('\n')) {
    const cells = line.match(/^\| ([^|]+) \| ([^|]+) \| `(.*?)` \| `(.*?)` \| /);
    if (!cells) continue;
    const [, scenario, what, workbox, tidegate] = cells;
    (rows[scenario] ??= {})[what] = { ...(kRaces.includes(scenario) ? {} : { workbox: JSON.parse(workbox) }), tidegate: JSON.parse(tidegate) };
  }
  return rows;
}
