/** What build.mjs puts into the bundles. */
declare const DEMO_CORE: Record<'tidegate.wasm', string>;
declare const DEMO_SHELL: import('../../sw/index.d.ts').ShellOptions;
