// npm run schema: writes wasm/protocol.d.ts from the C++ descriptions of every type that crosses the boundary.
import { writeFileSync } from 'node:fs';
import { at, mustRun, say } from './lib.mjs';
import { cmakeBuild } from './build.mjs';
import { ensureSystemPackages, toolsFor } from './setup.mjs';

ensureSystemPackages(toolsFor.core);
cmakeBuild('native', ['tg_schema']);
writeFileSync(at('wasm/protocol.d.ts'), mustRun(at('build/native/tg_schema'), [], { quiet: true }));
say('wrote wasm/protocol.d.ts');
