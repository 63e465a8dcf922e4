// Between fetch and the server. What happens to a request is drawn when it leaves; what it meets on the way, when it gets there.

const kLogin = '{"login":"/sign-in"}';
const kHtml = '<!doctype html><title>Sign in</title><form></form>';
/** Requests that come long after their sender was told that they failed. */
const kLate = { fromMs: 5_000, toMs: 240_000 };

export class Network {
  /** @param {import('./world.js').World} world @param {import('./server.js').Server} server */
  constructor(world, server) {
    this.world = world;
    this.server = server;
    this.offline = false;
  }

  /**
   * One request, as fetch would carry it. `settle` is called at most once, with a Response or the error of fetch.
   * @param {{method: string, url: URL, headers: Headers, body: Buffer, redirect: string, subject: string}} request @param {(answer: () => Response) => void} settle
   */
  carry(request, settle) {
    const { world, server } = this;
    const { dice } = world;
    const net = dice.of('network');
    world.counts.requests += 1;
    const oneWayMs = dice.roll('slow', 0.2) ? net.between(500, 20_000) : net.between(5, 150);
    const backMs = dice.roll('slow', 0.2) ? net.between(500, 20_000) : net.between(5, 150);
    const broken = () => { throw new TypeError('fetch failed'); };
    if (this.offline) return world.in(net.between(1, 50), () => settle(broken));
    if (dice.roll('loss', 0.08)) return world.in(oneWayMs, () => settle(broken));
    if (dice.roll('hang', 0.04)) return undefined;
    if (dice.roll('portal', 0.15)) return world.in(oneWayMs, () => settle(() => this.#portal(request, net.chance(0.5))));
    if (dice.roll('error', 0.08)) return world.in(oneWayMs + backMs, () => settle(() => new Response('oops', { status: net.of([500, 502, 503]) })));
    if (dice.roll('busy', 0.06)) return world.in(oneWayMs + backMs, () => settle(() => new Response('', { status: net.of([429, 503]), headers: { 'retry-after': `${20 + net.below(100)}` } })));
    if (dice.roll('late', 0.05)) {
      world.in(oneWayMs, () => settle(broken));
      return world.in(net.between(kLate.fromMs, kLate.toMs), () => { world.working(() => this.#serve(request)); });
    }
    const lost = dice.roll('lost-answer', 0.08);
    const cut = dice.roll('cut', 0.1);
    return world.in(oneWayMs, () => {
      world.working(async () => {
        const answer = await this.#serve(request);
        if (lost) world.counts.lostAnswers += 1;
        world.in(backMs, () => settle(lost ? broken : () => this.#response(answer, cut, net)));
      });
    });
  }

  /** @param {any} request */
  async #serve({ method, url, headers, body, subject }) {
    const answer = await this.server.answer({ method, path: url.pathname + url.search, headers: Object.fromEntries(headers), body, subject });
    this.world.trace?.(`server ${method} ${url.pathname} → ${answer.status} ${answer.body.toString().slice(0, 300)}`);
    return answer;
  }

  /** A sign-in page: sent in place of the answer, or where the request is redirected to. @param {any} request @param {boolean} redirects */
  #portal({ redirect }, redirects) {
    if (redirects && redirect === 'error') throw new TypeError('unexpected redirect');
    if (redirects) return new Response(kLogin, { status: 200, headers: { 'content-type': 'application/json', etag: '"login"', 'content-length': `${kLogin.length}` } });
    return new Response(kHtml, { status: 200, headers: { 'content-type': 'text/html', etag: '"portal"', 'content-length': `${kHtml.length}` } });
  }

  /** In two parts, as bodies come; one that is cut ends early without any error, as Chromium tells one of a closed connection. @param {any} answer @param {boolean} cut @param {import('./chance.js').Stream} net */
  #response({ status, headers, body }, cut, net) {
    const init = { status, headers: { ...headers, 'content-length': `${body.length}` } };
    if (status === 204 || status === 304) return new Response(null, { status, headers });
    if (body.length < 2) return new Response(body, init);
    const middle = 1 + net.below(body.length - 1);
    if (cut) this.world.counts.cuts += 1;
    const parts = [body.subarray(0, middle), ...(cut ? [] : [body.subarray(middle)])];
    return new Response(new ReadableStream({ pull(controller) { const part = parts.shift(); if (part) controller.enqueue(new Uint8Array(part)); else controller.close(); } }), init);
  }
}
