// A proxy between a client and the server of its uploads, that hears every request and may answer one itself.
import { createServer, request } from 'node:http';

/**
 * @typedef {{method: string, url: string, headers: any, bytes: number, status: number | string}} Heard
 * @typedef {'hang' | 'reset' | {status: number, headers?: Record<string, string>, body?: string, applied?: boolean}} Instead  applied: the server gets it all the same
 */

/**
 * `before` is called with each request and with how many of its method came; what it answers is done instead.
 * @param {import('node:test').TestContext} t @param {string} target
 */
export async function proxy(t, target) {
  /** @type {{url: string, requests: Heard[], before?: (heard: Heard, n: number) => Promise<Instead | undefined | void>}} */
  const between = { url: '', requests: [] };
  const counts = new Map();
  const server = createServer(async (incoming, outgoing) => {
    const { method = '', url = '', headers } = incoming;
    const chunks = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const heard = { method, url, headers, bytes: body.length, status: /** @type {number | string} */ ('none') };
    between.requests.push(heard);
    counts.set(method, (counts.get(method) ?? 0) + 1);
    const instead = await between.before?.(heard, counts.get(method));
    if (instead === 'hang') return;
    if (instead === 'reset') return incoming.socket.resetAndDestroy();
    if (instead && !instead.applied) return answer(heard, outgoing, instead.status, instead.headers ?? {}, instead.body);
    const onward = request(`${target}${url}`, { method, headers: without(headers, 'host') }, async (response) => {
      const parts = [];
      for await (const part of response) parts.push(part);
      if (instead) return answer(heard, outgoing, instead.status, instead.headers ?? {}, instead.body);
      return answer(heard, outgoing, response.statusCode ?? 0, response.headers, Buffer.concat(parts));
    });
    onward.on('error', () => incoming.socket.resetAndDestroy());
    onward.end(body);
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', () => resolve(undefined)); });
  t.after(() => { server.closeAllConnections(); server.close(); });
  between.url = `http://127.0.0.1:${/** @type {any} */ (server.address()).port}`;
  return between;
}

/** @param {any} headers @param {string} name */
const without = (headers, name) => Object.fromEntries(Object.entries(headers).filter(([one]) => one !== name));

/** @param {Heard} heard @param {import('node:http').ServerResponse} outgoing @param {number} status @param {any} headers @param {string | Buffer} [body] */
function answer(heard, outgoing, status, headers, body = '') {
  heard.status = status;
  outgoing.writeHead(status, without(headers, 'transfer-encoding'));
  outgoing.end(heard.method === 'HEAD' || status === 204 ? undefined : body);
}
