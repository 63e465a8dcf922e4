// npm run bench -- delta [--json FILE] [--rounds N]: delta against its peers, every goal a ratio within one run.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deflateRawSync, gunzipSync, gzipSync } from 'node:zlib';
import ably from '@ably/vcdiff-decoder';
import * as fossil from 'fossil-delta';
import { build } from 'esbuild';
import fastJsonPatch from 'fast-json-patch';
import * as jsondiffpatch from 'jsondiffpatch';
import * as jsonpatchFormatter from 'jsondiffpatch/formatters/jsonpatch';
import { diff as justDiff } from 'just-diff';
import microdiff from 'microdiff';
import { mergeDiff3 } from 'node-diff3';
import * as rfc6902 from 'rfc6902';
import { apply, applyDelta, diff, diffMany, encodeDelta, merge3 } from '../wasm/delta.js';
import { blobs, edited, forms, generator, shuffled } from './corpus.mjs';
import { inChromium } from './delta_chromium.mjs';
import { Rows, clock, kRounds, measure, median } from './measure.mjs';

// ultrapatch is not in the npm registry: TIDEGATE_ULTRAPATCH names a checkout of github.com/FluentCoding/UltraPatch (MIT).
const ultrapatch = process.env.TIDEGATE_ULTRAPATCH && (await fromSource(join(process.env.TIDEGATE_ULTRAPATCH, 'src/index.ts')));
const { JsonPatchDiff } = createRequire(import.meta.url)('json-joy/lib/json-patch-diff/JsonPatchDiff.js');

const options = process.argv.slice(2);
const option = (/** @type {string} */ name) => (options.includes(name) ? options[options.indexOf(name) + 1] : undefined);
const rounds = Number(option('--rounds') ?? kRounds);
const encoder = new TextEncoder(), decoder = new TextDecoder();
const parse = (/** @type {Uint8Array} */ bytes) => JSON.parse(decoder.decode(bytes));
const write = (/** @type {any} */ value) => encoder.encode(JSON.stringify(value));
const compare = fastJsonPatch.compare, applyPatch = fastJsonPatch.applyPatch;
const kTrust = { trustedBase: true };
const rows = new Rows();
console.log(`clock: ${clock.name}; load ${loadavg().map((x) => x.toFixed(1)).join(' ')}; node ${process.version}; ${rounds} rounds`);

/** Byte for byte the same document, keys in any order. @param {any} a @param {any} b */
const sameDocument = (a, b) => rfc6902.createPatch(a, b).length === 0;
const jdp = jsondiffpatch.create({ objectHash: (/** @type {any} */ item) => item.id ?? JSON.stringify(item) });
const peer = (/** @type {(a: any, b: any) => any} */ make) => ({ run: (/** @type {any} */ d) => write(make(parse(d.baseBytes), parse(d.nextBytes))) });
const fjp = peer(compare);
/** The document that fast-json-patch makes of a patch, undefined where it refuses the patch. @param {any} base @param {any} patch */
const applied = (base, patch) => {
  try { return applyPatch(structuredClone(base), structuredClone(patch)).newDocument; } catch { return undefined; }
};

/** A peer's TypeScript, bundled as its own build does. @param {string} file */
async function fromSource(file) {
  const { outputFiles } = await build({ entryPoints: [file], bundle: true, write: false, format: 'esm' });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`);
}

// Correctness and size first: a fast wrong patch is worth nothing.
const docs = forms(1000, 20260101);
let patchBytes = 0, bodyBytes = 0, peerBytes = 0, jdpBytes = 0, wrong = 0, wrongUltrapatch = 0;
for (const d of docs) {
  d.patch = diff(d.baseBytes, d.nextBytes);
  const patch = parse(d.patch);
  const results = [applyPatch(structuredClone(d.base), structuredClone(patch)).newDocument, structuredClone(d.base)];
  rfc6902.applyPatch(results[1], structuredClone(patch));
  if (!results.every((result) => sameDocument(result, d.next)) || !sameDocument(parse(apply(d.baseBytes, d.patch)), d.next)) wrong++;
  patchBytes += d.patch.length;
  bodyBytes += d.nextBytes.length;
  peerBytes += write(compare(d.base, d.next)).length;
  jdpBytes += write(jsonpatchFormatter.format(jdp.diff(d.base, d.next), d.base)).length;
  if (ultrapatch && !sameDocument(applied(d.base, ultrapatch.diff(d.base, d.next)), d.next)) wrongUltrapatch++;
}
rows.figure('patches that make another document (3 appliers)', wrong, 'of 1000', { atMost: 0 });
if (ultrapatch) rows.figure('ultrapatch: patches that make another document', wrongUltrapatch, 'of 1000');
rows.figure('patch size, RFC 6902', 100 * patchBytes / bodyBytes, '% of bodies', { atMost: 10, peer: `fast-json-patch ${(100 * peerBytes / bodyBytes).toFixed(1)} %, jsondiffpatch ${(100 * jdpBytes / bodyBytes).toFixed(1)} %` });

/** Builds a C++ file of this folder; false where the compiler is missing. @param {string[]} command @returns {boolean} */
const built = (command) => spawnSync(command[0], command.slice(1), { cwd: fileURLToPath(new URL('..', import.meta.url)), stdio: 'ignore' }).status === 0;

const scratch = mkdtempSync(join(tmpdir(), 'tidegate-bench-'));

/** What no delta in Wasm can avoid: copying both in, comparing them. Outside of Wasm where em++ is missing. @returns {(b: any) => unknown} */
function copyAndCompare() {
  const file = join(scratch, 'floor.wasm');
  if (!built(['em++', '-O3', '-std=c++20', '-msimd128', '-mbulk-memory', '-fno-exceptions', '-fno-rtti', '-Iwasm', 'bench/floor.cpp', '-o', file, '--no-entry', '-sSTANDALONE_WASM', '-sALLOW_MEMORY_GROWTH=1'])) {
    const copy = new Uint8Array(12 << 20);
    return (b) => (copy.set(b.base), copy.set(b.next, b.base.length), Buffer.compare(b.base, b.next) + Buffer.compare(b.base, b.base));
  }
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(file)), { env: { emscripten_notify_memory_growth() {} } });
  const { room, same, memory, _initialize } = /** @type {any} */ (exports);
  _initialize?.();
  const at = room(12 << 20), heap = new Uint8Array(memory.buffer);
  return (b) => {
    heap.set(b.base, at);
    heap.set(b.next, at + b.base.length);
    return same(at, at + b.base.length, Math.min(b.base.length, b.next.length));
  };
}

const floor = copyAndCompare();

const inBatches = (/** @type {any[]} */ part) => {
  for (let i = 0; i < part.length; i += 25) diffMany(part.slice(i, i + 25).map((d) => [d.baseBytes, d.nextBytes]), kTrust);
};
let times = measure({
  items: docs, perRound: 200, rounds,
  contenders: {
    ours: { run: (d) => diff(d.baseBytes, d.nextBytes, kTrust) }, batched: { run() {}, many: inBatches }, untrusted: { run: (d) => diff(d.baseBytes, d.nextBytes) },
    'fast-json-patch': fjp, 'JSON.parse of both': { run: (d) => [parse(d.baseBytes), parse(d.nextBytes)] },
    microdiff: peer((a, b) => microdiff(a, b)), 'just-diff': peer(justDiff), jsondiffpatch: peer((a, b) => jdp.diff(a, b) ?? null), rfc6902: { ...peer(rfc6902.createPatch), share: 0.02 },
    'json-joy': { ...peer((a, b) => new JsonPatchDiff().diff('', a, b)), share: 0.05 },
    ...(ultrapatch ? { ultrapatch: peer(ultrapatch.diff) } : {}),
    same: { run: (d) => diff(d.baseBytes, d.baseBytes, kTrust) }, 'same untrusted': { run: (d) => diff(d.baseBytes, d.baseBytes) },
    'fast-json-patch, identical': { run: (d) => write(compare(parse(d.baseBytes), parse(d.baseBytes))) },
    'copy + compare in Wasm': { run: (d) => floor({ base: d.baseBytes, next: d.nextBytes }) },
    live: { run: (d) => diff(d.baseBytes, write(d.next), kTrust) }, 'stringify + fast-json-patch': { run: (d) => [write(d.next), write(compare(parse(d.baseBytes), d.next))] },
  },
});
rows.ratio('diff, one call a document', times, 'ours', 'fast-json-patch', 15);
rows.ratio('diff, batches of 25', times, 'batched', 'fast-json-patch', 20);
rows.ratio('diff, against parsing both', times, 'ours', 'JSON.parse of both', 10);
rows.ratio('diff, against the floor', times, 'ours', 'copy + compare in Wasm', null);
rows.ratio('diff, base not trusted', times, 'untrusted', 'fast-json-patch', null);
for (const name of ['microdiff', 'just-diff', 'jsondiffpatch', 'json-joy', 'rfc6902', ...(ultrapatch ? ['ultrapatch'] : [])]) rows.ratio(`diff, against ${name}`, times, 'ours', name, null);
rows.ratio('identical documents, base trusted', times, 'same', 'fast-json-patch, identical', 60);
rows.ratio('identical documents, base not trusted', times, 'same untrusted', 'fast-json-patch, identical', null);
rows.ratio('live object in, bytes out', times, 'live', 'stringify + fast-json-patch', 1);

const sources = readdirSync(new URL('../wasm/tidegate', import.meta.url)).filter((name) => /^(diff|hash|json_escape|json_number|json_text|json_value|say)(_[a-z_]+)?\.cpp$/.test(name));
if (built(['c++', '-O3', '-std=c++20', '-fno-exceptions', '-fno-rtti', '-Iwasm', 'bench/delta_native.cpp', ...sources.map((name) => `wasm/tidegate/${name}`), '-o', join(scratch, 'native')])) {
  const lengths = (/** @type {any} */ d) => Buffer.from(new Uint32Array([d.baseBytes.length, d.nextBytes.length]).buffer);
  writeFileSync(join(scratch, 'pairs'), Buffer.concat(docs.flatMap((d) => [lengths(d), d.baseBytes, d.nextBytes])));
  const native = spawnSync(join(scratch, 'native'), [join(scratch, 'pairs'), String(rounds)]).stdout.toString().trim().split('\n').slice(-rounds).map(Number);
  rows.ratio('diff, native against Wasm', { native, Wasm: times.ours }, 'native', 'Wasm', null);
} else {
  console.log('diff, native against Wasm: not measured, c++ is missing or could not build bench/delta_native.cpp');
}

const big = forms(4, 7, 1 << 20, (1 << 20) + 1);
times = measure({ items: big, rounds, contenders: { ours: { run: (d) => diff(d.baseBytes, d.nextBytes, kTrust) }, 'fast-json-patch': fjp } });
rows.ratio('diff, 1 MB documents', times, 'ours', 'fast-json-patch', 30);

// Public histories (tests/fixtures/delta/PROVENANCE.md): each version against the one before it.
const histories = readdirSync(new URL('../tests/fixtures/delta', import.meta.url)).filter((name) => name.startsWith('revisions-')).flatMap((name) => {
  const versions = gunzipSync(readFileSync(new URL(`../tests/fixtures/delta/${name}`, import.meta.url))).toString().trimEnd().split('\n').map((line) => write(JSON.parse(line).doc));
  return versions.slice(1).map((nextBytes, i) => ({ baseBytes: versions[i], nextBytes }));
});
times = measure({ items: histories, rounds, contenders: { ours: { run: (d) => diff(d.baseBytes, d.nextBytes, kTrust) }, 'fast-json-patch': fjp } });
rows.ratio('diff, public histories', times, 'ours', 'fast-json-patch', null);
const inAll = (/** @type {(d: any) => Uint8Array} */ of) => histories.reduce((sum, d) => sum + of(d).length, 0);
rows.figure('patch size, public histories', 100 * inAll((d) => diff(d.baseBytes, d.nextBytes)) / inAll((d) => d.nextBytes), '% of bodies', { peer: `fast-json-patch ${(100 * inAll(fjp.run) / inAll((d) => d.nextBytes)).toFixed(1)} %` });

const g = generator(5);
const other = docs.slice(0, 200).map((d) => ({ ...d, shuffledBytes: write(shuffled(g, d.next)), prettyBytes: encoder.encode(JSON.stringify(d.next, null, 2)) }));
for (const [name, key] of [['keys shuffled', 'shuffledBytes'], ['text reformatted', 'prettyBytes']]) {
  const items = other.map((d) => ({ baseBytes: d.baseBytes, nextBytes: d[key] }));
  times = measure({ items, rounds, contenders: { ours: { run: (d) => diff(d.baseBytes, d.nextBytes, kTrust) }, 'fast-json-patch': fjp } });
  rows.ratio(`diff, ${name}`, times, 'ours', 'fast-json-patch', 5);
}

times = measure({
  items: docs, perRound: 200, rounds,
  contenders: {
    ours: { run: (d) => apply(d.baseBytes, d.patch, { trustedDocument: true }) }, untrusted: { run: (d) => apply(d.baseBytes, d.patch) },
    'fast-json-patch': { run: (d) => write(applyPatch(parse(d.baseBytes), parse(d.patch), false, true).newDocument) },
  },
});
rows.ratio('apply, document trusted', times, 'ours', 'fast-json-patch', 15);
rows.ratio('apply, document not trusted', times, 'untrusted', 'fast-json-patch', null);

/** What one writes by hand: two diffs, clashes by equal paths, theirs applied without them. @param {any} d */
function handMade(d) {
  const base = parse(d.baseBytes), ours = compare(base, parse(d.nextBytes)), theirs = compare(base, parse(d.theirsBytes));
  const mine = new Set(ours.map((op) => op.path)), clashes = theirs.filter((op) => mine.has(op.path));
  const merged = applyPatch(applyPatch(base, ours).newDocument, theirs.filter((op) => !mine.has(op.path))).newDocument;
  return [write(merged), clashes];
}
const lines = (/** @type {Uint8Array} */ bytes) => JSON.stringify(parse(bytes), null, 1).split('\n');
const merges = docs.filter((d) => !d.structure).slice(0, 300).map((d) => ({ ...d, theirsBytes: write(edited(g, d.base, false)) }));
times = measure({
  items: merges, perRound: 100, rounds,
  contenders: {
    ours: { run: (d) => merge3(d.baseBytes, d.nextBytes, d.theirsBytes, { trusted: true }) }, untrusted: { run: (d) => merge3(d.baseBytes, d.nextBytes, d.theirsBytes) },
    'hand-made with fast-json-patch': { run: handMade }, 'node-diff3': { run: (d) => mergeDiff3(lines(d.nextBytes), lines(d.baseBytes), lines(d.theirsBytes)), share: 0.1 },
  },
});
rows.ratio('merge3 with clashes', times, 'ours', 'hand-made with fast-json-patch', 10);
rows.ratio('merge3, against node-diff3', times, 'ours', 'node-diff3', 60);
rows.ratio('merge3, nothing trusted', times, 'untrusted', 'hand-made with fast-json-patch', null);

/** The size of xdelta3's delta, after both have read the other's. Undefined where xdelta3 is not installed. @param {any} blob @param {Uint8Array} ours */
function xdelta3(blob, ours) {
  if (spawnSync('xdelta3', ['-V']).error) return undefined;
  const folder = mkdtempSync(join(tmpdir(), 'tidegate-bench-'));
  const [base, next, theirs, mine, back] = ['base', 'next', 'theirs', 'mine', 'back'].map((name) => join(folder, name));
  writeFileSync(base, blob.base), writeFileSync(next, blob.next), writeFileSync(mine, ours);
  spawnSync('xdelta3', ['-e', '-f', '-9', '-S', 'none', '-s', base, next, theirs]);
  spawnSync('xdelta3', ['-d', '-f', '-s', base, mine, back]);
  const delta = new Uint8Array(readFileSync(theirs));
  const agree = Buffer.compare(readFileSync(back), blob.next) === 0 && Buffer.compare(applyDelta(blob.base, delta), blob.next) === 0;
  rmSync(folder, { recursive: true });
  if (!agree) throw new Error(`${blob.name}: xdelta3 and we do not read each other's delta`);
  return delta.length;
}

const allBlobs = blobs(99);
// The engine compiles a function for speed after some calls; which blob comes first must not matter.
for (let i = 0; i < 5; i++) for (const blob of allBlobs) floor(blob), applyDelta(blob.base, encodeDelta(blob.base, blob.next));
for (const blob of allBlobs) {
  const delta = encodeDelta(blob.base, blob.next), bare = encodeDelta(blob.base, blob.next, { checksum: false });
  const back = applyDelta(blob.base, delta), into = new Uint8Array(blob.next.length);
  if (Buffer.compare(back, blob.next) !== 0 || Buffer.compare(ably.decode(bare, blob.base), blob.next) !== 0) throw new Error(`${blob.name}: the delta makes another blob`);
  times = measure({
    items: [blob], rounds,
    contenders: {
      encode: { run: (b) => encodeDelta(b.base, b.next) }, decode: { run: (b) => applyDelta(b.base, delta, { into }) }, 'decode, new buffer': { run: (b) => applyDelta(b.base, delta) },
      'copy + compare in Wasm': { run: floor },
      'fossil-delta': { run: (b) => fossil.createDelta(b.base, b.next) }, '@ably/vcdiff-decoder': { run: (b) => ably.decode(bare, b.base) },
    },
  });
  rows.ratio(`blob ${blob.name}: encode, against the floor`, times, 'encode', 'copy + compare in Wasm', 0.5);
  rows.ratio(`blob ${blob.name}: encode, against fossil-delta`, times, 'encode', 'fossil-delta', 20);
  rows.ratio(`blob ${blob.name}: decode into a buffer, against the floor`, times, 'decode', 'copy + compare in Wasm', 0.4);
  rows.ratio(`blob ${blob.name}: decode to a new buffer, against the floor`, times, 'decode, new buffer', 'copy + compare in Wasm', null);
  rows.ratio(`blob ${blob.name}: decode, against ably`, times, 'decode', '@ably/vcdiff-decoder', null);
  const theirs = xdelta3(blob, delta);
  const peers = `fossil-delta ${fossil.createDelta(blob.base, blob.next).length}, xdelta3 -9 ${theirs ?? 'not installed'}`;
  rows.figure(`blob ${blob.name}: delta`, delta.length, 'bytes', { atMost: theirs && Math.floor(theirs * 1.05), peer: peers });
}

// Bytes on the wire for 1 000 edits.
const size = (/** @type {Uint8Array[]} */ parts) => parts.reduce((sum, part) => sum + part.length, 0);
const batches = (/** @type {Uint8Array[]} */ parts) => Array.from({ length: Math.ceil(parts.length / 50) }, (_, i) => gzipSync(Buffer.concat(parts.slice(i * 50, i * 50 + 50).flatMap((part) => [part, Buffer.from('\n')]))));
const bodies = docs.map((d) => d.nextBytes), patches = docs.map((d) => d.patch), saved = (/** @type {number} */ bytes) => 100 * (1 - bytes / bodyBytes);
rows.figure('wire: gzip each', saved(size(bodies.map((body) => gzipSync(body)))), '% less');
rows.figure('wire: batches of 50 + gzip', saved(size(batches(bodies))), '% less', { atLeast: 70 });
rows.figure('wire: delta each', saved(patchBytes), '% less', { atLeast: 80 });
rows.figure('wire: delta + batches of 50 + gzip', saved(size(batches(patches))), '% less', { atLeast: 98 });
// A dictionary made of other patches of the app: what it would save on top. CompressionStream takes none, so it would cost a compressor of our own.
const dictionary = Buffer.concat(forms(60, 4711).map((d) => Buffer.from(diff(d.baseBytes, d.nextBytes)))).subarray(-32768);
const inFifties = Array.from({ length: patches.length / 50 }, (_, i) => Buffer.concat(patches.slice(i * 50, i * 50 + 50)));
rows.figure('wire: delta + batches of 50 + deflate with a dictionary of 32 kB', saved(size(inFifties.map((batch) => deflateRawSync(batch, { dictionary })))), '% less');
rows.figure('wire: requests', 100 * (1 - batches(patches).length / docs.length), '% fewer', { atLeast: 98 });

// Worst cases.
const listed = Array.from({ length: 300 }, (_, i) => ({ id: i, name: `item ${i}`, text: 'x'.repeat(330), n: i }));
const mixed = structuredClone(listed);
for (const i of [3, 50, 99, 150, 220]) mixed[i].n += 1000;
mixed.splice(10, 2), mixed.splice(200, 0, ...mixed.splice(20, 1)), mixed.splice(100, 0, { id: 999, name: 'new', text: 'y'.repeat(330), n: 0 });
rows.figure('worst: 300 items with ids, mixed edits', diff(write(listed), write(mixed)).length, 'bytes', { atMost: 5000 });
const numbers = (/** @type {(i: number) => any} */ at, n = 150000) => write(Array.from({ length: n }, (_, i) => at(i)));
const nested = (/** @type {number} */ leaf) => encoder.encode('[0,'.repeat(250) + `[${Array.from({ length: 100000 }, (_, i) => (i * 7919 + leaf) % 100003).join(',')}]` + ']'.repeat(250));
const adversaries = {
  reversed: [numbers((i) => i), numbers((i) => 150000 - i)], 'all different': [numbers((i) => i), numbers((i) => -1 - i)], 'equal elements': [numbers(() => 7), numbers((i) => (i % 3 ? 7 : 8))],
  'nested 250 deep': [nested(0), nested(1)], 'objects without ids, all changed': [numbers((i) => ({ a: i, b: [i] }), 40000), numbers((i) => ({ a: i, b: [i + 1] }), 40000)],
};
for (const [name, [base, next]] of Object.entries(adversaries)) {
  const { worst, typical } = measure({
    items: big.slice(0, 1), rounds, contenders: { typical: { run: (d) => diff(d.baseBytes, d.nextBytes, kTrust) }, worst: { run: () => diff(base, next, kTrust) } },
  });
  const bytes = (big[0].baseBytes.length + big[0].nextBytes.length) / (base.length + next.length);
  rows.figure(`worst: ${name}, time per byte against typical`, bytes * median(worst.map((time, round) => time / typical[round])), 'x', { atMost: 100 });
}

const browser = await inChromium(rounds);
if (browser) {
  const { diff: one, big: large, apply: applied, merge: merged } = browser.times, where = `Chromium ${browser.version.split('.')[0]}, wall clock`;
  rows.ratio(`${where}: diff, one call a document`, one, 'ours', 'fast-json-patch', null);
  rows.ratio(`${where}: diff, batches of 25`, one, 'batched', 'fast-json-patch', null);
  rows.ratio(`${where}: diff, 1 MB documents`, large, 'ours', 'fast-json-patch', null);
  rows.ratio(`${where}: apply`, applied, 'ours', 'fast-json-patch', null);
  rows.ratio(`${where}: merge3`, merged, 'ours', 'hand-made with fast-json-patch', null);
}
rmSync(scratch, { recursive: true });

const missed = rows.rows.filter((row) => row.met === false);
console.log(`${rows.rows.filter((row) => row.met).length} goals met, ${missed.length} missed`);
const file = option('--json');
if (file) writeFileSync(file, `${JSON.stringify(rows, null, 2)}\n`);
