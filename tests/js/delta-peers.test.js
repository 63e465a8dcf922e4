// tidegate/delta against other people's programs: xdelta3 reads what we write and the other way round; fast-json-patch and rfc6902 apply our patches and we
// theirs. npm test installs them.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import fast from 'fast-json-patch';
import * as rfc from 'rfc6902';
import { edited, form, generator } from '../../bench/corpus.mjs';
import { DeltaError, apply, applyDelta, canonicalHash, diff, encodeDelta } from '../../wasm/delta.js';

let folder = '';
before(() => { folder = mkdtempSync(join(tmpdir(), 'tidegate-peers-')); });
after(() => rmSync(folder, { recursive: true, force: true }));

/** Runs xdelta3 over files of these contents; what it wrote, or null where it refused. @param {string[]} flags @param {Uint8Array} base @param {Uint8Array} input */
function xdelta3(flags, base, input) {
  const [baseFile, inputFile, outputFile] = ['base', 'input', 'output'].map((name) => join(folder, name));
  writeFileSync(baseFile, base), writeFileSync(inputFile, input), rmSync(outputFile, { force: true });
  return spawnSync('xdelta3', [...flags, '-f', '-s', baseFile, inputFile, outputFile]).status === 0 ? new Uint8Array(readFileSync(outputFile)) : null;
}

/** Blobs of all sizes and kinds with what was done to them. */
function* blobPairs() {
  const g = generator(3);
  const bytes = (/** @type {number} */ n) => Uint8Array.from({ length: n }, () => g.below(256));
  const text = (/** @type {number} */ n) => new TextEncoder().encode(Array.from({ length: n }, (_, i) => `${i} ${g.text(6)}\n`).join(''));
  const join2 = (/** @type {Uint8Array[]} */ ...parts) => new Uint8Array(Buffer.concat(parts));
  for (const [kind, base] of /** @type {Array<[string, Uint8Array]>} */ ([['a byte', bytes(1)], ['few bytes', bytes(40)], ['random', bytes(70000)], ['text', text(900)], ['zeros', new Uint8Array(30000)], ['megabyte', bytes(1 << 20)]])) {
    const n = base.length, cut = g.below(n), fresh = bytes(1 + g.below(300));
    yield [`${kind}, the same`, base, base];
    yield [`${kind}, emptied`, base, new Uint8Array()];
    yield [`${kind}, inserted`, base, join2(base.subarray(0, cut), fresh, base.subarray(cut))];
    yield [`${kind}, cut`, base, join2(base.subarray(0, cut), base.subarray(Math.min(n, cut + 50)))];
    yield [`${kind}, turned round`, base, join2(base.subarray(cut), base.subarray(0, cut))];
    yield [`${kind}, twice`, base, join2(base, base)];
    yield [`${kind}, replaced`, base, bytes(Math.min(n, 5000))];
  }
}

test('xdelta3 makes of our delta what we meant, with its checksum and without', () => {
  for (const [name, base, next] of blobPairs()) {
    for (const checksum of [true, false])
      assert.deepEqual(xdelta3(['-d'], base, encodeDelta(base, next, { checksum })), next, `${name}, checksum ${checksum}`);
  }
});

test('we make of xdelta3 deltas what it meant, at every level, with its checksum and without', () => {
  for (const [name, base, next] of blobPairs()) {
    for (const flags of [['-1'], ['-6'], ['-9'], ['-9', '-n'], ['-6', '-A']]) {
      const delta = xdelta3(['-e', '-S', 'none', ...flags], base, next);
      assert.ok(delta, name);
      assert.deepEqual(applyDelta(base, delta), next, `${name}, ${flags}`);
    }
  }
});

test('what of xdelta3 is not RFC 3284 is refused by name: secondary compression', () => {
  const g = generator(4), base = new Uint8Array(10), next = new TextEncoder().encode(g.text(4000));
  for (const method of ['djw', 'lzma']) {
    const delta = xdelta3(['-e', '-9', '-S', method], base, next);
    if (delta) assert.throws(() => applyDelta(base, delta), (error) => error instanceof DeltaError && error.code === 'delta-unsupported', method);
  }
});

test('fast-json-patch and rfc6902 apply our patches, and we theirs, to the same documents', () => {
  const g = generator(11), pairs = [];
  for (let i = 0; i < 150; i++) {
    const base = form(g, 400 + g.below(4000));
    pairs.push([base, edited(g, base, i % 2 === 0, 0.1)]);
  }
  const file = new URL('../fixtures/delta/revisions-caniuse-wasm.jsonl.gz', import.meta.url);
  const documents = gunzipSync(readFileSync(file)).toString().trimEnd().split('\n').map((line) => JSON.parse(line).doc);
  for (let i = 1; i < documents.length; i++) pairs.push([documents[i - 1], documents[i]]);
  assert.ok(pairs.length > 150);
  for (const [base, next] of pairs) {
    const wanted = canonicalHash(next);
    for (const tests of [false, true]) {
      const ours = diff(base, next, { tests });
      assert.equal(canonicalHash(fast.applyPatch(structuredClone(base), structuredClone(ours), true).newDocument), wanted);
      if (ours.some(({ path }) => path === '')) continue;   // rfc6902 cannot replace the root of its argument
      const target = structuredClone(base);
      assert.deepEqual(rfc.applyPatch(target, structuredClone(ours)).filter(Boolean), []);
      assert.equal(canonicalHash(target), wanted);
    }
    for (const theirs of [fast.compare(base, next), fast.compare(base, next, true), rfc.createPatch(base, next)]) {
      for (const trustedDocument of [false, true]) assert.equal(canonicalHash(apply(base, theirs, { trustedDocument })), wanted);
    }
  }
});
