// Public documents through their history: every step comes back from its patch, its delta and its merges. The slices in tests/fixtures/delta; with
// TIDEGATE_CORPORA the whole corpora.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { apply, applyDelta, canonicalHash, diff, encodeDelta, merge3, mergeText } from '../../wasm/delta.js';

const corpora = process.env.TIDEGATE_CORPORA;
const fixtures = new URL('../fixtures/delta/', import.meta.url);
const unpack = (/** @type {string | URL} */ file) => gunzipSync(readFileSync(file)).toString();

/** The files of one corpus: [name, content]. @param {string} folder @param {string} prefix */
function files(folder, prefix) {
  if (corpora) return readdirSync(`${corpora}/${folder}`).filter((name) => name.endsWith('.gz')).map((name) => [name, unpack(`${corpora}/${folder}/${name}`)]);
  return readdirSync(fixtures).filter((name) => name.startsWith(prefix)).map((name) => [name, unpack(new URL(name, fixtures))]);
}

const bytesOf = (/** @type {string} */ text) => new TextEncoder().encode(text);

for (const [name, content] of files('json-revisions', 'revisions-')) {
  test(`${name}: every step, both ways, comes back from patch, merge patch and merge`, () => {
    const documents = content.trimEnd().split('\n').map((line) => JSON.stringify(JSON.parse(line).doc));
    for (let i = 1; i < documents.length; i++) {
      for (const [base, next] of [[documents[i - 1], documents[i]], [documents[i], documents[i - 1]]]) {
        assert.equal(canonicalHash(apply(base, diff(base, next))), canonicalHash(next));
        assert.equal(canonicalHash(apply(base, diff(base, next, { trustedBase: true }), { trustedDocument: true })), canonicalHash(next));
        const mergePatch = diff(base, next, { format: 'merge-patch' });
        if (mergePatch !== null) assert.equal(canonicalHash(apply(base, mergePatch, { format: 'merge-patch' })), canonicalHash(next));
        const pretty = JSON.stringify(JSON.parse(next), null, 2);
        assert.equal(diff(base, pretty), diff(base, next));
        for (const [ours, theirs] of [[next, base], [base, next], [next, next]]) {
          const { document, clashes } = merge3(base, ours, theirs);
          assert.deepEqual(clashes, []);
          assert.equal(canonicalHash(document), canonicalHash(next));
        }
      }
    }
  });
}

/** The text after every `step` transactions. @param {{startContent: string, txns: {patches: [number, number, string][]}[]}} trace @param {number} step */
function versions({ startContent, txns }, step) {
  const texts = [startContent];
  let text = [...startContent];
  txns.forEach(({ patches }, i) => {
    for (const [at, removed, inserted] of patches) text = [...text.slice(0, at), ...inserted, ...text.slice(at + removed)];
    if (i % step === step - 1 || i === txns.length - 1) texts.push(text.join(''));
  });
  return texts;
}

for (const [name, content] of files('editing-traces', 'trace-')) {
  test(`${name}: every version comes back as a text, in a document and from its binary delta`, () => {
    const texts = versions(JSON.parse(content), 40);
    assert.ok(texts.length > 20);
    for (let i = 1; i < texts.length; i++) {
      const [before, after] = [texts[i - 1], texts[i]];
      const base = JSON.stringify({ lines: before.split('\n'), text: before }), next = JSON.stringify({ lines: after.split('\n'), text: after });
      assert.equal(canonicalHash(apply(base, diff(base, next))), canonicalHash(next));
      assert.deepEqual(applyDelta(bytesOf(before), encodeDelta(bytesOf(before), bytesOf(after))), bytesOf(after));
      for (const [ours, theirs] of [[after, before], [before, after], [after, after]]) assert.deepEqual(mergeText(before, ours, theirs), { text: after, clashes: [] });
      if (i >= 2) {
        // Two histories from one text: swapped sides with the other preference say the same.
        const one = mergeText(texts[i - 1], texts[i], texts[i - 2]), other = mergeText(texts[i - 1], texts[i - 2], texts[i], { prefer: 'theirs' });
        assert.equal(one.text, other.text);
        for (const clash of one.clashes) assert.equal(one.text.substr(clash.at, clash.ours.length), clash.ours);
      }
    }
  });
}
