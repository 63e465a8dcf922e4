// wasm/protocol.d.ts is generated from the C++ descriptions and committed; it must not lag behind them.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { at } from '../../scripts/lib.mjs';
import { cmakeBuild } from '../../scripts/build.mjs';

test('protocol.d.ts is what the C++ descriptions print (otherwise: npm run schema)', () => {
  cmakeBuild('native', ['tg_schema'], { quiet: true });
  const printed = execFileSync(at('build/native/tg_schema'), { encoding: 'utf8' });
  assert.match(printed, /interface/);
  assert.equal(readFileSync(at('wasm/protocol.d.ts'), 'utf8'), printed);
});
