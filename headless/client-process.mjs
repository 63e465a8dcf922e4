// The runner's side of child.mjs: starts the client's process, hears what it says, kills it, starts it again.

import { fork } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { fileURLToPath } from 'node:url';

const CHILD = fileURLToPath(new URL('./child.mjs', import.meta.url));

/**
 * Events: `saving` (n), `saved`, `drained` (left), `failed` (Error), `started`.
 * @typedef {import('./child.mjs').ChildConfig} ChildConfig
 */
export class ClientProcess extends EventEmitter {
  /** @type {import('node:child_process').ChildProcess | null} */
  #child = null;
  #finished = false;
  #started = 0;

  /** @param {ChildConfig} config */
  constructor(config) {
    super();
    this.config = config;
  }

  /** How often the process was started. */
  get started() {
    return this.#started;
  }

  start() {
    const child = fork(CHILD, [JSON.stringify(this.config)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#child = child;
    this.#started += 1;
    // What a killed process said last may still arrive; its successor says it again.
    child.on('message', (message) => { if (this.#child === child) this.#hear(/** @type {any} */ (message)); });
    child.on('exit', (code, signal) => {
      if (this.#child !== child || this.#finished) return;
      this.#child = null;
      this.#fail(`the client's process ended by itself (${signal ?? `exit code ${code}`})`);
    });
    this.emit('started');
  }

  /** @param {any} message */
  #hear(message) {
    if (message.saving !== undefined) this.emit('saving', message.saving);
    else if (message.phase === 'saved') this.emit('saved');
    else if (message.phase === 'drained') {
      this.#finished = true;
      this.emit('drained', message.left);
    } else if (message.error !== undefined) this.#fail(message.error, message.refused);
  }

  /** @param {string} why @param {boolean} [refused] */
  #fail(why, refused = false) {
    this.#finished = true;
    this.emit('failed', Object.assign(new Error(why), { refused }));
  }

  go() {
    this.#child?.send('go');
  }

  /** Is there a process that could be killed? */
  get alive() {
    return this.#child !== null && !this.#finished;
  }

  /** SIGKILL; resolves when the process is gone. Its files stay as they are. */
  async kill() {
    const child = this.#child;
    if (child === null) return;
    this.#child = null;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }
}
