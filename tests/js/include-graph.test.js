// The layers of the core (DESIGN.md section 3): an #include points to a lower layer, never up and never sideways, except where a
// line of kSideways allows it. A new file must be given its layer here, so that its place is a decision.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { basename, extname } from 'node:path';
import { test } from 'node:test';
import { at, filesBelow } from '../../scripts/lib.mjs';

// A module is a header with its sources; planner_send.cpp belongs to planner, diff_array.cpp to diff, patch_tree.h to patch.
const kLayers = [
  ['result', 'random', 'time', 'assert', 'words', 'say', 'callback', 'simd', 'sort', 'text_buffer', 'hash', 'json', 'json_text', 'json_value', 'canonical', 'fields', 'members'],
  ['describe', 'protocol'],
  ['priority', 'gate', 'connectivity', 'batch', 'backoff', 'retry_after', 'budget', 'form', 'conflict', 'merge', 'diff', 'patch', 'binary_delta',
    'eta', 'throttle', 'verdict', 'wire'],
  ['outbox', 'snapshot', 'phases', 'history'],
  ['planner'],
  ['bindings', 'delta_exports', 'schema'],
];

// Within a layer: who may include whom.
const kSideways = {
  json: ['result', 'say', 'json_text', 'json_value'],
  json_text: ['result', 'say', 'simd'],
  text_buffer: ['simd', 'json_text'],
  json_value: ['json_text', 'hash', 'simd', 'sort'],
  canonical: ['sort', 'result', 'hash', 'json_text', 'json_value'],
  fields: ['json'],
  members: ['json', 'time', 'fields'],
  protocol: ['describe'],
  conflict: ['merge', 'diff', 'patch'],
  merge: ['diff', 'patch'],
  form: ['diff', 'patch', 'binary_delta'],
};

const kPartOf = { json_escape: 'json_value', json_number: 'json_value', vcdiff: 'binary_delta' };   // parts that do not bear the name of their module

const modules = kLayers.flat();
const moduleOf = (path) => {
  const stem = basename(path, extname(path));
  if (modules.includes(stem)) return stem;
  return kPartOf[stem] ?? modules.find((module) => stem.startsWith(`${module}_`)) ?? stem;
};
const layerOf = (module) => kLayers.findIndex((layer) => layer.includes(module));
const sources = filesBelow('wasm', (path) => /\.(h|cpp)$/.test(path));

/** What is wrong with one #include of a file of module `from`; null when nothing is. */
function fault(from, included) {
  const to = moduleOf(included);
  if (layerOf(from) < 0) return `module "${from}" has no layer`;
  if (layerOf(to) < 0) return `module "${to}" has no layer`;
  if (from === to || layerOf(to) < layerOf(from) || kSideways[from]?.includes(to)) return null;
  return `"${from}" (layer ${layerOf(from)}) must not include "${to}" (layer ${layerOf(to)})`;
}

test('includes of the core point down the layers', () => {
  assert.ok(sources.length > 0, 'no sources found');
  const faults = [];
  for (const path of sources) {
    if (layerOf(moduleOf(path)) < 0) faults.push(`${path}: module "${moduleOf(path)}" has no layer`);
    const text = readFileSync(at(path), 'utf8');
    for (const [, included] of text.matchAll(/^\s*#\s*include\s+"([^"]+)"/gm)) {
      const wrong = included.startsWith('tidegate/') ? fault(moduleOf(path), included) : `include "${included}" from the root "tidegate/…"`;
      if (wrong) faults.push(`${path}: ${wrong}`);
    }
  }
  assert.deepEqual(faults, []);
});

test('nlohmann/json is included by json.h only, Embind by bindings.cpp only', () => {
  const users = (header) => sources.filter((path) => readFileSync(at(path), 'utf8').includes(`#include <${header}`));
  assert.deepEqual(users('nlohmann/'), ['wasm/tidegate/json.h']);
  assert.deepEqual(users('emscripten/bind.h').filter((path) => path !== 'wasm/bindings.cpp'), []);
});

test('an include that points up, sideways or to an unknown module is found', () => {
  assert.match(fault('backoff', 'tidegate/planner.h'), /must not include/);
  assert.match(fault('backoff', 'tidegate/gate.h'), /must not include/);
  assert.match(fault('backoff', 'tidegate/nothing.h'), /no layer/);
  assert.equal(fault('merge', 'tidegate/diff.h'), null);
});
