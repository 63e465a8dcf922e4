// When a client listens for hints (sw/hints.js): while its owner is signed in and sync is neither paused, switched off nor without consent, because the connection
// carries his credentials and what it brings could not be followed. Of several pages of one browser one listens for each owner, by a Web Lock: what the others would
// hear the drain tells them anyway, and over HTTP/1.1 six connections that stay open leave none for the drain.
import { reconnecting } from './pace.js';

/** @import { Account } from './account.js' */
/** @import { HintContext, HintSource } from './index.d.ts' */
/** @import { Locks } from './locks.js' */
/** @import { Status } from '../wasm/protocol.js' */

export class Listening {
  /** @type {AbortController | null} */
  #open = null;
  /** Not known yet counts as no. */
  #wanted = false;
  /** A frozen page keeps its locks: another is to have this one. */
  #frozen = false;

  /** @param {HintSource | undefined} source @param {Omit<HintContext, 'signal'>} context @param {{account: Account, locks: Locks, signal: AbortSignal, publish: (type: string, detail: any) => void}} deps */
  constructor(source, context, { account, locks, signal, publish }) {
    this.source = source;
    this.context = context;
    this.account = account;
    this.locks = locks;
    this.signal = signal;
    this.publish = publish;
    account.changed = () => this.#look();
    signal.addEventListener('abort', () => this.#look());
  }

  /** What a status says, also one that this client's app is not told. @param {Pick<Status, 'state'>} status */
  heed({ state }) {
    this.#wanted = state !== 'paused';
    this.#look();
  }

  /** @param {boolean} frozen */
  freeze(frozen) {
    this.#frozen = frozen;
    this.#look();
  }

  #look() {
    const may = this.#wanted && !this.#frozen && !this.account.away && !this.signal.aborted;
    if (may === (this.#open !== null)) return;
    this.#open?.abort();
    this.#open = may ? new AbortController() : null;
    if (this.#open) this.#listen(this.#open.signal);
  }

  /** @param {AbortSignal} signal */
  async #listen(signal) {
    const release = await this.locks.take(signal);
    const context = { ...this.context, signal };
    let told = false;
    await reconnecting(context, async () => {
      try {
        await this.source?.(context);
        if (!signal.aborted) await new Promise((resolve) => { signal.addEventListener('abort', resolve); });   // an app's own source may have no more to do
      } catch (error) {
        if (!told && !signal.aborted) this.publish('sync.hints-failed', { owner: context.owner, message: String(/** @type {any} */ (error)?.message ?? error) });
        told = true;
      }
    });
    release?.();
  }
}
