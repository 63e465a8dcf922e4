// Histories of the real shell under faults (tests/js/histories, docs/simulator.md): fresh seeds each time, and the same ones again make the same plans.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runHistories } from './histories/main.js';

const kSeeds = 160;
/** What a run has to meet to mean something, once in sixteen histories at least: four times fewer than is usual. */
const kWanted = ['crashes', 'freezes', 'lostAnswers', 'quotaAborts', 'conflicts', 'cuts', 'refusals', 'traps'];

test('in histories of the real shell nothing is lost, doubled, reordered or untrue', async (t) => {
  const from = 1 + Math.floor(Math.random() * 1e9);
  const said = [];
  t.diagnostic(`node tests/js/histories/main.js --from ${from} --count ${kSeeds}`);
  const { seeds, events } = await runHistories({ from, count: kSeeds, say: (line) => { said.push(line); } });
  t.diagnostic(`${seeds} histories: ${JSON.stringify(events)}`);
  assert.deepEqual(said, []);
  for (const name of kWanted) assert.ok(events[name] >= kSeeds / 16, `${name} was met ${events[name]} times in ${kSeeds} histories`);
});
