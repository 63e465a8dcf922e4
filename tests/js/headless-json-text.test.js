import assert from 'node:assert/strict';
import { test } from 'node:test';

import { canonical, canonicalNumber, JsonTextError, MAX_DEPTH, memberTexts } from '../../headless/json-text.mjs';

test('numbers are the same exactly when their decimal values are', () => {
  assert.notEqual(canonical('9007199254740993'), canonical('9007199254740992'));
  assert.notEqual(canonical('1e400'), canonical('1e401'));
  assert.notEqual(canonical('-1'), canonical('1'));
  for (const same of [['1', '1.0', '10e-1', '0.1E+1'], ['0', '-0', '0.00', '0e99'], ['1200', '12e2', '1.2e3'], ['-0.5', '-5e-1']]) {
    assert.equal(new Set(same.map(canonicalNumber)).size, 1, same.join(' '));
  }
});

test('members are compared by name, not by order, and the last of two with one name counts', () => {
  assert.equal(canonical('{"b":1,"a":[true,false,null]}'), canonical(' { "a" : [ true , false , null ] , "b" : 1 } '));
  assert.equal(canonical('{"a":1,"a":2}'), canonical('{"a":2}'));
  assert.notEqual(canonical('[1,2]'), canonical('[2,1]'));
  assert.notEqual(canonical('{"a":null}'), canonical('{}'));
  assert.equal(canonical('{"__proto__":1}'), '{"__proto__":1}');
});

test('strings are compared by what they say, however they are escaped', () => {
  assert.equal(canonical('"\\u0041\\/"'), canonical('"A/"'));
  assert.notEqual(canonical('"\\ud800"'), canonical('"\\udc00"'));
  assert.notEqual(canonical('"1"'), canonical('1'));
});

test('text that is not JSON is refused with the place', () => {
  for (const text of ['', ' ', '{', '[1,]', '{"a":1,}', '01', '1.', '.5', '+1', 'nul', 'NaN', '"a', '"\n"', '"\\x"', '1 2', '{a:1}', "'a'"]) {
    assert.throws(() => canonical(text), JsonTextError, text);
  }
  assert.throws(() => canonical('[1,]'), { message: 'expected a JSON value, found "]" at character 4' });
});

test('nesting is read up to the limit and refused beyond it', () => {
  const nested = (/** @type {number} */ depth) => '['.repeat(depth) + ']'.repeat(depth);
  assert.equal(canonical(nested(MAX_DEPTH)), nested(MAX_DEPTH));
  assert.throws(() => canonical(nested(MAX_DEPTH + 1)), /nested deeper than 256/);
});

test('the members of an object keep the text they were written with', () => {
  assert.deepEqual([...memberTexts('{"a" : {"x":1.0 } , "b":\t"\\u0041" }')], [['a', '{"x":1.0 }'], ['b', '"\\u0041"']]);
  assert.throws(() => memberTexts('[]'), /expected a JSON object/);
});
