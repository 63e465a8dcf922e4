// docs/limits.md says what every limit is and where it stands: here each row is read, and the constant beside it. A limit that changes without its row, or that has none,
// fails this file.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { checkEntity, checkEntityId, checkOwner } from '../../sw/accept.js';
import { at, filesBelow } from '../../scripts/lib.mjs';

/** Named as limits are, and none that anybody meets. The reason stands beside each. */
const kNoLimits = {
  'wasm/tidegate/describe.h kMaxSafe': 'the whole numbers that JavaScript has',
  'wasm/tidegate/diff_engine.h kMaxFrames': 'room for the nesting that is allowed, which is kMaxTextDepth',
  'wasm/tidegate/budget.cpp kMaxOpenings': 'a counter stops there; the wait stopped growing long before (kBreakerMaxOpenMs)',
  'wasm/tidegate/connectivity.cpp kMaxProbeFailures': 'a counter stops there; the wait stopped growing long before (kProbeMaxMs)',
  'wasm/tidegate/connectivity.cpp kMaxRtoFactor': 'its product is cut to kMaxRtoMs',
  'wasm/tidegate/connectivity.cpp kMaxExchangeMs': 'a measurement above it is not believed',
  'wasm/tidegate/connectivity.cpp kMaxGoodput': 'a measurement above it is not believed',
  'wasm/tidegate/eta.cpp kMaxWork': 'keeps a sum finite',
  'wasm/tidegate/eta.cpp kMaxRate': 'keeps a quotient finite',
  'wasm/tidegate/json_number.cpp kMaxDigits': 'digits behind it decide nothing about a double',
  'wasm/tidegate/json_number.cpp kMaxShift': 'how far one step of the reading of a number goes',
};

/** Names that a door takes or refuses by their length; their limits stand in expressions, not in constants. */
const kDoors = { checkEntity, checkEntityId, checkOwner };

const kUnits = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, s: 1000, min: 60_000, h: 3_600_000, day: 86_400_000, days: 86_400_000 };
/** Constants of time that are not in milliseconds say so in their names. */
const kNamedUnits = { Seconds: 1000, Minutes: 60_000 };

const page = readFileSync(at('docs/limits.md'), 'utf8');
const cellsOf = (line) => line.split('|').slice(1, -1).map((cell) => cell.trim());
const tables = page.split('\n').filter((line) => /^\|(?!---)/.test(line)).map(cellsOf);
const limits = tables.filter((cells) => cells.length === 5 && cells[0] !== 'limit');
const settings = tables.filter((cells) => cells.length === 4 && cells[0] !== 'setting');

/** "100 000 ops", "8.64e15 ms" or "16 MiB" as a number of ms, bytes or things. @param {string} cell */
function numberIn(cell) {
  const [, digits, unit] = /^([\d. ]*\d(?:e\d+)?)(?: ([A-Za-z]\w*))?/.exec(cell) ?? assert.fail(`no number: "${cell}"`);
  return Number(digits.replaceAll(' ', '')) * (kUnits[unit] ?? 1);
}

/** `kA` in `file`, `file`, `kB` in `file`: the pairs. @param {string} cell */
function placesIn(cell) {
  let name = '';
  return [...cell.matchAll(/`([^`]+)`/g)].flatMap(([, word]) => (word.includes('/') ? [{ name, file: word }] : ((name = word), [])));
}

const texts = new Map();
const textOf = (file) => texts.get(file) ?? texts.set(file, readFileSync(at(file), 'utf8')).get(file);
const headers = filesBelow('wasm/tidegate', (path) => path.endsWith('.h'));

/** What a constant is set to, as it is written: up to the next comma or semicolon outside of brackets. @param {string} file @param {string} name */
function writtenOf(file, name) {
  const [owner, member] = name.split('.');
  const found = new RegExp(`\\b${owner} *= *((?:\\{[^}]*\\}|\\([^)]*\\)|[^,;{(\\n])+)`).exec(textOf(file));
  return found && (member ? new RegExp(`\\b${member}: *([^,} ]+)`).exec(found[1])?.[1] : found[1]);
}

/** The value of a constant: numbers, + - * / ** <<, brackets, and other constants of its file or of a header. @param {string} file @param {string} name @returns {number} */
function valueOf(file, name) {
  const written = writtenOf(file, name) ?? assert.fail(`${file} has no ${name}`);
  const sum = written.replace(/std::size_t\{(\d+)\}/g, '$1').replace(/\bk[A-Z]\w*/g, (other) =>
    `(${valueOf([file, ...headers].find((path) => writtenOf(path, other)) ?? assert.fail(`${name}: where is ${other}?`), other)})`);
  assert.match(sum, /^[\d_.e()+\-*/< ]+$/, `${file} ${name}`);
  return new Function(`return ${sum}`)() * (kNamedUnits[/(?:Seconds|Minutes)$/.exec(name)?.[0]] ?? 1);
}

test('the page has rows, each with its value, its constant and what happens', () => {
  assert.ok(limits.length > 100, `${limits.length} rows`);
  for (const cells of limits) {
    assert.ok(cells.every((cell) => cell !== ''), cells[0]);
    assert.ok(placesIn(cells[2]).length > 0, `${cells[0]}: ${cells[2]}`);
  }
});

test('every value is that of the constants it names', () => {
  const wrong = limits.flatMap(([what, value, where]) => placesIn(where).filter(({ name }) => !name.endsWith('()'))
    .flatMap(({ name, file }) => (valueOf(file, name) === numberIn(value) ? [] : [`${what}: ${value}, but ${name} in ${file} is ${valueOf(file, name)}`])));
  assert.deepEqual(wrong, []);
});

test('names are taken up to the length that the page says, and refused by name beyond it', () => {
  const doors = limits.flatMap(([, value, where]) => placesIn(where).filter(({ name }) => name.endsWith('()')).map(({ name }) => ({ name: name.slice(0, -2), length: numberIn(value) })));
  assert.deepEqual(doors.map(({ name }) => name).sort(), Object.keys(kDoors).sort());
  for (const { name, length } of doors) {
    kDoors[name]('a'.repeat(length), '/here');
    assert.throws(() => kDoors[name]('a'.repeat(length + 1), '/here'), { code: 'out-of-range', path: '/here' }, name);
  }
});

test('every constant that is named as a limit is on the page, or has a reason not to be', () => {
  const told = new Set(limits.flatMap(([, , where]) => placesIn(where).map(({ name, file }) => `${file} ${name.split('.')[0]}`)));
  const folders = [['wasm', /^wasm\/(tidegate\/)?[^/]+\.(h|cpp|js)$/], ['sw', /\.js$/], ['web', /^web\/[^/]+\.js$/]];
  const named = folders.flatMap(([folder, wanted]) => filesBelow(folder, (path) => wanted.test(path))).flatMap((file) =>
    textOf(file).split('\n').filter((line) => /\bconst(expr)?\b/.test(line)).flatMap((line) => [...line.matchAll(/\b(kMax[A-Z]\w*) *= /g)].map(([, name]) => `${file} ${name}`)));
  assert.ok(named.length > 60, `${named.length} constants`);
  assert.deepEqual(named.filter((constant) => !told.has(constant) && !(constant in kNoLimits)), []);
  assert.deepEqual(Object.keys(kNoLimits).filter((constant) => !named.includes(constant) || told.has(constant)), []);
});

test('every setting with a range is on the page, with its range and its default', () => {
  const ranges = /kRanges\[\] = \{([\s\S]*?)\n\};/.exec(textOf('wasm/tidegate/protocol.cpp'))?.[1] ?? '';
  const known = [...ranges.matchAll(/\{"(\w+)", *([\d.e]+), *([\d.e]+)\}/g)].map(([, name, low, high]) => [name, Number(low), Number(high), defaultOf(name)]);
  assert.ok(known.length > 10);
  const read = settings.map(([name, low, high, usual]) => [name.replaceAll('`', ''), numberIn(low), numberIn(high), usual === 'none' ? null : numberIn(usual)]);
  assert.deepEqual(read.sort(), known.sort());
});

/** What a member of `struct Settings` is set to; null where it may be absent. @param {string} setting */
function defaultOf(setting) {
  const member = setting.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  const struct = /struct Settings \{([\s\S]*?)\n\};/.exec(textOf('wasm/tidegate/protocol.h'))?.[1] ?? '';
  const found = new RegExp(`\\b${member}(?: = ([\\d.]+))?[,;]`).exec(struct) ?? assert.fail(`no ${member} in Settings`);
  return found[1] === undefined ? null : Number(found[1]);
}
