// Whose client this is, and whether he is the one who is signed in. The core holds that (it is stored, and a worker without a page knows it); here is what a client
// has heard of it. One owner is signed in at a time: whoever opened a client last, or called signIn() last.
import { TidegateError } from './errors.js';

/** @import { Ask, Request } from './calls.js' */

/** News without a name in it, but about him who is signed in. */
const kOfSignedIn = ['status', 'sync.progress'];

export class Account {
  /** Somebody else is signed in, or nobody. */
  away = false;
  #introduced = false;

  /** @param {string} owner */
  constructor(owner) {
    this.owner = owner;
  }

  /** Whether news is for this client: of another account it hears nothing, but that it is signed in now. @param {string} type @param {any} detail */
  hears(type, detail) {
    if (type === 'sync.owner') this.is(detail.signedIn === this.owner);
    if (this.away && kOfSignedIn.includes(type)) return false;
    return detail?.owner === undefined || detail.owner === this.owner;
  }

  /** What is known from now on. @param {boolean} here */
  is(here) {
    this.away = !here;
    this.#introduced = true;   // who was overtaken does not come back by himself
  }

  /** Refuses to show anything while he is away. */
  mustBeHere() {
    if (this.away) throw new TidegateError('signed-out', '', `the owner of this client (${JSON.stringify(this.owner)}) is not signed in; signIn() signs him in`);
  }

  /** @param {'signIn' | 'signOut'} type */
  command(type) {
    return { type, value: { owner: this.owner } };
  }

  /** `ask`, but the first things asked are preceded by who asks, until an answer says that it is stored. @param {Ask} ask @returns {Ask} */
  introduced(ask) {
    return async (request, until) => {
      if (this.#introduced) return ask(request, until);
      const answer = await ask({ ...request, commands: [this.command('signIn'), ...(request.commands ?? [])] }, until);
      if (until === 'answers') {
        this.#introduced = true;
        return answer.slice(1);
      }
      this.#introduced ||= answer.ok;
      return { ...answer, answers: answer.answers?.slice(1) };
    };
  }
}
