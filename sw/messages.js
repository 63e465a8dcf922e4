// Messages between pages and worker. A page sends {tidegate: 1, id, until, request, readings}; the worker answers {tidegate: 1, id, value} or
// {tidegate: 1, id, error}, and tells every page {tidegate: 1, type, detail}. Whatever has another shape is not ours and is left alone.
import { TidegateError } from './errors.js';

/** @import { Request } from './calls.js' */
/** @import { ReadingsIn } from '../wasm/protocol.js' */

const kMaxCommands = 100;
const kEventTypes = ['message', 'page', 'accept', 'manual', 'start', 'online', 'timer'];
const kReadings = {
  online: 'boolean', saveData: 'boolean', metered: 'boolean', charging: 'boolean', idle: 'boolean', foreground: 'boolean', connectionType: 'string',
  pressure: 'string', effectiveType: 'string', downlink: 'number', rtt: 'number', batteryLevel: 'number', atMs: 'number', utcOffsetMinutes: 'number',
};

/**
 * A page's request, reduced to what a page may say; null when the message is not ours or has a wrong shape.
 * A page cannot set a deadline or claim a browser's event: those are the worker's to know.
 * @param {any} data
 * @returns {{id: number, until: 'answers' | 'end', request: Request, readings: ReadingsIn} | null}
 */
export function readRequest(data) {
  if (!isObject(data) || data.tidegate !== 1 || !Number.isSafeInteger(data.id) || !isObject(data.request)) return null;
  const { event, commands = [] } = data.request;
  if (event !== undefined && !(isObject(event) && kEventTypes.includes(event.type))) return null;
  if (!Array.isArray(commands) || commands.length > kMaxCommands) return null;
  if (!commands.every((command) => isObject(command) && typeof command.type === 'string')) return null;
  const trigger = typeof event?.trigger === 'string' ? event.trigger.slice(0, 32) : '';
  return {
    id: data.id, until: data.until === 'end' ? 'end' : 'answers', request: event ? { event: { type: event.type, trigger }, commands } : { commands },
    readings: readReadings(data.readings),
  };
}

/** The readings of the right type; the rest is unknown. @param {any} readings @returns {ReadingsIn} */
function readReadings(readings) {
  if (!isObject(readings)) return {};
  return Object.fromEntries(Object.entries(kReadings).flatMap(([name, type]) => {
    const value = Object.hasOwn(readings, name) ? readings[name] : undefined;
    return typeof value === type && (type !== 'number' || Number.isFinite(value)) && (type !== 'string' || value.length <= 32) ? [[name, value]] : [];
  }));
}

/** @param {any} value @returns {value is Record<string, any>} */
const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);

/** An error as a message can carry it. @param {any} error */
export const packError = (error) => ({ code: error?.code ?? 'internal', path: error?.path ?? '', message: String(error?.message ?? error) });

/** @param {{code: string, path: string, message: string}} packed */
export const unpackError = ({ code, path, message }) => new TidegateError(code, path, message);

/** Whether a push message says {"tidegate": "hint"}. @param {any} data */
export function isHint(data) {
  try {
    return data.json().tidegate === 'hint';
  } catch {
    return false;
  }
}

/** A token bucket: whether one more may pass now. @param {{perSecond: number, burst: number}} rate @param {import('./clock.js').Clock} clock */
export function bucket({ perSecond, burst }, clock) {
  let tokens = burst, atMs = clock.now();
  return () => {
    const nowMs = clock.now();
    tokens = Math.min(burst, tokens + (Math.max(0, nowMs - atMs) * perSecond) / 1000);
    atMs = nowMs;
    if (tokens < 1) return false;
    tokens -= 1;
    return true;
  };
}
