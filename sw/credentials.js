// The headers that make a request an owner's. They come from the app's provider, live in memory, and are never stored, logged or told.

/** @import { Authorize, Credentials } from './index.d.ts' */

/** What a provider answered: headers, or {headers, expiresAt}. @param {any} given @returns {Credentials} */
export const credentialsOf = (given) => (typeof given?.headers === 'object' ? given : { headers: given ?? {} });

/**
 * A provider that is asked by one request at a time: those that need its answer meanwhile share it. What has an `expiresAt` is kept and used as long as it
 * outlives the request; without one the provider is asked every time. What it answered before stays the same object, so that new ones are told from it.
 * @param {Authorize} authorize @param {object} context  what the provider is given besides
 * @returns {(owner: string, untilMs: number, refused?: Credentials) => Promise<Credentials>} refused: those that were answered 401; others are wanted
 */
export function createCredentials(authorize, context) {
  /** @type {{owner?: string, held?: Credentials, keepMs?: number, asking?: Promise<any>, refresh?: boolean}} of him who is signed in */
  let current = {};
  return async (owner, untilMs, refused) => {
    if (current.owner !== owner) current = { owner };
    const of = current;
    while (refused && of.asking && !of.refresh) await of.asking.catch(() => {});   // asked before the refusal, it may bring the same again
    const { held, keepMs = 0 } = of;
    if (held && (refused ? held !== refused : keepMs > untilMs)) return held;
    if (!of.asking) {
      const refresh = of.refresh = Boolean(refused ?? held?.expiresAt);
      of.keepMs = 0;
      of.asking = (async () => {
        const now = credentialsOf(await authorize(owner, { ...context, refresh }));
        new Headers(now.headers);   // throws here, and not where a request is on its way
        if (JSON.stringify(now) !== JSON.stringify(of.held)) Object.assign(of, { held: now, keepMs: now.expiresAt });
        return of.held;
      })().finally(() => { of.asking = undefined; });
    }
    return of.asking;
  };
}
