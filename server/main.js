#!/usr/bin/env node
/**
 * The server as a command; docs/server.md describes its options. It prints one line, its URL, when it takes requests, and stops on SIGTERM, on SIGINT, or when
 * the process that started it with an IPC channel is gone. Over that channel it answers {type:'stats'} with {type:'stats', stats}, and takes
 * {type:'faults', next: [name or null…]}: each of the next requests suffers the fault at its place (faults.js).
 */
import { parseArgs } from 'node:util';
import { createServer, openSqliteStore } from './index.js';

const USAGE = `node server/main.js --db FILE [--port N] [--host ADDRESS] [--static DIR]… [--limits JSON] [--assign-ids TYPE]… [--rate-limit JSON]
                    [--faults JSON] [--seed N] [--plant no-dedupe]`;
/** Exit code for a command line that cannot be understood. */
const EXIT_USAGE = 2;

/**
 * @param {string[]} args
 * @returns {Omit<import('./index.js').ServerOptions, 'store'> & {db: string}}
 */
function readOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      db: { type: 'string' },
      port: { type: 'string', default: '8787' },
      host: { type: 'string', default: '127.0.0.1' },
      static: { type: 'string', multiple: true, default: [] },
      limits: { type: 'string', default: '{}' },
      'assign-ids': { type: 'string', multiple: true, default: [] },
      'rate-limit': { type: 'string' },
      faults: { type: 'string', default: '{}' },
      seed: { type: 'string', default: '0' },
      plant: { type: 'string' },
    },
  });
  if (values.db === undefined) throw new TypeError('--db FILE is missing');
  return {
    db: values.db,
    host: values.host,
    port: integer('--port', values.port, 65535),
    staticDirs: values.static,
    limits: json('--limits', values.limits),
    assignIds: values['assign-ids'],
    rateLimit: values['rate-limit'] === undefined ? undefined : json('--rate-limit', values['rate-limit']),
    faults: json('--faults', values.faults),
    seed: integer('--seed', values.seed, 2 ** 32 - 1),
    plant: values.plant,
  };
}

/**
 * @param {string} name
 * @param {string} text
 * @param {number} max
 */
function integer(name, text, max) {
  if (/^[0-9]{1,10}$/.test(text) && Number(text) <= max) return Number(text);
  throw new TypeError(`${name} must be an integer from 0 to ${max}, got ${JSON.stringify(text)}`);
}

/**
 * @param {string} name
 * @param {string} text
 */
function json(name, text) {
  try {
    const value = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Told below, together with JSON that is no object.
  }
  throw new TypeError(`${name} must be a JSON object, got ${JSON.stringify(text)}`);
}

/** @param {string[]} args */
async function main(args) {
  const { db, ...options } = readOptions(args);
  const store = await openSqliteStore({ file: db });
  const log = (/** @type {string} */ message, /** @type {unknown} */ error) => console.error(`tidegate-server: ${message}`, error);
  const server = await createServer({ ...options, store, log }).catch(async (error) => {
    await store.close();
    throw error;
  });

  const stop = async () => {
    await server.close();
    if (process.connected) process.disconnect();
  };
  process.once('SIGTERM', stop).once('SIGINT', stop).once('disconnect', stop);
  process.on('message', (message) => {
    const { type, next } = /** @type {{type?: string, next?: any}} */ (message ?? {});
    if (type === 'stats') process.send?.({ type: 'stats', stats: server.stats() });
    if (type === 'faults') server.demandFaults(next);
  });
  console.log(server.url);
}

main(process.argv.slice(2)).catch((error) => {
  console.error(`tidegate-server: ${error.message}`);
  if (error instanceof TypeError) console.error(`usage: ${USAGE}`);
  process.exitCode = error instanceof TypeError ? EXIT_USAGE : 1;
  if (process.connected) process.disconnect();
});
