// The management paths that the worker answers in place of the server: GET status, POST start, pause, resume, GET or PUT settings, GET metrics, POST connectivity-test.
// They are for code of the app's own origin: a navigation (which a foreign page may cause, a form included) is never answered here.

import { TidegateError } from './errors.js';
import { kNoCore } from './platform.js';

/** @import { Ask } from './calls.js' */
/** @import { Reach } from './transport.js' */

const kPath = /^sync\/(?:background\/(.*)|(connectivity-test)$)/;
const kMaxSettingsChars = 65_536;
const kBadRequest = 'urn:tidegate:bad-request';
const kNotJson = 'not-json';
const kStatus = 'status';
const kTest = 'connectivity-test';

/** What may be done with each. @type {Record<string, string[]>} */
const kMethods = { [kStatus]: ['GET'], start: ['POST'], pause: ['POST'], resume: ['POST'], settings: ['GET', 'PUT'], metrics: ['GET'], [kTest]: ['POST'] };

/**
 * What is asked of the core: the command of that name, but for these. Where the server answered, the core hears what it hears of a browser that is online again.
 * @param {string} name @param {any} value @param {{reachable: boolean} | undefined} reached
 */
function askingOf(name, value, reached) {
  if (name === 'start') return { event: { type: /** @type {const} */ ('manual'), trigger: 'manual' }, commands: [{ type: 'flush' }] };
  if (reached) return { ...(reached.reachable && { event: { type: /** @type {const} */ ('online'), trigger: 'connectivity' } }), commands: [{ type: kStatus }] };
  return { commands: [{ type: name, value }] };
}

/** The name of the management call a request is for, or null. @param {Request} request @param {URL} endpoint */
export function managementCall(request, endpoint) {
  const url = new URL(request.url);
  const root = endpoint.pathname.replace(/\/?$/, '/');
  if (url.origin !== endpoint.origin || !url.pathname.startsWith(root) || request.mode === 'navigate') return null;
  const found = kPath.exec(url.pathname.slice(root.length));
  return found && (found[1] ?? found[2]);
}

/**
 * @param {string} name @param {Request} request @param {Ask} ask @param {Reach} reach
 * @param {(reason?: string) => any} realm  what a status says besides what the core says, or where it could not be loaded @returns {Promise<Response>}
 */
export async function answerManagement(name, request, ask, reach, realm) {
  const methods = Object.hasOwn(kMethods, name) && kMethods[name];
  if (!methods) return problem(404, 'urn:tidegate:not-found', `no such management call: ${name.slice(0, 40)}`);
  if (!methods.includes(request.method)) return problem(405, kBadRequest, `${name}: expected ${methods.join(' or ')}, got ${request.method}`, { allow: methods.join(', ') });
  try {
    const reached = name === kTest ? await reach() : undefined;
    const [answer] = await ask(askingOf(name, request.method === 'PUT' ? await readJson(request) : undefined, reached), 'answers');
    if (answer?.error) return problem(400, kBadRequest, answer.error.message, {}, answer.error.path);
    const value = answer?.value ?? { ok: true };
    return json(200, 'application/json', reached ? { ...value.connectivity, ...reached } : name === kStatus ? { ...value, ...(await realm()) } : value);
  } catch (error) {
    const { code = '', message } = /** @type {any} */ (error);
    if (name === kStatus && code === kNoCore) return json(200, 'application/json', await realm(message));
    return code === kNotJson ? problem(400, kBadRequest, message) : problem(500, 'urn:tidegate:internal', message);
  }
}

/** @param {Request} request */
async function readJson(request) {
  const text = await request.text();
  if (text.length > kMaxSettingsChars)
    throw new TidegateError(kNotJson, '', `settings: expected at most ${kMaxSettingsChars} characters, got ${text.length}`);
  try {
    return JSON.parse(text);
  } catch {
    throw new TidegateError(kNotJson, '', 'settings: expected a JSON object');
  }
}

/** @param {number} status @param {string} type @param {any} body @param {Record<string, string>} [headers] */
const json = (status, type, body, headers = {}) =>
  new Response(JSON.stringify(body), { status, headers: { 'content-type': type, 'cache-control': 'no-store', ...headers } });

/** RFC 9457. @param {number} status @param {string} type @param {string} detail @param {Record<string, string>} [headers] @param {string} [field] */
const problem = (status, type, detail, headers, field) =>
  json(status, 'application/problem+json', { type, title: type.slice('urn:tidegate:'.length), status, detail, ...(field && { field }) }, headers);
