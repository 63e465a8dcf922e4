// What is downloaded stays small: each part within its budget (today's size + 10 %, brotli). The goal for one Wasm file, the glue and the
// worker code together is 120 kB; it is printed whether it is met. A budget is raised on purpose only: `npm run size -- --write`, and the commit says why.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { before, test } from 'node:test';
import { at } from '../../scripts/lib.mjs';
import { kBudgetFile, sizes, table, workerTotal } from '../../scripts/size.mjs';

const kWorkerGoal = 120_000;   // bytes of brotli; CHANGELOG.md says where we stand

const budget = JSON.parse(readFileSync(at(kBudgetFile), 'utf8'));
let found;
before(async () => { found = await sizes(); console.log(table(found)); });

test('every part has a budget and every budget a part', () => assert.deepEqual(Object.keys(found).sort(), Object.keys(budget).sort()));

for (const [name, limit] of Object.entries(budget))
  test(`${name} is at most ${limit} bytes of brotli`, () => assert.ok(found[name].brotli <= limit, `${name} has ${found[name].brotli}`));

test(`one Wasm file, glue and worker are measured against the goal of ${kWorkerGoal} bytes of brotli`, () => {
  const total = workerTotal(found, 'brotli');
  const limit = Math.max(budget['tidegate.wasm'], budget['tidegate.simd.wasm']) + budget['tidegate.mjs'] + budget['worker bundle'];
  console.log(total <= kWorkerGoal ? `goal met: ${total} of ${kWorkerGoal}` : `goal missed: ${total} of ${kWorkerGoal}`);
  assert.ok(total > 0 && total <= limit, `they have ${total}, the budget is ${limit}`);
});
