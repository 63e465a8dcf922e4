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
    if (wakeAtMs !== null && wakeAtMs !== undefined) this.#cancel = this.clock.timer(wakeAtMs - this.clock.now(), this.wake);
  }

  close() {
    this.#cancel();
  }
}
