// The order of functions in the planner's module (scripts/order-functions.mjs). dist/tidegate.wasm has gone through it, so every test of the planner is one of it as well.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { orderFunctions } from '../../scripts/order-functions.mjs';
import { apply, canonicalHash, diff, merge3, ready } from '../../wasm/delta.js';

const dist = (name) => readFileSync(new URL(`../../dist/${name}`, import.meta.url));
const parts = (module) => [WebAssembly.Module.imports(new WebAssembly.Module(module)), WebAssembly.Module.exports(new WebAssembly.Module(module))];

test('a module in another order has the same imports, exports and length, and does what it did', async () => {
  const module = dist('delta.wasm'), moved = orderFunctions(module);
  assert.equal(moved.length, module.length);
  assert.notDeepEqual(moved, module);
  assert.deepEqual(parts(moved), parts(module));
  await ready(moved);
  const lines = gunzipSync(readFileSync(new URL('../fixtures/delta/revisions-caniuse-wasm.jsonl.gz', import.meta.url))).toString().trimEnd().split('\n');
  assert.ok(lines.length > 3);
  for (const [i, next] of lines.entries()) {
    const base = lines[(i + 1) % lines.length];
    assert.equal(canonicalHash(apply(base, diff(base, next))), canonicalHash(next));
  }
  assert.equal(merge3('{"a":1,"b":1}', '{"a":2,"b":1}', '{"a":1,"b":3}').document, '{"a":2,"b":3}');
});

test('what it does not know it refuses', () => {
  assert.throws(() => orderFunctions(dist('delta.simd.wasm')), /an instruction that this does not know: 0xfd/);
});
