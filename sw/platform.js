// What a realm can do, under the same names in every one (isSupported()); and the client of a realm that can do nothing: a server that renders the app's pages, a
// browser without IndexedDB.
import { TidegateError } from './errors.js';

/** @import { Client } from './index.d.ts' */
/** @import { Ask } from './calls.js' */

/** What the globals of a realm show, and what only the caller knows. @param {any} scope @param {Record<string, boolean>} known @returns {Record<string, boolean>} */
export const supportedBy = (scope, known) => ({
  serviceWorker: false, backgroundSync: 'SyncManager' in scope, periodicSync: 'PeriodicSyncManager' in scope, persistentStore: false, persisted: false, webLocks: Boolean(scope.navigator?.locks),
  webAssembly: typeof scope.WebAssembly === 'object', core: false, compression: 'CompressionStream' in scope, battery: Boolean(scope.navigator?.getBattery),
  networkInformation: Boolean(scope.navigator?.connection), idleDetection: 'IdleDetector' in scope, ...known,
});

/** The code of an error that says that the core could not be loaded (wasm/compile.js). */
export const kNoCore = 'core-unavailable';

/**
 * What a status says where the core could not be loaded: why, and how much is kept, of every owner and whatever became of it. The rest only the core knows.
 * @param {string} reason @param {import('./store-contract.d.ts').Store} store
 */
export const statusWithoutCore = async (reason, store) =>
  ({ state: 'failed', isActive: false, reason, queueSize: (await store.census()).totals.ops });

/** Whether the browser keeps what is stored here until a person clears it. @param {any} navigator @returns {Promise<boolean>} */
export const persisted = async (navigator) => Boolean(await navigator?.storage?.persisted?.().catch(() => false));

/**
 * Watches what asking comes to: whether the core could be loaded when somebody last needed it. Until then it counts as there.
 * @param {Ask} ask
 */
export function watchingCore(ask) {
  const seen = { core: true };
  const note = (/** @type {any} */ error) => { seen.core = error?.code !== kNoCore; };
  return {
    seen,
    ask: /** @type {Ask} */ (async (request, until) => {
      try {
        const answer = await ask(request, until);
        note(answer?.error);
        return answer;
      } catch (error) {
        note(error);
        throw error;
      }
    }),
  };
}

/** A client that keeps and sends nothing, and says so: what it can answer without a store it answers, every other call rejects. @returns {Client} */
export function noPlatform() {
  const unsupported = async () => { throw new TidegateError('unsupported', '', 'this platform has no IndexedDB: nothing can be kept here'); };
  const refusing = (/** @type {object} */ answers) => new Proxy(answers, { get: (own, name) => Reflect.get(own, name) ?? (typeof name === 'string' && name !== 'then' ? unsupported : undefined) });
  return /** @type {Client} */ (refusing({ background: refusing({}), isSupported: () => supportedBy({}, {}), subscribe: () => () => {}, registerTask: () => () => {}, close: async () => {} }));
}
