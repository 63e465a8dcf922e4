// npm start: sets up, builds if sources changed, then does the main job. Without flags that is the demo
// with its server, whose one line of output is its URL (further arguments go to server/main.js, e.g. --port 9000); with --headless it is
// the headless client (`npm start -- --headless --help` lists its options).
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { at, root, say } from './lib.mjs';
import { build } from './build.mjs';

const args = process.argv.slice(2);
const headless = args.includes('--headless');

const built = await build();
say(built ? 'built' : 'nothing changed since the last build, starting');

mkdirSync(at('data'), { recursive: true });   // the demo server's database, and whatever else a run leaves behind
const program = headless
  ? ['headless/main.mjs', ...args.filter((arg) => arg !== '--headless')]
  : ['server/main.js', '--db', 'data/demo.db', '--static', 'dist/demo', ...args];
const child = spawn(process.execPath, program, { cwd: root, stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('error', (error) => { console.error(`tidegate: could not start ${program[0]}: ${error.message}`); process.exitCode = 1; });
child.on('exit', (code, signal) => { process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 143); });
