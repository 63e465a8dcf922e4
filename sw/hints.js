// Hints from the server (docs/protocol.md, "Hints") over two transports behind one interface, an entry of its own: an app that polls does not load it.
//
//     connect({ pull: true, hints: sseHints(), … })        or webSocketHints()
//
// A source is a function of a context; it keeps one connection open until the signal aborts, and calls `hint` on every hint and on every connection, because
// between two connections some may have been missed. The core makes one pull of any number of them.
import { credentialsOf } from './credentials.js';
import { TidegateError } from './errors.js';
import { reconnecting } from './pace.js';
import { fetchAsset } from './transport.js';

/** @import { HintSource, HintContext } from './index.d.ts' */

/** A connection that says nothing for this long is dead; the reference server speaks every 25 s. */
const kSilenceMs = 60_000;
/** A line of an event stream that is longer is not ours. */
const kMaxLine = 1_024;

/** Server-sent events, read by fetch, so that it takes headers and works in pages, workers and Node. @param {string} [path] below the endpoint @returns {HintSource} */
export const sseHints = (path = 'hints') => (context) => keepOpen(context, path, async (url, signal, alive) => {
  const { hint, authorize, owner } = context;
  const headers = { accept: 'text/event-stream', ...credentialsOf(await authorize?.(owner, { refresh: false })).headers };
  const response = await fetchAsset(new Request(url, { headers, signal, cache: 'no-store', redirect: 'error', credentials: 'same-origin' }));
  const type = response.headers.get('content-type') ?? '';
  if (response.status !== 200 || !type.startsWith('text/event-stream') || !response.body) throw new Error(`hints: expected an event stream, got ${response.status} ${type}`);
  alive();
  hint();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  signal.addEventListener('abort', () => { reader.cancel().catch(() => {}); });   // Node forgets the signal of a request whose body is being read
  let line = '';
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    alive();
    const lines = (line + part.value).split('\n');
    line = lines[lines.length - 1].slice(0, kMaxLine);
    if (lines.slice(0, -1).some((text) => text.startsWith('data:'))) hint();
  }
});

/** A WebSocket. It cannot carry headers: cookies only. @param {string} [path] below the endpoint @returns {HintSource} */
export const webSocketHints = (path = 'hints') => {
  if (typeof WebSocket === 'undefined') throw new TidegateError('unsupported', '/hints', 'hints: this engine has no WebSocket; use sseHints()');
  return (context) => keepOpen(context, path, (url, signal, alive) => new Promise((resolve) => {
    url.protocol = url.protocol.replace('http', 'ws');
    const socket = new WebSocket(url);
    signal.addEventListener('abort', () => socket.close());
    // Its heartbeats are pongs, which pages do not see: the engine ends a dead connection.
    for (const type of ['open', 'message']) socket.addEventListener(type, () => { alive(Infinity); context.hint(); });
    socket.addEventListener('close', resolve);
  }));
};

/**
 * One connection after the other, until the context's signal aborts.
 * @param {HintContext} context @param {string} path
 * @param {(url: URL, signal: AbortSignal, alive: (forMs?: number) => void) => Promise<unknown>} connection
 */
const keepOpen = (context, path, connection) => reconnecting(context, async () => {
  const { endpoint, clock, signal } = context;
  const stop = new AbortController();
  const end = () => stop.abort();
  signal.addEventListener('abort', end);
  let cancel = clock.timer(kSilenceMs, end);
  const alive = (forMs = kSilenceMs) => {
    cancel();
    if (forMs !== Infinity) cancel = clock.timer(forMs, end);
  };
  await connection(new URL(path, endpoint.href.replace(/\/?$/, '/')), stop.signal, alive).catch(() => {});
  cancel();
  end();
  signal.removeEventListener('abort', end);
});
