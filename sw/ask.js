// What only the app can say: what becomes of a conflict (strategy "custom"), and what a document of an older version of it is in this one (`migrate`). Its functions
// are given parsed documents, what they answer comes back as an outcome, like an answer. A run of a task that nobody here executes (sw/task-runs.js stands around
// this) asks to be left for a while, as a server does.
import { within } from './clock.js';

/** @import { Migrate, ResolveConflict } from './index.d.ts' */

/** How long the app may think about one. */
const kAskMs = 30_000;

/**
 * A transport that takes `ask` effects to the app. Where it has no say, throws or takes too long, the core decides.
 * @param {import('./transport.js').Transport} transport @param {import('./clock.js').Clock} clock @param {ResolveConflict} [resolve] @param {Migrate} [migrate]
 * @returns {import('./transport.js').Transport}
 */
export const withAsking = (transport, clock, resolve, migrate) => ({
  ...transport,
  send: async (effect, body, stop) => {
    if (effect.type === 'send') return transport.send(effect, body, stop);
    return effect.type === 'ask' ? ask(effect.detail, clock, stop, resolve, migrate) : { failure: 'no-task', headers: { 'retry-after': '10' } };
  },
});

/**
 * @param {any} detail  with `from`: a document of that version @param {import('./clock.js').Clock} clock @param {AbortSignal} stop
 * @param {ResolveConflict} [resolve] @param {Migrate} [migrate]
 */
async function ask({ base, ours, theirs, from, ...rest }, clock, stop, resolve, migrate) {
  const parse = (/** @type {string | null} */ text) => (text === null ? undefined : JSON.parse(text));
  try {
    const doc = await within(clock, kAskMs, () => (from >= 0 ? migrate?.({ ...rest, doc: parse(ours) }, from) : resolve?.({ ...rest, base: parse(base), ours: parse(ours), theirs: parse(theirs) })), stop);
    return doc === undefined ? {} : { body: new TextEncoder().encode(JSON.stringify(doc)) };
  } catch (error) {
    return { message: String(error) };
  }
}
