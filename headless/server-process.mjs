// The runner's side of the reference server: a process of its own, which can be killed and started again on the same files
// and port, and which is asked for its own counts.

import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../server/main.js', import.meta.url));

/** @typedef {{requests: number, bytesIn: number, bytesOut: number, faults: Record<string, number>}} Stats */

export class ServerProcess {
  /** @type {import('node:child_process').ChildProcess | null} */
  #child = null;
  #port = 0;
  /** @type {Stats} of processes that are gone */
  #past = { requests: 0, bytesIn: 0, bytesOut: 0, faults: {} };

  /** @param {{db: string, faults?: Record<string, number>, seed?: number, plant?: string}} options */
  constructor(options) {
    this.options = options;
  }

  get port() {
    return this.#port;
  }

  get url() {
    return `http://127.0.0.1:${this.#port}/api/v1`;
  }

  /** Resolves when it takes requests. */
  async start() {
    const { db, faults = {}, seed = 0, plant } = this.options;
    const args = ['--db', db, '--port', String(this.#port), '--faults', JSON.stringify(faults), '--seed', String(seed)];
    if (plant !== undefined) args.push('--plant', plant);
    const child = fork(MAIN, args, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
    this.#child = child;
    const url = await new Promise((resolve, reject) => {
      let said = '';
      child.stdout?.setEncoding('utf8').on('data', (text) => {
        said += text;
        if (said.includes('\n')) resolve(said.trim());
      });
      child.once('exit', (code, signal) => reject(new Error(`the server ended before it took requests (${signal ?? `exit code ${code}`})`)));
    });
    this.#port = Number(new URL(url).port);
  }

  /** What all its processes counted so far. @returns {Promise<Stats>} */
  async stats() {
    return add(this.#past, await this.#ask());
  }

  /** Each of the next requests suffers the fault at its place, null none, before chance decides about the others. @param {(string | null)[]} faults */
  demandFaults(faults) {
    this.#child?.send({ type: 'faults', next: faults });
  }

  /** SIGKILL. Its counts are asked for just before; what it would have counted later is lost with it. */
  async kill() {
    this.#past = await this.stats();
    await this.#end('SIGKILL');
  }

  async stop() {
    this.#past = await this.stats();
    await this.#end('SIGTERM');
  }

  /** For a run that failed: no questions asked. */
  async discard() {
    if (this.#child !== null) await this.#end('SIGKILL');
  }

  /** The counts of all processes, when none runs any more. */
  get finalStats() {
    return this.#past;
  }

  /** @returns {Promise<Stats>} */
  #ask() {
    const child = this.#child;
    if (child === null) return Promise.resolve({ requests: 0, bytesIn: 0, bytesOut: 0, faults: {} });
    return new Promise((resolve, reject) => {
      const gone = () => reject(new Error('the server ended by itself'));
      child.once('exit', gone);
      child.once('message', (/** @type {any} */ message) => {
        child.off('exit', gone);
        resolve(message.stats);
      });
      child.send({ type: 'stats' });
    });
  }

  /** @param {NodeJS.Signals} signal */
  async #end(signal) {
    const child = this.#child;
    if (child === null) return;
    this.#child = null;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await gone;
  }
}

/** @param {Stats} a @param {Stats} b @returns {Stats} */
function add(a, b) {
  const faults = { ...a.faults };
  for (const [name, times] of Object.entries(b.faults)) faults[name] = (faults[name] ?? 0) + times;
  return { requests: a.requests + b.requests, bytesIn: a.bytesIn + b.bytesIn, bytesOut: a.bytesOut + b.bytesOut, faults };
}
