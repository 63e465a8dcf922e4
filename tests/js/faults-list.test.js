// docs/faults.md promises a test for each fault: here that promise is read. A test that was renamed or removed makes its row a lie.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { at } from '../../scripts/lib.mjs';

const kFaults = 100;
const kFieldFailures = 31;

const rows = readFileSync(at('docs/faults.md'), 'utf8').split('\n').flatMap((line) => {
  const cells = line.match(/^\| (\d+|FF-\d\d) \| (.+?) \| (.+) \|$/);
  return cells ? [{ number: cells[1], tests: [...cells[3].matchAll(/`([^`]+)` "(.+?)"(?= ·|$)/g)].map(([, path, name]) => ({ path, name })), text: cells[3] }] : [];
});

test('every fault and every failure of the field is there once', () => {
  const wanted = [...Array.from({ length: kFaults }, (_, n) => `${n + 1}`), ...Array.from({ length: kFieldFailures }, (_, n) => `FF-${String(n + 1).padStart(2, '0')}`)];
  assert.deepEqual(rows.map(({ number }) => number), wanted);
});

test('each names tests, or says why there is none', () => {
  for (const { number, tests, text } of rows) assert.ok(tests.length > 0 || /^Not tested/.test(text), `fault ${number}: ${text}`);
});

test('every test that is named exists', () => {
  const missing = rows.flatMap(({ number, tests }) => tests.filter(({ path, name }) => !namesIn(path).includes(name)).map(({ path, name }) => `fault ${number}: ${path} has no test "${name}"`));
  assert.deepEqual(missing, []);
});

/** The text of a test file, quotes in names as they are read. @param {string} path */
function namesIn(path) {
  return readFileSync(at(path), 'utf8').replaceAll("\\'", "'").replaceAll('\\"', '"');
}
