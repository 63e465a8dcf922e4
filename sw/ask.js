// A conflict that the app decides (strategy "custom"): the three documents go to its function, what it says comes back as an outcome, like an answer. A run of
// a task that nobody here executes (sw/task-runs.js stands around this) asks to be left for a while, as a server does.

/** How long the app may think about one. */
const kAskMs = 30_000;

/**
 * A transport that takes `ask` effects to the app. Where it has no say, throws or takes too long, the core decides.
 * @param {import('./transport.js').Transport} transport @param {import('./clock.js').Clock} clock @param {import('./index.d.ts').ResolveConflict} [resolve]
 * @returns {import('./transport.js').Transport}
 */
export const withAsking = (transport, clock, resolve) => ({
  ...transport,
  send: async (effect, body, stop) => {
    if (effect.type === 'send') return transport.send(effect, body, stop);
    return effect.type === 'ask' ? ask(effect.detail, clock, stop, resolve) : { failure: 'no-task', headers: { 'retry-after': '10' } };
  },
});

/** @param {any} detail @param {import('./clock.js').Clock} clock @param {AbortSignal} stop @param {import('./index.d.ts').ResolveConflict} [resolve] */
async function ask({ base, ours, theirs, ...rest }, clock, stop, resolve) {
  const parse = (/** @type {string | null} */ text) => (text === null ? undefined : JSON.parse(text));
  let cancel = () => {};
  const enough = new Promise((done) => {
    cancel = clock.timer(kAskMs, () => done(undefined));
    stop.addEventListener('abort', () => done(undefined));
  });
  try {
    const doc = await Promise.race([enough, resolve?.({ ...rest, base: parse(base), ours: parse(ours), theirs: parse(theirs) })]);
    return doc === undefined ? {} : { body: new TextEncoder().encode(JSON.stringify(doc)) };
  } catch {
    return {};
  } finally {
    cancel();
  }
}
