// The core is given its time and its chance (DESIGN.md section 2); it can neither ask for them nor do input or output.
// Shown twice: the built Wasm imports nothing that could, and no source names anything that would.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { at, filesBelow } from '../../scripts/lib.mjs';

// Everything a module may import: registration of the Embind interface, its value handles, growing memory, and giving up.
const kAllowed = /^_?(_embind_register_\w+|_embind_finalize_\w+|_emval_\w+|emscripten_memcpy_(big|js)|emscripten_resize_heap|abort(_js)?)$/;

// <cstdio> has snprintf, which is pure; its impure calls are in the next list.
const kForbiddenHeaders = ['chrono', 'random', 'iostream', 'ostream', 'istream', 'fstream', 'filesystem', 'thread', 'mutex', 'future', 'atomic',
  'ctime', 'time.h', 'stdio.h', 'unistd.h', 'sys/time.h', 'emscripten/fetch.h', 'emscripten/html5.h'];
const kForbiddenCalls = ['time', 'clock', 'clock_gettime', 'gettimeofday', 'rand', 'srand', 'random', 'getentropy', 'arc4random', 'getenv',
  'fopen', 'fread', 'fwrite', 'fputs', 'fprintf', 'printf', 'puts', 'putchar', 'scanf', 'system', 'sleep', 'usleep', 'emscripten_get_now', 'emscripten_random', 'emscripten_run_script'];
const kForbiddenWords = ['random_device', 'system_clock', 'steady_clock', 'EM_ASM', 'EM_JS', 'thread_local', 'throw', 'dynamic_cast', 'typeid'];

/** C++ text without comments and string literals. */
const codeOnly = (text) => text.replace(/\/\/[^\n]*|\/\*[\s\S]*?\*\/|R"(\w*)\([\s\S]*?\)\1"|"(?:\\.|[^"\\\n])*"/g, (found) => (found[0] === '/' ? ' ' : '""'));

/** The impure things a C++ source names. */
function impurities(text) {
  const found = [];
  for (const [, header] of text.matchAll(/^\s*#\s*include\s+<([^>]+)>/gm)) if (kForbiddenHeaders.includes(header)) found.push(`<${header}>`);
  const code = codeOnly(text);
  for (const name of kForbiddenCalls)
    if (new RegExp(`(?<![\\w.>:])(?:std::|::)?${name}\\s*\\(`).test(code)) found.push(`${name}()`);
  for (const word of kForbiddenWords) if (new RegExp(`\\b${word}\\b`).test(code)) found.push(word);
  return found;
}

const modules = Object.keys(JSON.parse(readFileSync(at('dist/manifest.json'), 'utf8'))).map((file) => file.replace(/\.wasm$/, ''));

test('every module is looked at', () => {
  assert.deepEqual(modules.sort(), ['delta', 'delta.simd', 'tidegate']);
});

for (const name of modules) {
  test(`${name}.wasm imports memory growth, abort and Embind, and nothing else`, () => {
    const module = new WebAssembly.Module(readFileSync(at('dist', `${name}.wasm`)));
    // The linker shortens import names; the glue says what each stands for.
    const glue = readFileSync(at('build/wasm/module', `${name}.mjs`), 'utf8');
    const [, table] = glue.match(/(?:asmLibraryArg|wasmImports)\s*=\s*\{([^}]*)\}/);
    const real = new Map([...table.matchAll(/"?(\w+)"?\s*:\s*(\w+)/g)].map(([, short, long]) => [short, long]));
    const imports = WebAssembly.Module.imports(module);
    assert.ok(imports.length > 0);
    for (const { name: short, kind } of imports) {
      assert.equal(kind, 'function');
      assert.ok(real.has(short), `import "${short}" is not in the glue's table`);
      assert.match(real.get(short), kAllowed);
    }
  });
}

test('no source of the core names a clock, randomness, input or output', () => {
  const sources = filesBelow('wasm/tidegate', (path) => /\.(h|cpp)$/.test(path) && !path.endsWith('/schema.cpp'));   // schema prints, by purpose
  assert.ok(sources.length > 0);
  const faults = sources.flatMap((path) => impurities(readFileSync(at(path), 'utf8')).map((what) => `${path}: ${what}`));
  assert.deepEqual(faults, []);
});

test('what is impure is found, what only sounds so is not', () => {
  assert.deepEqual(impurities('#include <chrono>\nauto t = std::chrono::steady_clock::now();'), ['<chrono>', 'steady_clock']);
  assert.deepEqual(impurities('int x = std::rand();'), ['rand()']);
  assert.deepEqual(impurities('int x = time(nullptr);'), ['time()']);
  assert.deepEqual(impurities('return clock();'), ['clock()']);
  assert.deepEqual(impurities('// time() flies\nconst char* s = "rand()"; double wait_time(); x.time(); run_clock();'), []);
});
