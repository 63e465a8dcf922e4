// Whose client this is, and whether he is the one who is signed in. The core holds that (it is stored, and a worker without a page knows it); here is what a client
// has heard of it. One owner is signed in at a time: whoever opened a client last, or called signIn() last.
import { TidegateError } from './errors.js';

/** @import { Ask, Request } from './calls.js' */

/** 0 where the store gives none: then who comes last is the last. @param {import('./store-contract.d.ts').Store} store @param {import('./clock.js').Clock} clock */
export const ticketOf = (store, clock) => store.ticket(clock.now()).catch(() => 0);

/** News without a name in it, but about him who is signed in. */
const kOfSignedIn = ['status', 'sync.progress'];

export class Account {
  /** Somebody else is signed in, or nobody. */
  away = false;
  /** Told when who is signed in may be another one. */
  changed = () => {};
  #introduced = false;

  /** @param {string} owner @param {number} [ticket]  store.ticket() of when the client opened, or its app last signed him in or out */
  constructor(owner, ticket = 0) {
    this.owner = owner;
    this.ticket = ticket;
  }

  /** Whether news is for this client: of another account it hears nothing, but that it is signed in now. @param {string} type @param {any} detail */
  hears(type, detail) {
    const { owner = this.owner, ticket = this.ticket, signedIn } = detail ?? {};
    // Not who signed in before this client opened, and was late: it comes after him.
    if (type === 'sync.owner' && (ticket === 0 || ticket >= this.ticket)) this.is(signedIn === this.owner);
    return owner === this.owner && !(this.away && kOfSignedIn.includes(type));
  }

  /** What is known from now on. @param {boolean} here */
  is(here) {
    this.away = !here;
    this.#introduced = true;   // who was overtaken does not come back by himself
    this.changed();
  }

  /** Refuses to show anything while he is away. */
  mustBeHere() {
    if (this.away) throw new TidegateError('signed-out', '', `the owner of this client (${JSON.stringify(this.owner)}) is not signed in; signIn() signs him in`);
  }

  /** @param {'signIn' | 'signOut'} type @param {number} [ticket]  a new one, where the app says it */
  command(type, ticket = this.ticket) {
    this.ticket = ticket;
    return { type, value: { owner: this.owner, ticket } };
  }

  /**
   * `ask`, but the first things asked are preceded by who asks, until an answer says that it is stored. It may also say that somebody came later and was faster.
   * @param {Ask} ask @returns {Ask}
   */
  introduced(ask) {
    return async (request, until) => {
      if (this.#introduced) return ask(request, until);
      const answer = await ask({ ...request, commands: [this.command('signIn'), ...(request.commands ?? [])] }, until);
      const [said, ...answers] = until === 'answers' ? answer : answer.answers ?? [];
      if (said?.value) this.is(said.value.signedIn === this.owner);
      this.#introduced ||= until === 'answers' || answer.ok;
      return until === 'answers' ? answers : { ...answer, answers: answer.answers && answers };
    };
  }
}
