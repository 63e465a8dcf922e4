// The command line of the headless runner. docs/headless.md is the long form.

import { fileURLToPath } from 'node:url';

export const MODES = ['offline', 'versions'];
export const FAULTS = ['reset', '500', 'kill', 'offline'];
export const PLANTS = ['no-dedupe', 'ack-before-commit'];

/** More ops than this is a load test, not a check: DESIGN's ceiling for one device. */
export const MAX_OPS = 100_000;

const SAMPLE = fileURLToPath(new URL('./sample/field-assessments.jsonl', import.meta.url));

export const USAGE = `npm start -- --headless [options]
  --input FILE…        versions to save, JSON Lines, optionally .gz (default: a small sample)
  --mode offline       all versions are saved before the first contact (default)
  --mode versions      every version becomes its own operation and its own effect on the server
  --ops N              exactly N versions: the input cut, or repeated with fresh ids
  --faults LIST        any of ${FAULTS.join(',')}
  --seed N             draws the faults (default 1)
  --json FILE          writes the last line, the result, to FILE as well
  --keep DIR           keeps the databases and logs of the run in DIR, which must be empty or new
  --plant BUG          breaks something on purpose: ${PLANTS.join(', ')}`;

/** A command line that cannot be understood. */
export class UsageError extends Error {}

/**
 * @typedef {object} Options
 * @property {string[]} inputs
 * @property {'offline' | 'versions'} mode
 * @property {number} [ops]
 * @property {Set<string>} faults
 * @property {number} seed
 * @property {string} [json]
 * @property {string} [keep]
 * @property {string} [plant]
 */

/**
 * @param {string[]} args
 * @returns {Options}
 */
export function parseOptions(args) {
  /** @type {Options} */
  const options = { inputs: [], mode: 'offline', faults: new Set(), seed: 1 };
  const seen = new Set();
  for (let at = 0; at < args.length; at += 1) {
    const [name, inline] = splitOption(args[at]);
    const value = () => {
      const given = inline ?? args[(at += 1)];
      if (given === undefined || (inline === undefined && given.startsWith('--'))) throw new UsageError(`${name} needs a value`);
      return given;
    };
    if (name !== '--input' && name !== '--faults') {
      if (seen.has(name)) throw new UsageError(`${name} is given twice`);
      seen.add(name);
    }
    switch (name) {
      case '--headless': break;
      case '--input':
        options.inputs.push(value());
        while (inline === undefined && at + 1 < args.length && !args[at + 1].startsWith('--')) options.inputs.push(args[(at += 1)]);
        break;
      case '--mode': options.mode = /** @type {Options['mode']} */ (oneOf(name, value(), MODES)); break;
      case '--ops': options.ops = integer(name, value(), 1, MAX_OPS); break;
      case '--faults': for (const fault of value().split(',')) options.faults.add(oneOf(name, fault.trim(), FAULTS)); break;
      case '--seed': options.seed = integer(name, value(), 0, 2 ** 32 - 1); break;
      case '--json': options.json = value(); break;
      case '--keep': options.keep = value(); break;
      case '--plant': options.plant = oneOf(name, value(), PLANTS); break;
      default: throw new UsageError(`${name} is not an option`);
    }
  }
  if (options.inputs.length === 0) options.inputs.push(SAMPLE);
  return options;
}

/** @param {string} argument @returns {[string, string | undefined]} */
function splitOption(argument) {
  const equals = argument.indexOf('=');
  return argument.startsWith('--') && equals > 0 ? [argument.slice(0, equals), argument.slice(equals + 1)] : [argument, undefined];
}

/** @param {string} name @param {string} value @param {string[]} allowed */
function oneOf(name, value, allowed) {
  if (!allowed.includes(value)) throw new UsageError(`${name} is ${JSON.stringify(value)}, expected one of ${allowed.join(', ')}`);
  return value;
}

/** @param {string} name @param {string} value @param {number} low @param {number} high */
function integer(name, value, low, high) {
  const number = Number(value);
  if (!/^[0-9]+$/.test(value) || number < low || number > high) {
    throw new UsageError(`${name} is ${JSON.stringify(value)}, expected an integer from ${low} to ${high}`);
  }
  return number;
}
