// Input of the headless runner: JSON Lines, plain or gzip, one saved version per line, oldest first.
//
//     {"type":"ASSESSMENT","id":"a1","doc":{…},"priority":"high"}      an entity by type and id
//     {"doc":{…}}                                                      the file's name is the entity: DOCUMENT/<name>
//
// Other members are ignored, blank lines are skipped, `priority` is read in either letter case. The document is passed on as
// the text it was written with, never as parsed values (json-text.mjs says why). Files are streamed: memory holds one line.
//
// Whatever is wrong with a file is an InputError naming the file and the line.
//
// tests/js/headless-input.test.js

import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { createGunzip } from 'node:zlib';

import { memberTexts } from './json-text.mjs';

/** Longest line read. The largest op body is 16 MiB (DESIGN), its line a little more. */
export const MAX_LINE_BYTES = 17 * 1024 * 1024;

/** Entity type of a file whose lines name none. */
export const DEFAULT_ENTITY = 'DOCUMENT';

const PRIORITIES = ['critical', 'high', 'normal', 'low'];
const ENTITY = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/;
const ENTITY_ID = /^[^\u0000-\u001f\u007f/]{1,128}$/u;

/**
 * @typedef {object} Version  one accepted version to be
 * @property {string} entity
 * @property {string} entityId
 * @property {string} doc        the document's JSON text, as written
 * @property {string} [priority]
 * @property {string} place      file:line, for messages
 */

/** A file that cannot be read as versions. `line` is 0 when the file as a whole is meant. */
export class InputError extends Error {
  /** @param {string} file @param {number} line @param {string} what */
  constructor(file, line, what) {
    super(line > 0 ? `${file}:${line}: ${what}` : `${file}: ${what}`);
    this.name = 'InputError';
    this.file = file;
    this.line = line;
  }
}

/**
 * All versions of all files, in order; with `ops`, exactly so many: the input is cut, or read again with fresh entity ids
 * (`id~2`, `id~3` …), which makes a larger fleet of the same shape.
 * @param {string[]} files
 * @param {{ops?: number}} [options]
 * @returns {AsyncGenerator<Version>}
 */
export async function* readVersions(files, { ops } = {}) {
  let left = ops ?? Infinity;
  for (let round = 1; left > 0; round += 1) {
    for (const file of files) {
      for await (const version of readFile(file)) {
        yield round === 1 ? version : { ...version, entityId: nthId(version.entityId, round) };
        left -= 1;
        if (left === 0) return;
      }
    }
    if (ops === undefined) return;
  }
}

/** @param {string} id @param {number} round */
function nthId(id, round) {
  const suffix = `~${round}`;
  return id.slice(0, 128 - suffix.length) + suffix;
}

/** @param {string} file @returns {AsyncGenerator<Version>} */
async function* readFile(file) {
  let number = 0;
  let versions = 0;
  const fallback = { entity: DEFAULT_ENTITY, entityId: basename(file).replace(/\.gz$/i, '').replace(/\.jsonl$/i, '') };
  for await (const bytes of lines(file)) {
    number += 1;
    const text = decode(bytes, file, number);
    if (text.trim() === '') continue;
    versions += 1;
    yield toVersion(text, fallback, file, number);
  }
  if (versions === 0) throw new InputError(file, 0, 'the file is empty: expected JSON Lines, one version of a document per line');
}

/** @param {Buffer} bytes @param {string} file @param {number} number */
function decode(bytes, file, number) {
  if (bytes.includes(0)) throw new InputError(file, number, 'a NUL byte: this is a binary file, expected JSON Lines in UTF-8');
  try {
    // The decoder drops a byte order mark; only the first line of a file may carry one.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: number > 1 }).decode(bytes);
  } catch {
    throw new InputError(file, number, 'bytes that are not UTF-8: this is a binary file or another encoding, expected JSON Lines in UTF-8');
  }
}

/** @param {string} text @param {{entity: string, entityId: string}} fallback @param {string} file @param {number} number @returns {Version} */
function toVersion(text, fallback, file, number) {
  /** @param {string} what @returns {never} */
  const fail = (what) => { throw new InputError(file, number, what); };
  let members;
  try {
    members = memberTexts(text);
  } catch (error) {
    fail(`not a JSON object: ${/** @type {Error} */ (error).message}`);
  }
  /** @param {string} name */
  const stringMember = (name) => {
    const written = members.get(name);
    if (written === undefined) return undefined;
    const value = JSON.parse(written);
    if (typeof value !== 'string') fail(`"${name}" is ${clip(written)}, expected a string`);
    return value;
  };
  const doc = members.get('doc') ?? fail('"doc" is missing, expected {"type","id","doc","priority"?} or {"doc"}');
  const entity = stringMember('type');
  const entityId = stringMember('id');
  if ((entity === undefined) !== (entityId === undefined)) {
    fail(`"${entity === undefined ? 'type' : 'id'}" is missing, expected "type" and "id" together or neither`);
  }
  if (entity !== undefined && !ENTITY.test(entity)) {
    fail(`"type" is ${clip(JSON.stringify(entity))}, expected a letter, then up to 63 letters, digits, "_", "." or "-"`);
  }
  if (entityId !== undefined && !ENTITY_ID.test(entityId)) {
    fail(`"id" is ${clip(JSON.stringify(entityId))}, expected 1 to 128 characters without control characters and "/"`);
  }
  const priority = stringMember('priority')?.toLowerCase();
  if (priority !== undefined && !PRIORITIES.includes(priority)) {
    fail(`"priority" is ${clip(JSON.stringify(priority))}, expected one of ${PRIORITIES.join(', ')}`);
  }
  return {
    entity: entity ?? fallback.entity,
    entityId: entityId ?? fallback.entityId,
    doc,
    place: `${file}:${number}`,
    ...(priority === undefined ? {} : { priority }),
  };
}

/** @param {string} text */
function clip(text) {
  return text.length <= 60 ? text : `${text.slice(0, 57)}…`;
}

/**
 * The lines of a file as bytes, without their line end (LF or CRLF). The last one needs none.
 * @param {string} file
 * @returns {AsyncGenerator<Buffer>}
 */
async function* lines(file) {
  /** @type {Buffer[]} */
  let parts = [];
  let held = 0;
  let number = 1;
  const take = () => {
    const line = Buffer.concat(parts);
    parts = [];
    held = 0;
    number += 1;
    return line.at(-1) === 0x0d ? line.subarray(0, -1) : line;
  };
  try {
    for await (const chunk of content(file)) {
      let start = 0;
      for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, start)) {
        parts.push(chunk.subarray(start, end));
        start = end + 1;
        yield take();
      }
      parts.push(chunk.subarray(start));
      held += chunk.length - start;
      if (held > MAX_LINE_BYTES) throw new InputError(file, number, `the line is longer than ${MAX_LINE_BYTES} bytes, expected JSON Lines`);
    }
  } catch (error) {
    throw error instanceof InputError ? error : readFailure(file, number, /** @type {NodeJS.ErrnoException} */ (error));
  }
  if (held > 0) yield take();
}

/** @param {string} file @param {number} line @param {NodeJS.ErrnoException} error */
function readFailure(file, line, error) {
  switch (error.code) {
    case 'ENOENT': return new InputError(file, 0, 'no such file');
    case 'EACCES': return new InputError(file, 0, 'no permission to read it');
    case 'Z_BUF_ERROR': return new InputError(file, line, 'the gzip data ends early: the file is cut off');
    case 'Z_DATA_ERROR': return new InputError(file, line, `the gzip data is damaged (${error.message})`);
    default: return new InputError(file, line, error.message);
  }
}

/**
 * The bytes of a file, decompressed when they are gzip (by their first two bytes, whatever the name says).
 * @param {string} file
 * @returns {AsyncGenerator<Buffer>}
 */
async function* content(file) {
  const about = await stat(file);
  if (about.isDirectory()) throw new InputError(file, 0, 'a directory, expected a file');
  const raw = createReadStream(file);
  try {
    const { head, gzip } = await peek(raw);
    if (gzip) {
      yield* gunzipped(file, head, raw);
      return;
    }
    if (head.length > 0 && /\.gz$/i.test(file)) throw new InputError(file, 0, 'named .gz, but the content is not gzip');
    yield head;
    yield* raw.iterator({ destroyOnReturn: false });
  } finally {
    raw.destroy();
  }
}

/** The first two bytes or more of a stream. @param {import('node:stream').Readable} raw */
async function peek(raw) {
  let head = Buffer.alloc(0);
  for await (const chunk of raw.iterator({ destroyOnReturn: false })) {
    head = Buffer.concat([head, chunk]);
    if (head.length >= 2) break;
  }
  return { head, gzip: head[0] === 0x1f && head[1] === 0x8b };
}

/**
 * @param {string} file
 * @param {Buffer} head what was read of `raw` already
 * @param {import('node:stream').Readable} raw
 * @returns {AsyncGenerator<Buffer>}
 */
async function* gunzipped(file, head, raw) {
  const gunzip = createGunzip();
  raw.on('error', (error) => gunzip.destroy(error));
  gunzip.write(head);
  raw.pipe(gunzip);
  let read = head.length;
  raw.on('data', (chunk) => { read += chunk.length; });
  yield* gunzip;
  if (gunzip.bytesWritten < read) {
    throw new InputError(file, 0, `${read - gunzip.bytesWritten} bytes after the end of the gzip data`);
  }
}
