// For apps whose worker cannot make an owner's headers by itself, because only a page can: the worker asks an open page. An entry of its own (`tidegate/page-credentials`).
//
//     createSyncWorker({ endpoint: '/api/v1', authorize: fromPages() })        in the worker
//     connect({ worker: '/sw.js', authorize: (owner, { refresh }) => …, … })     in the page
//
// One page answers: they are asked one after the other, the one in use first, because two that renew one session at once end each other's. Each is asked over a
// channel of its own, so that nobody else can answer. Where none does, the owner's ops wait ("Sign-in needed") until a page opens.
import { clock } from './clock.js';
import { credentialsOf } from './credentials.js';
import { TidegateError } from './errors.js';

/** @import { Authorize, Credentials } from './index.d.ts' */

/** A page that is frozen never answers. */
const kPageMs = 3_000;
const kMaxHeaders = 32;
const kMaxHeaderChars = 16_384;

/** @returns {Authorize} */
export const fromPages = () => async (owner, { refresh, pages }) => {
  const none = new TidegateError('signed-out', '', 'no open page has headers for this owner');
  for (const page of (await pages?.()) ?? []) {
    const answer = await askPage(page, { owner, refresh });
    if (answer === 'refused') none.name = 'HeadersRefused';   // whoever reports it tells the name alone, because what an error says may quote a header
    else if (answer) return answer;
  }
  throw none;
};

/** @param {any} page @param {{owner: string, refresh: boolean}} detail @returns {Promise<Credentials | 'refused' | null>} */
const askPage = (page, detail) => new Promise((resolve) => {
  const { port1, port2 } = new MessageChannel();
  const done = (/** @type {Credentials | 'refused' | null} */ answer) => {
    cancel();
    port1.close();
    resolve(answer);
  };
  const cancel = clock.timer(kPageMs, () => done(null));
  port1.onmessage = ({ data }) => done(checked(data));
  page.postMessage({ tidegate: 1, type: 'authorize', detail }, [port2]);
});

/** A page's answer where it has the shape of one. @param {any} data @returns {Credentials | 'refused' | null} refused: over a limit, or no text */
function checked(data) {
  if (data?.tidegate !== 1 || !data.value) return null;
  const { headers, expiresAt } = credentialsOf(data.value);
  const entries = Object.entries(headers);
  const good = entries.length <= kMaxHeaders && entries.every(([name, value]) => typeof value === 'string' && name.length + value.length <= kMaxHeaderChars);
  return good ? { headers, ...(Number.isFinite(expiresAt) && { expiresAt }) } : 'refused';
}
