// What is downloaded stays small: each part within its budget (the size of the day it was set + 10 %, brotli), and the planner's Wasm, the
// glue and the worker code together within kWorkerLimit, for good. A budget is raised on purpose only: `npm run size -- --write`, and the commit says why.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { before, test } from 'node:test';
import { at } from '../../scripts/lib.mjs';
import { kBudgetFile, sizes, table, workerTotal } from '../../scripts/size.mjs';

const kWorkerLimit = 120_000;   // bytes of brotli: what a first visit pays (decision 0003)

const budget = JSON.parse(readFileSync(at(kBudgetFile), 'utf8'));
let found;
before(async () => { found = await sizes(); console.log(table(found)); });

test('every part has a budget and every budget a part', () => assert.deepEqual(Object.keys(found).sort(), Object.keys(budget).sort()));

for (const [name, limit] of Object.entries(budget))
  test(`${name} is at most ${limit} bytes of brotli`, () => assert.ok(found[name].brotli <= limit, `${name} has ${found[name].brotli}`));

test(`Wasm, glue and worker are at most ${kWorkerLimit} bytes of brotli`, () => {
  const total = workerTotal(found, 'brotli');
  console.log(`Wasm + glue + worker: ${total} bytes of brotli, ${workerTotal(found, 'gzip')} of gzip`);
  assert.ok(total <= kWorkerLimit, `they have ${total}`);
});
