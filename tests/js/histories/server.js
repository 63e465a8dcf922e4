// The server of a history: the frame, the routes and the rules of the reference server over a store in memory that remembers every version and every effect, so that checkers
// can ask for them.
import { gunzipSync } from 'node:zlib';
import { createPatcher } from '../../../server/codec.js';
import { createDecide, groupAfterFailure, refused, succeeded } from '../../../server/decide.js';
import { DEFAULT_LIMITS } from '../../../server/limits.js';
import { PROBLEM_TYPE, Refusal, problem } from '../../../server/problem.js';
import { addRoutes } from '../../../server/routes.js';

const kApi = '/api/v1/';
const patcher = createPatcher(DEFAULT_LIMITS);

/** @typedef {{etag: string, key: string, deleted: boolean, contentType: string, body: Buffer | null, n: number, subject: string}} Version */

export class Server {
  /** @type {Map<string, Version[]>} "ENTITY/id" → all its versions */
  versions = new Map();
  /** @type {Map<string, any>} key → what it is bound to */
  #keys = new Map();
  #n = 0;
  /** Who sent the request that is being carried out. */
  #subject = '';
  /** @type {(effect: {key: string, entity: string, entityId: string, subject: string, version: Version, before: Version | undefined}) => void} */
  onEffect = () => {};
  /** @type {{method: string, pattern: RegExp, handler: Function}[]} */
  #routes = [];

  static async create() {
    const server = new Server();
    server.decide = createDecide({ limits: DEFAULT_LIMITS, applyPatch: await patcher });
    const add = (/** @type {string} */ method) => (/** @type {string} */ path, /** @type {any[]} */ ...rest) => {
      server.#routes.push({ method, pattern: new RegExp(`^${path.replace(/^\//, '').replace(/:(\w+)/g, '(?<$1>[^/]+)')}$`), handler: rest[rest.length - 1] });
    };
    const api = Object.fromEntries(['get', 'put', 'patch', 'delete', 'post'].map((method) => [method, add(method.toUpperCase())]));
    addRoutes(/** @type {any} */ (api), {
      store: /** @type {any} */ ({ read: async (/** @type {string} */ entity, /** @type {string} */ id) => server.#document(entity, id), changes: async (/** @type {any} */ cursor, /** @type {any} */ o) => server.#changes(cursor, o) }),
      engine: { apply: async (units) => server.#apply(units) }, limits: DEFAULT_LIMITS, mark: (_, units) => units,
    });
    return server;
  }

  /** The newest version or tombstone. @param {string} name */
  current(name) {
    return this.versions.get(name)?.at(-1);
  }

  /** @param {{method: string, path: string, headers: Record<string, string>, body: Buffer, subject: string}} request */
  async answer({ method, path, headers, body, subject }) {
    const [where, query = ''] = path.slice(kApi.length).split('?');
    const answer = { status: 200, headers: /** @type {Record<string, string>} */ ({}), body: Buffer.alloc(0) };
    const reply = {
      code: (/** @type {number} */ status) => { answer.status = status; return reply; },
      header: (/** @type {string} */ name, /** @type {string} */ value) => { answer.headers[name.toLowerCase()] = value; return reply; },
      send: (/** @type {any} */ content) => { if (content) answer.body = Buffer.from(content); return reply; },
    };
    const refuse = (/** @type {any} */ document) => reply.code(document.status).header('content-type', PROBLEM_TYPE).send(JSON.stringify(document));
    try {
      const route = this.#routes.find((one) => one.method === method && one.pattern.test(where));
      if (!route) refuse(problem('not-found', `there is nothing at ${method} ${path}`));
      else {
        const params = Object.fromEntries(Object.entries(route.pattern.exec(where)?.groups ?? {}).map(([name, value]) => [name, decodeURIComponent(value)]));
        const decoded = headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body;
        this.#subject = subject;
        await route.handler({ method, url: path, params, query: Object.fromEntries(new URLSearchParams(query)), headers, body: decoded }, reply);
      }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      refuse(error.problem);
    }
    return answer;
  }

  /** @param {any[][]} units */
  #apply(units) {
    /** @type {any[]} */
    const results = [];
    for (const unit of units) {
      if (unit.length === 1) results.push(this.#one(unit[0], results));
      else results.push(...this.#group(unit, results));
    }
    return results;
  }

  /** All of them, or none: decided on a copy first. @param {any[]} group @param {any[]} before */
  #group(group, before) {
    const kept = { versions: new Map([...this.versions].map(([name, all]) => [name, [...all]])), keys: new Map(this.#keys), n: this.#n, onEffect: this.onEffect };
    const bound = group.map((op) => this.#keys.get(op.key));
    const results = group.map((op, i) => (bound[i] ? this.#one(op, []) : null));
    /** @type {any[]} */
    const effects = [];
    this.onEffect = (effect) => effects.push(effect);
    let failed = -1;
    for (let i = 0; i < group.length && failed < 0; i++) {
      results[i] ??= this.#one(group[i], [...before, ...results]);
      if (!succeeded(results[i])) failed = i;
    }
    this.onEffect = kept.onEffect;
    if (failed < 0) {
      effects.forEach(this.onEffect);
      return results;
    }
    this.versions = kept.versions;
    this.#keys = kept.keys;
    this.#n = kept.n;
    return groupAfterFailure(results, failed);
  }

  /** @param {any} op @param {any[]} results */
  #one(op, results) {
    const earlier = op.after === null ? null : results[op.after];
    const decision = /** @type {any} */ (this.decide)(op, { bound: this.#keys.get(op.key) ?? null, current: this.#document(op.entity, op.entityId), earlier });
    if (!decision.effect) return decision.status ? decision : refused(problem('internal'));
    const { contentType, body } = decision.effect;
    const name = `${op.entity}/${op.entityId}`;
    const version = { etag: `"v${++this.#n}"`, key: op.key, deleted: body === null, contentType, body: body && Buffer.from(body), n: this.#n, subject: this.#subject };
    const before = this.current(name);
    this.versions.set(name, [...(this.versions.get(name) ?? []), version]);
    this.#keys.set(op.key, { fingerprint: op.fingerprint, status: decision.status, etag: version.etag });
    this.onEffect({ key: op.key, entity: op.entity, entityId: op.entityId, subject: this.#subject, version, before });
    return { status: decision.status, etag: version.etag };
  }

  /** @param {string} entity @param {string} entityId */
  #document(entity, entityId) {
    const version = this.current(`${entity}/${entityId}`);
    return version ? { ...version, entity, entityId } : null;
  }

  /** @param {string | null} cursor @param {{limit: number}} options */
  #changes(cursor, { limit }) {
    const told = Number(cursor ?? 0);
    const all = [...this.versions].map(([name, versions]) => ({ name, ...(/** @type {Version} */ (versions.at(-1))) })).filter(({ n }) => n > told).sort((a, b) => a.n - b.n);
    const changes = all.slice(0, limit).map(({ name, ...version }) => ({ ...version, entity: name.split('/')[0], entityId: name.slice(name.indexOf('/') + 1) }));
    const more = all.length > limit;
    return { changes, cursor: String(more ? changes[limit - 1].n : this.#n), more };
  }
}
