// The order of functions in the planner's module, and the numbers of their locals (scripts/order-functions.mjs, scripts/name-locals.mjs). dist/tidegate.wasm has gone through both, so
// every test of the planner is one of them as well.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { nameLocals } from '../../scripts/name-locals.mjs';
import { orderFunctions } from '../../scripts/order-functions.mjs';
import { codesOf } from '../../scripts/wasm-code.mjs';
import { apply, canonicalHash, diff, merge3, ready } from '../../wasm/delta.js';

const dist = (name) => readFileSync(new URL(`../../dist/${name}`, import.meta.url));
const parts = (module) => [WebAssembly.Module.imports(new WebAssembly.Module(module)), WebAssembly.Module.exports(new WebAssembly.Module(module))];

const module = dist('delta.wasm'), named = nameLocals(module);

/** The imports, exports and length of the module must be those it had, and what it does: deltas of documents lead where they led. */
async function sameModule(made) {
  assert.equal(made.length, module.length);
  assert.notDeepEqual(made, module);
  assert.deepEqual(parts(made), parts(module));
  await ready(made);
  const lines = gunzipSync(readFileSync(new URL('../fixtures/delta/revisions-caniuse-wasm.jsonl.gz', import.meta.url))).toString().trimEnd().split('\n');
  assert.ok(lines.length > 3);
  for (const [i, next] of lines.entries()) {
    const base = lines[(i + 1) % lines.length];
    assert.equal(canonicalHash(apply(base, diff(base, next))), canonicalHash(next));
  }
  assert.equal(merge3('{"a":1,"b":1}', '{"a":2,"b":1}', '{"a":1,"b":3}').document, '{"a":2,"b":3}');
}

test('a module in another order has the same imports, exports and length, and does what it did', async () => {
  await sameModule(orderFunctions(module));
});

test('a module with other numbers for its locals has the same imports, exports and length, and does what it did', async () => {
  await sameModule(named);
});

test('a local has one number throughout its function, no other has it, and nothing but these numbers is another', () => {
  const before = codesOf(module), after = codesOf(named), rest = Buffer.from(named);
  let others = 0;
  for (const [n, { locals }] of before.entries()) {
    assert.deepEqual(after[n].locals, locals);
    const names = new Map();
    for (const at of locals) {
      if (!names.has(module[at])) names.set(module[at], named[at]);
      assert.equal(named[at], names.get(module[at]), `function ${n}, at ${at}`);
      if (named[at] !== module[at]) others += 1;
      rest[at] = module[at];
    }
    assert.equal(new Set(names.values()).size, names.size, `function ${n} has two locals of one number`);
  }
  assert.ok(others > 1000, `${others} numbers are others`);
  assert.deepEqual(rest, module);
});

test('what it does not know it refuses', () => {
  for (const rewrite of [orderFunctions, nameLocals]) assert.throws(() => rewrite(dist('delta.simd.wasm')), /an instruction that this does not know: 0xfd/);
});
