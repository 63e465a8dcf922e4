// A real server on loopback with a real SQLite file, and the few requests its tests are made of.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import { createServer, openSqliteStore } from '../../server/index.js';

/** A directory that is removed when the test ends. @param {import('node:test').TestContext} t */
export function temporaryDirectory(t) {
  const directory = mkdtempSync(join(tmpdir(), 'tidegate-server-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Rows of a database some server may have open. @param {string} file @param {string} sql @returns {any[]} */
export function rowsOf(file, sql) {
  const db = new Database(file);
  try {
    return db.prepare(sql).all();
  } finally {
    db.close();
  }
}

/**
 * @param {import('node:test').TestContext} t
 * @param {Partial<import('../../server/index.js').ServerOptions> & {wrap?: (store: any) => any}} [options]  wrap: puts something before the store
 */
export async function startServer(t, { wrap = (store) => store, ...options } = {}) {
  const file = join(temporaryDirectory(t), 'server.db');
  const server = await createServer({ limits: { closeGraceMs: 50 }, ...options, store: wrap(await openSqliteStore({ file })) });
  t.after(() => server.close());
  return { server, file, ...client(server.url) };
}

/** @param {string} url */
export function client(url) {
  const api = `${url}/api/v1`;
  const send = async (/** @type {string} */ method, /** @type {string} */ path, /** @type {any} */ { body, ...headers } = {}) => {
    const response = await fetch(`${api}${path}`, { method, headers, body });
    const bytes = Buffer.from(await response.arrayBuffer());
    const type = response.headers.get('content-type') ?? '';
    return {
      status: response.status, headers: response.headers, etag: response.headers.get('etag'), bytes, text: bytes.toString(),
      problem: type === 'application/problem+json' ? JSON.parse(bytes.toString()) : null,
    };
  };
  let keys = 0;
  const write = (/** @type {string} */ method) => (/** @type {string} */ path, /** @type {any} */ { key = `auto-${keys += 1}`, ...rest } = {}) =>
    send(method, `/entities/${path}`, { 'idempotency-key': `"${key}"`, ...rest });
  const put = write('PUT');
  return {
    url, api, send,
    get: (/** @type {string} */ path, /** @type {any} */ headers = {}) => send('GET', `/entities/${path}`, headers),
    put, patch: write('PATCH'), remove: write('DELETE'),
    /** Creates an entity and gives its ETag. @param {string} path @param {string} body */
    create: async (path, body = '{}') => {
      const { status, etag, text } = await put(path, { 'if-none-match': '*', 'content-type': 'application/json', body });
      if (status !== 201) throw new Error(`${status} ${text}`);
      return /** @type {string} */ (etag);
    },
    /** Sends lines (objects or texts) after the head and reads the answer. @param {(object|string)[]|null} lines @param {object} [headers] */
    batch: async (lines, headers = {}) => {
      const answer = await send('POST', '/batch', { 'content-type': 'application/x-ndjson', body: frame(lines ?? []), ...headers });
      return { ...answer, ...(answer.status === 200 ? readAnswer(answer.text) : { head: null, results: [] }) };
    },
    changes: async (/** @type {string} */ query = '') => {
      const answer = await send('GET', `/changes${query}`);
      if (answer.status !== 200) return { ...answer, changes: [], last: null };
      const { records } = readLines(answer.text);
      return { ...answer, changes: records.slice(0, -1), last: records.at(-1) };
    },
  };
}

/** @param {(object|string)[]} lines */
export const frame = (lines) => [{ protocol: 1 }, ...lines].map((line) => `${typeof line === 'string' ? line : JSON.stringify(line)}\n`).join('');

/** @param {string} text */
function readAnswer(text) {
  const { records: [head, ...results] } = readLines(text);
  return { head, results };
}

/** Records, each with the text of its body line in `body`. @param {string} text */
function readLines(text) {
  const lines = text.split('\n');
  if (lines.pop() !== '') throw new Error('the answer does not end with a line end');
  const records = [];
  for (let at = 0; at < lines.length; at += 1) {
    const record = JSON.parse(lines[at]);
    if (record.body === true) record.body = lines[at += 1];
    records.push(record);
  }
  return { records };
}
