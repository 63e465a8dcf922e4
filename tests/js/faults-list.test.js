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

test('every test that is named exists, as a test', () => {
  const missing = rows.flatMap(({ number, tests }) => tests.filter(({ path, name }) => !isTest(path, name)).map(({ path, name }) => `fault ${number}: ${path} has no test "${name}"`));
  assert.deepEqual(missing, []);
});

test('of a failure of the field the first test that is named bears its number', () => {
  const other = rows.filter(({ number, tests }) => number.startsWith('FF-') && tests.length > 0 && !tests[0].name.match(/^(?:FF-\d\d(?:, |: ))+/)?.[0].includes(number));
  assert.deepEqual(other.map(({ number }) => number), []);
});

/** Whether a line of a file begins a test whose name has `name` in it, quotes as they are read. @param {string} path @param {string} name */
function isTest(path, name) {
  return linesOf(path).some((line) => kBegins.test(line) && line.includes(name));
}

/** The last two are made of test() in their files. */
const kBegins = /^\s*(?:test|TEST_CASE|onBoth|killSweep)\(["'`]/;
/** @param {string} path */
const linesOf = (path) => readFileSync(at(path), 'utf8').replaceAll("\\'", "'").replaceAll('\\"', '"').split('\n');
