// npm start: sets up, builds if sources changed, then does the main job: the demo with its server, or, with --headless, the
// headless client (`npm start -- --headless --help` lists its options).
import { spawn } from 'node:child_process';
import { say, root } from './lib.mjs';
import { build } from './build.mjs';

const args = process.argv.slice(2);
const headless = args.includes('--headless');

const built = await build();
say(built ? 'built' : 'nothing changed since the last build, starting');

const program = headless ? ['headless/main.mjs', ...args.filter((arg) => arg !== '--headless')] : ['server/main.js', ...args];
const child = spawn(process.execPath, program, { cwd: root, stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('error', (error) => { console.error(`tidegate: could not start ${program[0]}: ${error.message}`); process.exitCode = 1; });
child.on('exit', (code, signal) => { process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 143); });
