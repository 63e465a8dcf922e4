/**
 * A token bucket per client address: `burst` requests at once, `perSecond` in the long run. Answers 429 with Retry-After, and tells where a client stands by the
 * RateLimit and RateLimit-Policy headers (draft-ietf-httpapi-ratelimit-headers).
 */
import { Refusal } from './problem.js';

/** Addresses remembered. The one that has been quiet longest is forgotten first; its bucket is the fullest there is. */
const MAX_ADDRESSES = 10_000;

/**
 * Throws a TypeError naming the setting and its value.
 * @param {{perSecond: number, burst: number}} rate
 * @param {() => number} clock
 * @returns {(request: import('fastify').FastifyRequest, reply: import('fastify').FastifyReply) => Promise<void>} an onRequest hook
 */
export function createRateLimit({ perSecond, burst }, clock) {
  if (!(Number.isFinite(perSecond) && perSecond > 0)) throw new TypeError(`rateLimit.perSecond must be above 0, got ${JSON.stringify(perSecond)}`);
  if (!(Number.isSafeInteger(burst) && burst >= 1)) throw new TypeError(`rateLimit.burst must be an integer from 1, got ${JSON.stringify(burst)}`);
  /** @type {Map<string, {tokens: number, atMs: number}>} in order of last use */
  const buckets = new Map();

  return async function rateLimit(request, reply) {
    const nowMs = clock();
    const bucket = buckets.get(request.ip) ?? { tokens: burst, atMs: nowMs };
    // A clock set back gives nothing and takes nothing.
    bucket.tokens = Math.min(burst, bucket.tokens + Math.max(0, nowMs - bucket.atMs) / 1000 * perSecond);
    bucket.atMs = nowMs;
    buckets.delete(request.ip);
    buckets.set(request.ip, bucket);
    if (buckets.size > MAX_ADDRESSES) buckets.delete(/** @type {string} */ (buckets.keys().next().value));

    const granted = bucket.tokens >= 1;
    if (granted) bucket.tokens -= 1;
    const secondsToNext = Math.max(0, Math.ceil((1 - bucket.tokens) / perSecond));
    reply.header('RateLimit-Policy', `"default";q=${burst};w=${Math.ceil(burst / perSecond)}`);
    reply.header('RateLimit', `"default";r=${Math.floor(bucket.tokens)};t=${secondsToNext}`);
    if (granted) return;
    reply.header('Retry-After', String(Math.max(1, secondsToNext)));
    throw new Refusal('rate-limited', `more than ${perSecond} requests per second`);
  };
}
