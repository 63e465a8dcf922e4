// Builds what is published: dist/ with the Wasm files, their glue, and the bundled demo.
// Everything else in the package is shipped as it is written.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { at, fail, filesBelow, hashOf, isMain, mustRun, say, stamp } from './lib.mjs';
import { nameLocals } from './name-locals.mjs';
import { orderFunctions } from './order-functions.mjs';
import { ensureNode, ensureNpmPackages, ensureSystemPackages, toolsFor } from './setup.mjs';

const kBuildFiles = ['CMakeLists.txt', 'CMakePresets.json', 'package-lock.json', ...filesBelow('cmake')];
const kGlueTypes = '/** Made by Emscripten; used by wasm/load.js only. */\nexport default function createTidegate(options?: object): Promise<any>;\n';
const isJs = (path) => path.endsWith('.js');
const isCpp = (path) => /\.(cpp|h)$/.test(path);

/** Configures a preset once, and again when the presets have changed. */
export function cmakeConfigure(preset) {
  const made = statSync(at('build', preset, 'build.ninja'), { throwIfNoEntry: false });
  if (!made || made.mtimeMs < statSync(at('CMakePresets.json')).mtimeMs) mustRun('cmake', ['--preset', preset], { quiet: true });
}

/** Builds targets of a preset (all when none is named). */
export function cmakeBuild(preset, targets = [], { quiet = false } = {}) {
  cmakeConfigure(preset);
  const wanted = targets.length > 0 ? ['--target', ...targets] : [];
  mustRun('cmake', ['--build', '--preset', preset, ...wanted], { quiet });
}

/** What is built: for each glue NAME.mjs its Wasm files, also under names with their content hash. Only what is built for speed comes with SIMD too. */
const kModules = { tidegate: ['tidegate.wasm'], delta: ['delta.wasm', 'delta.simd.wasm'] };
const kModuleFiles = Object.entries(kModules).flatMap(([name, files]) => [`${name}.mjs`, ...files]);

async function buildModule() {
  const inputs = hashOf([...kBuildFiles, 'scripts/build.mjs', 'scripts/wasm-code.mjs', 'scripts/name-locals.mjs', 'scripts/order-functions.mjs', ...filesBelow('wasm', isCpp), 'cmake/embind_plain.js']);
  if (kModuleFiles.every((name) => existsSync(at('dist', name))) && stamp.matches('module', inputs)) return false;

  ensureSystemPackages(toolsFor.start);
  say('building the Wasm modules (the planner, and delta with SIMD and without)');
  cmakeBuild('wasm', ['module']);
  const built = (name) => at('build', 'wasm', 'module', name);
  mkdirSync(at('dist'), { recursive: true });
  for (const old of readdirSync(at('dist'))) if (/^(tidegate|delta).*\.(wasm|mjs|d\.mts)$/.test(old)) rmSync(at('dist', old));

  const { minify } = await import('terser');
  const manifest = {};
  for (const [name, files] of Object.entries(kModules)) {
    // One glue serves all, so all must have come out with the same imports and exports.
    const glues = files.map((file) => readFileSync(built(file.replace('.wasm', '.mjs')), 'utf8').replaceAll(file, `${name}.wasm`));
    const [glue] = glues;
    if (glues.some((other) => other !== glue)) fail(`${files.join(' and ')} need different glue; one of them imports or exports more`);
    // The loader hands every module in (wasm/load.js), so that the glue's own ways to find and fetch one are dead code, which this lets terser see.
    const { code } = await minify(glue, { module: true, compress: { passes: 2, global_defs: { '@fetch': 'undefined', '@document': 'undefined' } }, mangle: true });
    writeFileSync(at('dist', `${name}.mjs`), code);
    writeFileSync(at('dist', `${name}.d.mts`), kGlueTypes);
    for (const file of files) {
      const module = name === 'tidegate' ? orderFunctions(nameLocals(readFileSync(built(file)))) : readFileSync(built(file));   // small before all
      const hash = createHash('sha256').update(module).digest('hex').slice(0, 12);
      manifest[file] = file.replace(/\.wasm$/, `-${hash}.wasm`);
      for (const target of [file, manifest[file]]) writeFileSync(at('dist', target), module);
    }
  }
  writeFileSync(at('dist', 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  stamp.write('module', inputs);
  return true;
}

/** dist/demo: the sample app, bundled, with everything a static server needs. */
async function buildBundledDemo() {
  const inputs = hashOf(['package-lock.json', 'dist/manifest.json', 'dist/tidegate.mjs', ...filesBelow('wasm', isJs), ...filesBelow('sw', isJs), ...filesBelow('web')]);
  if (existsSync(at('dist/demo/index.html')) && stamp.matches('demo', inputs)) return false;
  say('bundling the demo');
  const { buildDemo } = await import('../web/demo/build.mjs');
  await buildDemo(at('dist/demo'));
  stamp.write('demo', inputs);
  return true;
}

/** Makes dist/ current. Returns whether anything had to be built. */
export async function build() {
  ensureNode();
  ensureNpmPackages();
  const module = await buildModule();
  const demo = await buildBundledDemo();
  return module || demo;
}

if (isMain(import.meta.url)) {
  const built = await build();
  say(built ? 'built:' : 'nothing changed since the last build:');
  for (const file of filesBelow('dist')) console.log(`  ${file}`);
}
