// Brings a Debian machine that has nothing but Node to the point where the project builds: npm packages always, system
// packages when we are root, otherwise one line naming them. A newer Emscripten on PATH or in $EMSDK is taken as it is.
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { at, fail, hashOf, mustRun, say, which } from './lib.mjs';

const kMinimumNode = 20;

const header = (path) => ['/usr/include', '/usr/local/include'].some((root) => existsSync(join(root, path)));
const emscripten = () => which('em++') || (process.env.EMSDK && existsSync(join(process.env.EMSDK, 'upstream/emscripten/em++')));

/** A Chromium that playwright-core can drive; $CHROMIUM names one that is not on PATH. */
export const chromium = () => process.env.CHROMIUM ||
  ['chromium', 'chromium-browser', 'google-chrome'].map(which).find(Boolean) || null;

/** Firefox, with a protocol of its own (WebDriver BiDi); $FIREFOX names one that is not on PATH. */
export const firefox = () => process.env.FIREFOX || ['firefox-esr', 'firefox'].map(which).find(Boolean) || null;

/** WebKitGTK's driver and its small browser, which lies below the library's folder. */
export const webKitDriver = () => which('WebKitWebDriver');
export const miniBrowser = () => process.env.MINIBROWSER || libraryFolders().map((folder) => join(folder, 'webkit2gtk-4.1/MiniBrowser')).find(existsSync) || null;
const libraryFolders = () => (existsSync('/usr/lib') ? readdirSync('/usr/lib').filter((name) => name.endsWith('-linux-gnu')).map((name) => join('/usr/lib', name)) : []);

// Debian package → is what we need from it there already?
const kForModule = {
  emscripten,
  cmake: () => which('cmake'),
  'ninja-build': () => which('ninja'),
  'nlohmann-json3-dev': () => header('nlohmann/json.hpp'),
  'doctest-dev': () => header('doctest/doctest.h'),
};
const kForNative = { 'g++': () => which('g++'), clang: () => which('clang++') };   // the fast build and the checked one
const kForBrowser = { chromium, 'firefox-esr': firefox, 'webkit2gtk-driver': () => webKitDriver() && miniBrowser(), xvfb: () => which('Xvfb') };

export const toolsFor = {
  start: kForModule,
  core: { ...kForModule, ...kForNative },
  test: { ...kForModule, ...kForNative, ...kForBrowser, xdelta3: () => which('xdelta3') },
};

export function ensureNode() {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < kMinimumNode) fail(`Node ${kMinimumNode} or newer is needed, this is ${process.versions.node}`);
}

/** Runs `npm ci` when node_modules is missing or was installed from another lock file. */
export function ensureNpmPackages() {
  const mark = at('node_modules', '.tidegate-lock');
  const lock = hashOf(['package-lock.json']);
  if (existsSync(mark) && readFileSync(mark, 'utf8') === lock) return;
  say('installing npm packages (npm ci)');
  const npm = process.env.npm_execpath?.endsWith('.js') ? [process.execPath, process.env.npm_execpath] : ['npm'];
  mustRun(npm[0], [...npm.slice(1), 'ci', '--no-audit', '--no-fund', '--loglevel=error']);
  writeFileSync(mark, lock);
}

/** Installs the missing ones of `tools` (a value of toolsFor) with apt when we may, else says which ones to install. */
export function ensureSystemPackages(tools) {
  const missing = () => Object.keys(tools).filter((name) => !tools[name]());
  const names = missing();
  if (names.length === 0) return;
  const install = ['install', '-y', '--no-install-recommends', ...names];
  if (process.getuid?.() !== 0 || !which('apt-get'))
    fail(`missing system packages, install them and run this again: sudo apt-get ${install.join(' ')}`);
  say(`installing system packages: ${names.join(' ')}`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  mustRun('apt-get', ['update', '-q'], { env, quiet: true });
  mustRun('apt-get', ['-q', ...install], { env, quiet: true });
  if (missing().length > 0) fail(`apt-get installed ${names.join(' ')} but these are still not found: ${missing().join(' ')}`);
}
