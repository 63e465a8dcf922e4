// The libFuzzer targets (tests/fuzz/*.cpp, one each): building them, what they start from, running them. `npm test fuzz` runs each for a minute,
// `npm run soak -- --only fuzz` until a million inputs are done.
//
//     node scripts/fuzz.mjs TARGET INPUT-FILE      one input again
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { cmakeBuild } from './build.mjs';
import { at, fail, isMain, mustRun, which } from './lib.mjs';

/** The checked build: the fuzzers are linked with the core that the native tests are linked with. */
const kBuild = at('build', 'native');
const kMaxInputBytes = 4096;
const kInputTimeoutSeconds = 20;
const kMemoryMb = 2048;

export const fuzzTargets = () => readdirSync(at('tests/fuzz')).filter((name) => name.endsWith('.cpp')).map((name) => name.slice(0, -4)).sort();

export function buildFuzzers() {
  if (!which('clang++')) fail('fuzzing needs clang++ (Debian: clang)');
  cmakeBuild('native', ['fuzzers']);
}

const fixture = (/** @type {string} */ path) => JSON.parse(readFileSync(at('tests/fixtures', path), 'utf8'));
const zero = Buffer.from([0]);
const joined = (/** @type {Array<string | Buffer>} */ ...parts) => Buffer.concat(parts.map((part) => Buffer.from(part)));

/** Texts on which JSON readers differ. @returns {Buffer[]} */
function hostileTexts() {
  const suite = Object.values(fixture('delta/json-test-suite.json')).map((text) => Buffer.from(/** @type {string} */ (text), 'base64'));
  const strings = fixture('delta/naughty-strings.json').map((/** @type {string} */ text) => Buffer.from(JSON.stringify({ [text]: [text] })));
  const documents = fixture('hostile/documents.json').map((/** @type {any} */ { json, generate }) =>
    Buffer.from(json ?? generate.open.repeat(300) + generate.close.repeat(300)));
  return [...documents, ...suite, ...strings].filter((text) => text.length <= kMaxInputBytes);
}

const row = (/** @type {number} */ seq, more = {}) => ({
  seq, id: `op-${seq}`, lane: `:note/${seq}`, entity: 'note', entityId: String(seq), action: 'update', createdAt: 1.7e12, sizeBytes: 90, ...more,
});
const lines = (/** @type {object[]} */ ...inputs) => Buffer.concat([Buffer.from('a'), Buffer.from(inputs.map((input) => JSON.stringify(input)).join('\n'))]);

/** What a target starts from: the form that it reads. @param {string} target @returns {Buffer[]} */
function seedsOf(target) {
  const texts = hostileTexts();
  const pairs = texts.map((text, i) => /** @type {const} */ ([text, texts[(i + 1) % texts.length]]));
  if (target === 'delta_json') return pairs.map(([a, b], i) => joined(Buffer.from([i % 4]), a, zero, b));
  if (target === 'delta_merge') return pairs.map(([a, b], i) => joined(a, zero, b, zero, texts[(i + 7) % texts.length]));
  if (target === 'delta_patch') return fixture('delta/json-patch-tests.json').filter((/** @type {any} */ test) => test.patch).map((/** @type {any} */ test) => joined('\x01', JSON.stringify(test.doc), zero, JSON.stringify(test.patch)));
  if (target === 'delta_binary') return texts.map((text) => joined(Buffer.from([0, text.length % 256]), text, text)).concat(joined('\0\0', Buffer.from('d6c3c4000000', 'hex')));
  if (target === 'rules') return [...texts, Buffer.from('[{"name":"a","points":25,"when":{"all":[{"field":"severity","op":">=","value":4},{"not":{"field":"/tags/0","op":"in","value":["x",9007199254740993]}}]}}]\0{"severity":5,"tags":["x"]}')];
  if (target === 'snapshot') return [JSON.stringify(row(1)), JSON.stringify(row(2, { state: 'dead', error: { class: 'server', message: 'no' } }))].map((text) => joined('\x01TGSN\x01\0\0\0\0\0\0\0\0\x02\x01', Buffer.from([text.length & 127 | 128, text.length >> 7]), text)).concat(joined('\x01TGSN\x01\0\0\0\0\0\0\0\0\x01\0'));
  if (target === 'plan') return [
    lines({ event: { type: 'online', trigger: 'manual' }, readings: { online: true }, rows: [row(1), row(2, { action: 'create' })] }, {}, {}, {}),
    lines({ event: { type: 'sync', deadlineMs: 1.7e12 + 180000 }, readings: { online: true }, rows: [row(1, { state: 'sending', sends: 1, codec: 'full' })] }, {}, {}),
    lines({ rows: [row(1), row(2, { dependsOn: ['op-1'] })], commands: [{ type: 'settings', value: { batching: false } }, { type: 'flush' }] }, {}, { commands: [{ type: 'cancel', id: 'op-2' }, { type: 'retry', id: 'op-1' }] }),
    ...texts.map((text) => joined('a', text)),
  ];
  if (target === 'journal') return [[1, 1], [2, 1], [0, 5]].map((sizes) => joined(Buffer.from(sizes), [
    row(1, { action: 'create' }), row(2, { lane: ':note/1', entityId: '1' }), row(3, { dependsOn: ['op-2', ':note/1'], refs: { '/a': ':note/1' } }), row(4, { state: 'sending', sends: 1, codec: 'full' }),
    row(5, { group: 'g', expiresAt: 500 }), row(6, { group: 'g' }), row(7, { state: 'dead', undo: 'take-out', error: { class: 'server', message: 'no' } }),
  ].map((one) => JSON.stringify(one)).join('\n'))).concat(texts.map((text) => joined('\x02\x01', text)));
  return texts;
}

/**
 * The folders of a target: what it starts from and what it collects, made anew, and what it found, kept. A collection that is carried on fills with slow
 * inputs: after ten minutes of `plan` a run does a fiftieth of what its first minute did. @param {string} target
 */
function folders(target) {
  const seeds = at('build/fuzz/seeds', target), corpus = at('build/fuzz/corpus', target), findings = at('build/fuzz/findings', target);
  for (const folder of [seeds, corpus]) rmSync(folder, { recursive: true, force: true });
  for (const folder of [seeds, corpus, findings]) mkdirSync(folder, { recursive: true });
  seedsOf(target).forEach((seed, i) => writeFileSync(`${seeds}/${i}`, seed));
  return { seeds, corpus, findings };
}

/**
 * Runs a target until `seconds` are over or `runs` inputs are done. @param {string} target @param {{seconds?: number, runs?: number, seed?: number}} limit
 * @returns {Promise<{target: string, executions: number, finding: string | null, seconds: number}>}
 */
export function runFuzzer(target, { seconds = 0, runs = -1, seed = 0 }) {
  const { seeds, corpus, findings } = folders(target);
  const started = performance.now();
  const args = [corpus, seeds, `-max_len=${kMaxInputBytes}`, `-timeout=${kInputTimeoutSeconds}`, `-rss_limit_mb=${kMemoryMb}`, `-max_total_time=${Math.ceil(seconds)}`,
    `-runs=${runs}`, `-seed=${seed}`, `-artifact_prefix=${findings}/`, '-print_final_stats=1', '-verbosity=1'];
  return new Promise((resolve, reject) => {
    const child = spawn(`${kBuild}/fuzz_${target}`, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let output = '';
    child.stderr.setEncoding('utf8').on('data', (text) => { output = (output + text).slice(-20000); });
    child.on('error', reject).on('close', (code) => {
      const executions = Number(output.match(/stat::number_of_executed_units: (\d+)/)?.[1] ?? 0);
      const artifact = output.match(/Test unit written to (\S+)/)?.[1]?.replace(at(''), '');
      const finding = code === 0 ? null : `${output.match(/^(SUMMARY: .*|==\d+== ERROR: .*)$/m)?.[1] ?? `ended with ${code}`}${artifact ? ` (${artifact})` : ''}`;
      resolve({ target, executions, finding, seconds: (performance.now() - started) / 1000 });
    });
  });
}

/** Two at a time. @template T, R @param {T[]} list @param {(item: T) => Promise<R>} work @returns {Promise<R[]>} */
export async function sideBySide(list, work) {
  /** @type {R[]} */
  const results = [];
  let next = 0;
  const worker = async () => {
    while (next < list.length) {
      const i = next++;
      results[i] = await work(list[i]);
    }
  };
  await Promise.all([worker(), worker()]);
  return results;
}

if (isMain(import.meta.url)) {
  const [target, file] = process.argv.slice(2);
  if (!fuzzTargets().includes(target) || !file) fail(`node scripts/fuzz.mjs ${fuzzTargets().join('|')} INPUT-FILE`);
  buildFuzzers();
  mustRun(`${kBuild}/fuzz_${target}`, [file]);
}
