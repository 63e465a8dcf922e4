// tidegate/delta as it is used from JavaScript, on the built Wasm, against the npm appliers of others where they are installed.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { DeltaError, apply, applyDelta, applyDeltaStream, canonicalHash, canonicalize, chooseForm, diff, diffMany, encodeDelta, merge3, seal } from '../../wasm/delta.js';

const fixture = (name) => new URL(`../fixtures/delta/${name}`, import.meta.url);
const lines = (name) => gunzipSync(readFileSync(fixture(name))).toString().trimEnd().split('\n').map((line) => JSON.parse(line));
const encoder = new TextEncoder();
const decoder = new TextDecoder();

test('bytes in, bytes out; text in, text out; live values in, live values out', () => {
  const base = { a: 1, list: ['x', 'y'] }, next = { a: 2, list: ['x', 'y'] };
  const patch = [{ op: 'add', path: '/a', value: 2 }];
  assert.deepEqual(diff(base, next), patch);
  assert.equal(diff(JSON.stringify(base), JSON.stringify(next)), JSON.stringify(patch));
  const bytes = diff(encoder.encode(JSON.stringify(base)), encoder.encode(JSON.stringify(next)));
  assert.ok(bytes instanceof Uint8Array);
  assert.equal(decoder.decode(bytes), JSON.stringify(patch));
  assert.deepEqual(apply(base, patch), next);
  assert.equal(apply('{"a":1}', patch), '{"a":2}');
  assert.deepEqual(diff(base, next, { format: 'merge-patch' }), { a: 2 });
  assert.deepEqual(apply(base, { a: 2 }, { format: 'merge-patch' }), next);
  assert.equal(diff({}, { a: null }, { format: 'merge-patch' }), null);
});

test('numbers beyond double, lone surrogates and text in all scripts pass through unharmed', () => {
  const base = '{"n":9007199254740993,"s":"\\ud800","t":"東京 🙂"}', next = '{"n":9007199254740992,"s":"\\ud800","t":"東京 🙂!"}';
  const patch = diff(base, next);
  assert.equal(apply(base, patch), next);
  assert.notEqual(canonicalHash(base), canonicalHash('{"n":9007199254740992,"s":"\\ud800","t":"東京 🙂"}'));
});

test('a refused text is a DeltaError with code and place, and the next call works', () => {
  const refused = (call) => {
    try {
      call();
    } catch (error) {
      assert.ok(error instanceof DeltaError, String(error));
      return { code: error.code, path: error.path, message: error.message };
    }
    throw new Error('was not refused');
  };
  assert.deepEqual(refused(() => diff('{', '{}')), { code: 'json-syntax', path: '', message: 'base is not taken: at byte 1 expected a key in double quotes' });
  assert.deepEqual(refused(() => apply({}, [{ op: 'test', path: '', value: {} }, { op: 'remove', path: '/x' }])),
    { code: 'patch-path', path: '/1', message: 'op 1 (remove "/x"): there is nothing at "/x"' });
  assert.equal(refused(() => apply('{"a":"0123456789"}', '[{"op":"copy","from":"/a","path":"/b"}]', { maxOutputBytes: 20 })).code, 'patch-limit');
  assert.equal(refused(() => diff(undefined, {})).code, 'not-json');
  assert.equal(refused(() => applyDelta(new Uint8Array(0), new Uint8Array(3))).code, 'delta-syntax');
  assert.deepEqual(diff({ a: 1 }, { a: 1 }), []);
});

test('__proto__ stays a key', () => {
  const result = apply('{}', '[{"op":"add","path":"/__proto__","value":{"polluted":true}}]');
  assert.equal(result, '{"__proto__":{"polluted":true}}');
  assert.equal({}.polluted, undefined);
});

test('a batch gives what single calls give, and one bad pair spoils no other', () => {
  const pairs = Array.from({ length: 50 }, (_, i) => [`{"a":${i},"pad":"${'x'.repeat(i)}"}`, `{"a":${i + 1},"pad":"${'x'.repeat(i)}"}`]);
  pairs[7][1] = '{"a":';
  const results = diffMany(pairs);
  assert.ok(results[7] instanceof DeltaError);
  pairs.forEach(([base, next], i) => i === 7 || assert.equal(results[i], diff(base, next)));
});

test('a seal lets diff trust exactly the bytes that were sealed', () => {
  const base = '{"a":1,"b":[1,2,3]}', other = '{"a":1,"b":[1,2,3}', next = '{"a":2,"b":[1,2,3]}';
  assert.equal(diff(base, next, { baseSeal: seal(base) }), diff(base, next));
  assert.throws(() => diff(other, next, { baseSeal: seal(base) }), { code: 'json-syntax' });
  assert.throws(() => seal('{"a":1,"a":2}'), { code: 'duplicate-key' });
  assert.throws(() => diff(base, next, { baseSeal: 'xyz' }), TypeError);
});

test('elements of arrays are known by the id keys that were asked for, in this call only', () => {
  const item = (sku, n) => ({ sku, text: 'x'.repeat(40), n });
  const base = [item('a', 1), item('b', 1), item('c', 1)], next = [item('c', 2), item('a', 2), item('b', 2)];
  const moved = [{ op: 'move', from: '/2', path: '/0' }, ...[0, 1, 2].map((i) => ({ op: 'add', path: `/${i}/n`, value: 2 }))];
  assert.deepEqual(diff(base, next, { idKeys: ['sku'] }), moved);
  assert.deepEqual(diffMany([[base, next]], { idKeys: ['none', 'sku'] }), [moved]);
  assert.notDeepEqual(diff(base, next), moved);
  assert.deepEqual(apply(base, diff(base, next)), next);
  const theirs = [item('a', 1), item('b', 1), { ...item('c', 1), text: 'y' }];
  assert.deepEqual(merge3(base, next, theirs, { idKeys: ['sku'] }), { document: [{ ...item('c', 2), text: 'y' }, item('a', 2), item('b', 2)], clashes: [] });
  for (const idKeys of [[], [''], 'sku', [7], Array(17).fill('k')]) assert.throws(() => diff(base, next, { idKeys }), /idKeys is a list of 1 to 16 names/);
});

test('merge3 keeps both sides and lists the clashes with live values', () => {
  const { document, clashes } = merge3({ a: 1, b: 1, c: 1 }, { a: 2, b: 2, c: 1 }, { a: 1, b: 3, c: 4 }, { prefer: 'theirs' });
  assert.deepEqual(document, { a: 2, b: 3, c: 4 });
  assert.deepEqual(clashes, [{ path: '/b', base: 1, ours: 2, theirs: 3, winner: 'theirs' }]);
  assert.deepEqual(merge3({ a: 1 }, {}, { a: 2 }).clashes, [{ path: '/a', base: 1, theirs: 2, winner: 'ours' }]);
});

const kMerges = ['three-way-nsi.jsonl.gz', 'three-way-caniuse.jsonl.gz', 'three-way-idts.jsonl.gz'];

test('public three-way merges: at least 85 % as people merged them, none silently different', () => {
  const sorted = (value) => (Array.isArray(value) ? value.map(sorted).map((x) => JSON.stringify(x)).sort()
    : value && typeof value === 'object' ? Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])])) : value);
  let total = 0, exact = 0, silent = 0, asked = 0;
  for (const name of kMerges) {
    for (const { base, ours, theirs, merged, class: kind } of lines(name)) {
      const { document, clashes } = merge3(base, ours, theirs);
      total++;
      if (canonicalHash(document) === canonicalHash(merged)) exact++;
      if (kind === 'clean_neq') continue;
      asked++;
      if (clashes.length === 0 && JSON.stringify(sorted(document)) !== JSON.stringify(sorted(merged))) silent++;
    }
  }
  assert.equal(total, 116);
  assert.ok(exact / total >= 0.85, `${exact} of ${total} exact`);
  assert.equal(asked, 111);
  assert.equal(silent, 0);
});

test('public three-way merges: every version comes back from its patch, and a merge with an unchanged side is the other side', () => {
  for (const name of kMerges) {
    for (const record of lines(name)) {
      const versions = [record.base, record.ours, record.theirs, record.merged].map((value) => JSON.stringify(value));
      for (const base of versions) {
        for (const next of versions) {
          assert.equal(canonicalHash(apply(base, diff(base, next, { trustedBase: true }), { trustedDocument: true })), canonicalHash(next), record.path);
          for (const [ours, theirs] of [[next, base], [base, next], [next, next]]) {
            const { document, clashes } = merge3(base, ours, theirs);
            assert.deepEqual(clashes, [], record.path);
            assert.equal(canonicalHash(document), canonicalHash(next), record.path);
          }
        }
      }
    }
  }
});

test('docs/delta.md names only what there is, and its examples run', async () => {
  const page = readFileSync(new URL('../../docs/delta.md', import.meta.url), 'utf8'), all = await import('../../wasm/delta.js');
  for (const [, names] of page.matchAll(/import \{([^}]+)\} from 'tidegate\/delta'/g))
    for (const name of names.split(',')) assert.ok(name.trim() in all, name);
  for (const [, call] of page.matchAll(/`(\w+)\([^`]*\)`/g)) assert.ok(call in all || ['compare', 'applyPatch', 'patch', 'slice'].includes(call), call);
  const [base, next] = ['{"a":1,"b":[1]}', '{"a":2,"b":[1]}'].map((text) => encoder.encode(text));
  assert.deepEqual(apply(base, diff(base, next, { baseSeal: seal(base) }), { trustedDocument: true }), next);
  assert.equal(JSON.parse(diff('{"a":1}', '{"a":2}', { tests: true })).length, 2);
  assert.equal(diff('{"a":[1,2]}', '{"a":null}', { format: 'merge-patch' }), null);
});

test('every step of the public revisions comes back, and its patch is small', () => {
  let patches = 0, bodies = 0;
  for (const name of ['revisions-IDBTransaction.jsonl.gz', 'revisions-ServiceWorkerGlobalScope.jsonl.gz', 'revisions-caniuse-wasm.jsonl.gz']) {
    const documents = lines(name).map(({ doc }) => JSON.stringify(doc));
    for (let i = 1; i < documents.length; i++) {
      for (const [base, next] of [[documents[i - 1], documents[i]], [documents[i], documents[i - 1]]]) {
        const patch = diff(base, next);
        assert.equal(canonicalHash(apply(base, patch)), canonicalHash(next));
        patches += patch.length;
        bodies += next.length;
      }
      const both = merge3(documents[i - 1], documents[i], documents[i - 1]);
      assert.equal(canonicalHash(both.document), canonicalHash(documents[i]));
    }
  }
  assert.ok(patches <= bodies * 0.1, `patches take ${(100 * patches / bodies).toFixed(1)} % of the bodies`);
});

test('canonicalize gives the RFC 8785 form', () => {
  assert.equal(canonicalize('{ "b": 1.0, "a": [ 1e21, "\\u0041" ] }'), '{"a":[1e+21,"A"],"b":1}');
});

test('blobs come back from their delta', () => {
  const base = Uint8Array.from({ length: 200000 }, (_, i) => (i * i) >> 3 & 255);
  const next = new Uint8Array([...base.subarray(0, 1000), 1, 2, 3, ...base.subarray(1500)]);
  const delta = encodeDelta(base, next);
  assert.ok(delta.length < 100);
  assert.deepEqual(applyDelta(base, delta), next);
  assert.deepEqual(applyDelta(base, encodeDelta(base, next, { checksum: false })), next);
  assert.throws(() => applyDelta(next, delta), DeltaError);
});

test('a delta that comes in pieces makes the blob part by part, beside other calls, and is refused like the whole', async () => {
  const base = Uint8Array.from({ length: 300000 }, (_, i) => (i * i) >> 3 & 255), next = new Uint8Array(20 * 2 ** 20);
  for (let i = 0; i < next.length; i++) next[i] = base[(i * 7 + (i >> 12)) % base.length];
  const delta = encodeDelta(base, next);
  function* inPieces(bytes, size) { for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size); }
  const all = async (parts) => {
    const found = [];
    for await (const part of parts) {
      assert.equal(diff('[1]', '[2]'), '[{"op":"replace","path":"/0","value":2}]');   // others use the same core meanwhile
      found.push(part);
    }
    return found;
  };
  const sources = [inPieces(delta, 10_000), new Blob([delta]).stream(), { getReader: () => new Blob([delta]).stream().getReader() }];
  for (const source of sources) {
    const parts = await all(applyDeltaStream(base, source));
    assert.ok(parts.length >= 3, `${parts.length} parts`);
    assert.ok(Buffer.concat(parts).equals(next));
  }
  const refused = (code, bytes, options) => assert.rejects(all(applyDeltaStream(base, inPieces(bytes, 1000), options)), { name: 'DeltaError', code });
  await refused('delta-limit', delta, { maxOutputBytes: next.length - 1 });
  await refused('delta-syntax', delta.subarray(0, delta.length - 1));
  await refused('delta-syntax', encoder.encode('no delta at all'));
  const damaged = delta.slice();
  damaged[damaged.length >> 1] ^= 1;
  await assert.rejects(all(applyDeltaStream(base, inPieces(damaged, 1000))), DeltaError);
  for await (const part of applyDeltaStream(base, inPieces(delta, 1000))) { assert.ok(part.length > 0); break; }   // given up in the middle
  assert.ok(Buffer.concat(await all(applyDeltaStream(base, [delta]))).equals(next));
});

test('documents larger than the memory at start are taken, and the memory serves on', () => {
  const big = JSON.stringify(Array.from({ length: 60000 }, (_, i) => ({ id: i, text: `item ${i}` })));
  const next = big.replace('item 30000', 'changed');
  assert.deepEqual(JSON.parse(diff(big, next)), [{ op: 'add', path: '/30000/text', value: 'changed' }]);
  assert.deepEqual(diff([1], [1]), []);
});

test('chooseForm answers what the outbox would send: the smallest form, never larger than whole, compressed where the link makes it worth it', () => {
  const pad = 'x'.repeat(300);
  const chosen = (base, next, options) => {
    const { codec, body, compress } = chooseForm(base, next, options);
    assert.ok(body.length <= next.length, codec);
    if (codec === 'full') assert.equal(body, next);
    else assert.deepEqual(JSON.parse(apply(base, body, { format: codec })), JSON.parse(next));
    return [codec, compress];
  };
  const text = (value) => JSON.stringify(value);
  assert.deepEqual(chosen(text({ a: 1, pad }), text({ a: 2, pad })), ['merge-patch', false]);
  assert.deepEqual(chosen(text([1, 2, pad]), text([1, 3, pad])), ['json-patch', false]);
  assert.deepEqual(chosen('{"a":1}', '{"b":2}'), ['full', false]);
  assert.deepEqual(chosen(null, text({ pad: pad.repeat(20) })), ['full', true]);
  assert.deepEqual(chosen(null, text({ pad: pad.repeat(20) }), { bytesPerSecond: 1e7 }), ['full', false], 'a fast link');
  assert.deepEqual(JSON.parse(chooseForm({ a: 1, pad }, { a: 2, pad }).body), { a: 2 }, 'live values in, text out');
  assert.ok(chooseForm(encoder.encode('{}'), encoder.encode('{"a":1}')).body instanceof Uint8Array);

  const base = Uint8Array.from({ length: 50000 }, (_, i) => (i * i) >> 3 & 255), next = base.slice();
  next.fill(1, 100, 200);
  const small = chooseForm(base, next, { blob: true });
  assert.deepEqual([small.codec, small.compress, applyDelta(base, small.body)], ['vcdiff', false, next]);
  assert.ok(small.body.length < 200);
  for (const without of [null, new Uint8Array()]) assert.deepEqual(chooseForm(without, next, { blob: true }), { codec: 'full', compress: false, body: next });
  const other = Uint8Array.from({ length: 100 }, (_, i) => i * 7);
  assert.equal(chooseForm(new Uint8Array(100), other, { blob: true }).codec, 'full');

  assert.throws(() => chooseForm('{}', '{'), { name: 'DeltaError', code: 'json-syntax' });
  assert.throws(() => chooseForm('{}', '{}', { bytesPerSecond: -1 }), /bytesPerSecond is a number from 0, this is -1/);
  assert.throws(() => chooseForm('{}', '{}', { blob: true }), /a blob is bytes/);
});
