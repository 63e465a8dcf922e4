/**
 * Faults on purpose, for tests of clients, and planted bugs, for tests of checkers. Off unless main.js or createServer is told otherwise.
 *
 * Each API request draws once from a seeded generator and suffers at most one fault; each is counted when it really happens.
 *
 * | fault            | what happens                                                                                      |
 * |------------------|---------------------------------------------------------------------------------------------------|
 * | `status500`      | 500 and nothing applied; in a batch, by a coin, either for the request or for some of its ops     |
 * | `status500After` | 500 although everything was applied                                                               |
 * | `resetBefore`    | the connection is reset, nothing applied                                                          |
 * | `resetAfter`     | everything is applied, then the connection is reset instead of an answer                          |
 * | `truncate`       | everything is applied, the answer is cut in the middle                                            |
 * | `hang`           | nothing is applied and no answer ever comes                                                       |
 *
 * @typedef {'status500'|'status500After'|'resetBefore'|'resetAfter'|'truncate'|'hang'} FaultName
 * @typedef {import('fastify').FastifyRequest & {fault?: FaultName|'opStatus500'|null}} Request
 */
import { Readable } from 'node:stream';
import { PROBLEM_TYPE, problem } from './problem.js';
import { sendProblem } from './routes.js';

const NAMES = /** @type {FaultName[]} */ (['status500', 'status500After', 'resetBefore', 'resetAfter', 'truncate', 'hang']);
export const PLANTS = Object.freeze(['no-dedupe']);

/**
 * Probabilities as given on the command line. Throws a TypeError naming the fault and its value.
 * @param {unknown} rates
 * @returns {[FaultName, number][]}
 */
export function checkRates(rates) {
  if (typeof rates !== 'object' || rates === null || Array.isArray(rates)) throw new TypeError('faults must be an object of probabilities');
  let total = 0;
  for (const [name, rate] of Object.entries(rates)) {
    if (!NAMES.includes(/** @type {FaultName} */ (name))) throw new TypeError(`faults.${name} is not a fault; there are ${NAMES.join(', ')}`);
    if (typeof rate !== 'number' || !(rate >= 0 && rate <= 1)) throw new TypeError(`faults.${name} must be from 0 to 1, got ${JSON.stringify(rate)}`);
    total += rate;
  }
  if (total > 1) throw new TypeError(`the faults must add up to at most 1, got ${total}`);
  return /** @type {[FaultName, number][]} */ (Object.entries(rates));
}

/**
 * Faults for the next requests, one each; null spares a request. Throws a TypeError naming what is none.
 * @param {unknown} demanded
 * @returns {(FaultName|null)[]}
 */
function checkDemands(demanded) {
  if (!Array.isArray(demanded)) throw new TypeError('the demanded faults must be a list');
  const wrong = demanded.find((name) => name !== null && !NAMES.includes(name));
  if (wrong !== undefined) throw new TypeError(`${JSON.stringify(wrong)} is not a fault; there are ${NAMES.join(', ')}`);
  return demanded;
}

/**
 * @param {object} options
 * @param {Record<string, number>} options.rates
 * @param {number} options.seed
 */
export function createFaults({ rates, seed }) {
  const chances = checkRates(rates);
  const random = generator(seed);
  /** @type {Record<FaultName|'opStatus500', number>} requests that suffered each; opStatus500 counts single ops */
  const counts = { status500: 0, opStatus500: 0, status500After: 0, resetBefore: 0, resetAfter: 0, truncate: 0, hang: 0 };

  /** @type {(FaultName|null)[]} what the next requests suffer whatever chance says; null is nothing */
  const demanded = [];

  /** @returns {FaultName|null} */
  function draw() {
    if (demanded.length > 0) return demanded.shift() ?? null;
    let left = random();
    for (const [name, rate] of chances) {
      if (left < rate) return name;
      left -= rate;
    }
    return null;
  }

  /**
   * When the request was read and before it is handled.
   * @param {Request} request
   * @param {import('fastify').FastifyReply} reply
   */
  async function before(request, reply) {
    request.fault = draw();
    if (request.fault === 'status500' && request.method === 'POST' && random() < 0.5) request.fault = 'opStatus500';
    if (request.fault === 'status500') {
      counts.status500 += 1;
      return sendProblem(reply, problem('internal', 'a fault was asked for'));
    }
    if (request.fault === 'resetBefore') {
      counts.resetBefore += 1;
      reply.hijack();
      request.raw.socket.resetAndDestroy();
    }
    if (request.fault === 'hang') {
      counts.hang += 1;
      reply.hijack();
    }
  }

  /**
   * When the answer is ready, and what was to be applied is.
   * @param {Request} request
   * @param {import('fastify').FastifyReply} reply
   * @param {unknown} payload
   */
  async function after(request, reply, payload) {
    if (request.fault === 'resetAfter') {
      counts.resetAfter += 1;
      request.raw.socket.resetAndDestroy();
    } else if (request.fault === 'status500After') {
      counts.status500After += 1;
      const body = Buffer.from(JSON.stringify(problem('internal', 'a fault was asked for')));
      reply.code(500).headers({ 'content-type': PROBLEM_TYPE, 'content-length': body.length });
      reply.removeHeader('ETag');
      return body;
    } else if (request.fault === 'truncate' && Buffer.isBuffer(payload) && payload.length > 1) {
      counts.truncate += 1;
      reply.header('content-length', payload.length);
      return cutInTheMiddle(payload, request.raw.socket);
    }
    return payload;
  }

  return {
    counts,
    /** @param {unknown} names  for the next requests, before chance decides about the others */
    demand(names) {
      demanded.push(...checkDemands(names));
    },
    /** @param {import('fastify').FastifyInstance} api */
    install(api) {
      api.addHook('preHandler', before);
      api.addHook('onSend', after);
    },
    /**
     * The units with the ops marked that are to fail by themselves: at least one.
     * @param {Request} request
     * @param {import('./op.js').Op[][]} units
     * @returns {import('./op.js').Op[][]}
     */
    mark(request, units) {
      if (request.fault !== 'opStatus500') return units;
      const victim = Math.floor(random() * units.flat().length);
      let index = 0;
      return units.map((unit) => unit.map((op) => {
        const chosen = index === victim || random() < 0.5;
        index += 1;
        if (!chosen) return op;
        counts.opStatus500 += 1;
        return { ...op, refused: problem('internal', 'a fault was asked for') };
      }));
    },
  };
}

/**
 * Half of an answer, and then the end of the connection.
 * @param {Buffer} payload
 * @param {import('node:net').Socket} socket
 */
function cutInTheMiddle(payload, socket) {
  return Readable.from((async function* half() {
    yield payload.subarray(0, payload.length >> 1);
    socket.destroySoon();
  })());
}

/**
 * A broken `decide` for a test that wants to see its checker find the bug: `no-dedupe` carries out again what comes again.
 * @param {string} plant  one of PLANTS
 * @param {import('./decide.js').Decide} decide
 * @returns {import('./decide.js').Decide}
 */
export function plantBug(plant, decide) {
  if (plant === 'no-dedupe') {
    // With the lookup skipped alone most repeats would stumble over their precondition, and the bug would hide behind 412s.
    return (op, known) => (known.bound === null ? decide(op, known)
      : decide({ ...op, after: null, ifMatch: known.current && [known.current.etag], ifNoneMatch: null }, { ...known, bound: null }));
  }
  throw new TypeError(`there is no planted bug ${JSON.stringify(plant)}; there are ${PLANTS.join(', ')}`);
}

/**
 * Numbers from 0 to 1 out of a seed (splitmix32).
 * @param {number} seed
 * @returns {() => number}
 */
function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
}
