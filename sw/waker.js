// Arms one timer for the time the core asked to be woken at. In a worker no timer can be relied on: there the pages do this.

/** @import { Clock } from './clock.js' */

export class Waker {
  #cancel = () => {};

  /** @param {Clock} clock @param {() => void} wake */
  constructor(clock, wake) {
    this.clock = clock;
    this.wake = wake;
  }

  /** A drain ended, saying when to look again. @param {number | null | undefined} wakeAtMs */
  arm(wakeAtMs) {
    this.#cancel();
    if (wakeAtMs) this.#cancel = this.clock.timer(wakeAtMs - this.clock.now(), this.wake);
  }

  close() {
    this.#cancel();
  }
}

/** While a client is open: how often it looks after what is due; the settings say whether anything is. */
export const kTickMs = 30_000;

/** @param {Clock} clock @param {number} ms @param {() => void} run @param {AbortSignal} signal */
export async function every(clock, ms, run, signal) {
  for (await clock.sleep(ms, signal); !signal.aborted; await clock.sleep(ms, signal)) run();
}

/** Runs `work`, and once more after it when it was asked for meanwhile: a thousand saves do not make a thousand messages. @param {() => Promise<unknown>} work */
export function once(work) {
  let running = false, again = false;
  return async () => {
    again = true;
    if (running) return;
    running = true;
    while (again) {
      again = false;
      await work();
    }
    running = false;
  };
}
