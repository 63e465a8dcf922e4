// The only file that fetches. Carries one request and says exactly what became of it; never retries, never follows, never logs. One exception, which is part of
// the exchange (RFC 9110, section 15.5.2): answered 401, it asks the provider for new headers once, and with others than those that were refused it repeats
// the request, the same bytes under the same key. A second 401 is the answer.
import { createCredentials } from './credentials.js';

/** @import { Clock } from './clock.js' */
/** @import { Authorize, Credentials } from './index.d.ts' */
/** @import { Effect, OutcomeIn } from '../wasm/protocol.js' */

/** An answer longer than this is not read to its end. A batch is at most 16 MiB, and so is what a server may say about it. */
export const kMaxAnswerBytes = 16 * 2 ** 20;
/** For an effect that names no timeout; the core always does. */
const kDefaultTimeoutMs = 60_000;
/** A test of the way to the server that takes longer than this says: no. */
const kReachMs = 10_000;

/**
 * @typedef {object} TransportOptions
 * @property {string} endpoint  where the API lives: "/api/v1" or "https://sync.example/api/v1"
 * @property {string} [base]    what a relative endpoint is relative to: the scope of the worker, the address of the page
 * @property {string[]} [allow] origins that may be spoken to besides that of `base` (or of an absolute endpoint where there is no base)
 * @property {Authorize} [authorize]  the headers that make a request the owner's
 * @property {() => Promise<any[]>} [pages]  the open pages, for a provider that asks them
 * @property {Clock} clock
 * @property {typeof fetch} [fetch]
 *
 * @typedef {Omit<OutcomeIn, 'id'> & {body?: Uint8Array}} Answer
 * @typedef {Effect & {mayLeave?: () => boolean}} Sending  mayLeave: asked right before a request leaves, after everything that was waited for
 * @typedef {{send(effect: Sending, body: Uint8Array | undefined, signal: AbortSignal): Promise<Answer>}} Transport
 */

/** @param {TransportOptions} options @returns {Transport} throws TypeError when the endpoint cannot be an address */
export function createTransport({ endpoint, base, allow = [], authorize = () => ({}), pages, clock, fetch: request = globalThis.fetch }) {
  const root = new URL(endpoint, base);
  if (!root.pathname.endsWith('/')) root.pathname += '/';
  const origins = new Set([new URL(base ?? root).origin, ...allow.map((origin) => new URL(origin).origin)]);
  const credentials = createCredentials(authorize, { pages });

  return {
    async send(effect, body, signal) {
      const { owner = '', method = 'POST', timeoutMs = kDefaultTimeoutMs } = effect;
      let startedAtMs = clock.now(), sentBytes = 0;
      /** @param {string} failure @param {unknown} why @returns {Answer} */
      const failed = (failure, why) => ({ failure, message: sentence(why), startedAtMs, endedAtMs: clock.now() });

      const url = resolve(effect.url ?? '', root, origins);
      if (typeof url === 'string') return failed('blocked', url);
      if (signal.aborted) return failed('aborted', 'the turn ended before the request left');
      const abort = new AbortController();
      const stop = () => abort.abort('aborted');
      signal.addEventListener('abort', stop);
      const cancelTimer = clock.timer(timeoutMs, () => abort.abort('timeout'));
      const untilMs = startedAtMs + timeoutMs;
      let failure = 'auth';   // nothing has left yet
      /** One request, whole. @param {Credentials} held @param {Uint8Array | undefined} bytes @returns {Promise<Answer>} */
      const exchange = async (held, bytes) => {
        const headers = headersOf(effect, held, bytes !== body);
        if (effect.mayLeave?.() === false) return failed('aborted', 'the lease ran out before the request left');
        failure = 'network';
        startedAtMs = clock.now();
        sentBytes += bytes?.length ?? 0;
        const response = await request(url, {
          method, headers, body: /** @type {any} */ (bytes), signal: abort.signal, redirect: 'error', credentials: 'same-origin', cache: 'no-store',
        });
        failure = 'truncated';
        const answer = await readBody(response);
        if (!answer) return failed('too-large', `the answer is longer than ${kMaxAnswerBytes} bytes`);
        return { status: response.status, headers: plain(response.headers, url, root), body: answer, bodyBytes: answer.length, sentBytes, startedAtMs, endedAtMs: clock.now() };
      };
      try {
        const held = await unlessAborted(credentials(owner, untilMs), abort.signal);
        const bytes = effect.gzip && body && typeof CompressionStream !== 'undefined' ? await gzip(body) : body;
        const answer = await exchange(held, bytes);
        if (answer.status !== 401) return answer;
        const other = await unlessAborted(credentials(owner, untilMs, held), abort.signal).catch(() => held);
        return other === held ? answer : await exchange(other, bytes);
      } catch (error) {
        const { aborted, reason } = abort.signal;
        if (aborted && (failure !== 'auth' || reason === 'aborted')) return failed(reason, `the request was given up after ${clock.now() - startedAtMs} ms`);
        return failed(failure, failure === 'auth' ? `no headers for this owner: ${sentence(error, false)}` : error);
      } finally {
        cancelTimer();
        signal.removeEventListener('abort', stop);
        abort.abort('aborted');   // frees a body that was not read to its end
      }
    },
  };
}

/** Lower-case names. The address of an entity in Location is written as effects name addresses. @param {Headers} headers @param {URL} url @param {URL} root */
function plain(headers, url, root) {
  /** @type {Record<string, string>} */
  const out = {};
  headers.forEach((value, name) => { out[name] = value; });
  try {
    const { origin, pathname } = new URL(out.location ?? '', url);
    if (out.location && origin === root.origin && pathname.startsWith(`${root.pathname}entities/`)) out.location = pathname.slice(root.pathname.length);
  } catch {
    // No address: as it came.
  }
  return out;
}

/**
 * The address of an effect, or why it must not be spoken to. Checked after parsing, because "//evil", "\\evil" and "data:" only show then.
 * @param {string} path @param {URL} root @param {Set<string>} origins @returns {URL | string}
 */
function resolve(path, root, origins) {
  let url;
  try {
    url = new URL(path, root);
  } catch {
    return 'the address cannot be parsed';
  }
  if (!origins.has(url.origin)) return `origin ${url.origin} is not one of those allowed`;
  if (!url.pathname.startsWith(root.pathname)) return `path ${url.pathname} is outside of ${root.pathname}`;
  if (url.username || url.password) return 'the address carries credentials';
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(url.hostname))) return `${url.protocol} is not https:`;
  return url;
}

/** RFC 6761 (localhost), RFC 1122 (127/8), RFC 4291 (::1). @param {string} host */
const isLoopback = (host) => host === 'localhost' || host.endsWith('.localhost') || host === '[::1]' || /^127(\.\d+){3}$/.test(host);

/** Headers as they go on the wire. Compression is not the key's affair: it may differ from one send to the next. @param {Effect} effect @param {Credentials} held @param {boolean} zipped */
function headersOf(effect, held, zipped) {
  const headers = new Headers({ .../** @type {Record<string, string>} */ (effect.headers ?? {}), ...held.headers });
  if (zipped) headers.set('content-encoding', 'gzip');
  return headers;
}

/** A token provider that never answers must not outlive the request's time. @template T @param {Promise<T>} work @param {AbortSignal} signal @returns {Promise<T>} */
function unlessAborted(work, signal) {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('no time was left for the request')), { once: true });
    work.then(resolve, reject);
  });
}

/** @param {Uint8Array} bytes @returns {Promise<Uint8Array>} */
async function gzip(bytes) {
  const stream = new Blob([/** @type {any} */ (bytes)]).stream().pipeThrough(new CompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * The whole body, bounded. A body shorter than it said is an error here even where the engine accepts it; where the length cannot be
 * known (compressed, or delimited by the end of the connection), the core finds the missing results. Null: it is longer than kMaxAnswerBytes.
 * @param {Response} response
 */
async function readBody(response) {
  const reader = response.body?.getReader();
  if (!reader) return new Uint8Array();
  const chunks = [];
  let size = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    chunks.push(part.value);
    size += part.value.length;
    if (size > kMaxAnswerBytes) return null;
  }
  const said = response.type === 'cors' ? null : response.headers.get('content-length');   // across origins nobody says whether it was compressed
  if (said !== null && !response.headers.has('content-encoding') && Number(said) !== size)
    throw new Error(`the answer has ${size} bytes of ${said}`);
  const body = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.length;
  }
  return body;
}

/**
 * What went wrong in one sentence. The text of a header error quotes the header's value, which may be a secret, so that one is told by its name only.
 * @param {any} error @param {boolean} [quoted]
 */
function sentence(error, quoted = true) {
  if (typeof error === 'string') return error;
  const cause = error?.cause?.code ? ` (${error.cause.code})` : '';
  return quoted ? `${error?.message ?? error}${cause}` : `${error?.name ?? 'Error'}`;
}

/** A file of the app itself, where no cache holds it. @param {string | URL | Request} what */
export const fetchAsset = (what) => fetch(what);

/** @typedef {() => Promise<{reachable: boolean, ms: number, status?: number}>} Reach */

/**
 * Whether the API can be spoken to, by one request that carries nothing. Any answer of a server will do; a redirect or a page where nothing was asked for
 * is a network that wants a sign-in (RFC 8952). @param {URL} endpoint @param {Clock} clock @returns {Reach}
 */
export const reaching = (endpoint, clock) => async () => {
  const startedAtMs = clock.now();
  const abort = new AbortController();
  const cancel = clock.timer(kReachMs, () => abort.abort());
  const reached = await fetch(endpoint, { method: 'HEAD', redirect: 'error', cache: 'no-store', signal: abort.signal })
    .then(({ status, ok, headers }) => ({ reachable: status !== 511 && !(ok && /html/.test(headers.get('content-type') ?? '')), status }), () => ({ reachable: false }));
  cancel();
  return { ...reached, ms: clock.now() - startedAtMs };
};
