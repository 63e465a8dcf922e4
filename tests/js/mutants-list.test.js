// The mutants of the simulator (npm run sim:mutants) are patches of lines: one whose line is no longer there is not a mutant any more, and nobody hears of it before a run of half an hour.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { at } from '../../scripts/lib.mjs';

const mutants = JSON.parse(readFileSync(at('tests/sim/mutants.json'), 'utf8'));

test('every mutant stands in the source, once, has a name of its own, and changes something', () => {
  assert.ok(mutants.length >= 30, `${mutants.length} mutants`);
  for (const { name, file, search, replace } of mutants) {
    assert.equal(readFileSync(at(file), 'utf8').split(search).length - 1, 1, `"${name}": how often ${file} has ${JSON.stringify(search)}`);
    assert.notEqual(search, replace, name);
  }
  assert.deepEqual(mutants.map(({ name }) => name).filter((name, i, all) => all.indexOf(name) !== i), []);
});
