// The client's own process: the app and its outbox, in one process that may be killed at any instruction.
//
// It saves the versions it is told to save, each noted in the acceptance log, drains, and writes down what a person could see
// of the outbox at the end. Started again on the same files after a kill, it goes on where the log ends. It talks to the
// runner (client-process.mjs) over IPC:
//
//     → {saving:n}             a save is about to begin
//     → {phase:"saved"}        everything before the first contact is saved; it waits for "go"
//     ← "go"
//     → {phase:"drained", left}  the outbox holds `left` unfinished ops; the dump is written; the process ends
//     → {error:sentence, refused}   refused: save() rejected a version, which its input is to blame for

import { createReadStream, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';

import { openClient } from '../sw/node.js';
import { random } from '../sw/random.js';
import { openAcceptanceLog } from './acceptance-log.mjs';

/**
 * @typedef {object} ChildConfig
 * @property {string} database       the outbox
 * @property {string} endpoint
 * @property {string} versions       the versions to save, one a line: {n, entity, entityId, action, sha256, doc, priority?, first, place}
 * @property {string} acceptanceLog
 * @property {string} dump
 * @property {'offline' | 'versions'} mode
 * @property {Record<string, unknown>} settings
 * @property {number} syncEvery      mode versions, after the first contact: drain beside saving after so many saves; 0: only when all are saved
 * @property {number} deadlineMs     a drain that takes longer is given up, and what is left is reported
 * @property {boolean} ackBeforeCommit  the planted bug
 */

/** How long a save of the planted bug dawdles between acknowledging and committing. */
const PLANTED_DELAY_MS = 25;
const PAGE = 1000;
/** Ops in these states rest until a person decides; a drain does not wait for them. */
const PARKED = new Set(['dead', 'quarantined']);

/** @typedef {import('../sw/index.d.ts').Client} Client */
/** @typedef {import('./acceptance-log.mjs').About & {doc: string, priority?: any, first: boolean, place: string}} Version */

/** save() rejected: an input it does not take, told with its place. */
class Refused extends Error {}

const tell = (/** @type {object} */ message) => process.send?.(message);
const said = (/** @type {string} */ word) => new Promise((resolve) => {
  process.on('message', (message) => { if (message === word) resolve(undefined); });
});

/** @param {ChildConfig} config */
async function main(config) {
  const log = openAcceptanceLog(config.acceptanceLog);
  const client = await openClient({ path: config.database, endpoint: config.endpoint, autoSync: false, maxOpBytes: 16 * 2 ** 20 });
  // Settings are kept in the outbox. Changing them starts a drain, which takes what is saved meanwhile: so it is done before the
  // first save, and the drain (of nothing) waited for.
  if (log.accepted.size === 0 && (await client.ops({ limit: 1 })).length === 0) {
    await client.settings(config.settings);
    await client.sync();
  }

  const app = { config, log, client };
  if (config.mode === 'versions') {
    await saveAll(app, (version) => version.first);
    await announceSaved();
    await drain(app);
    await saveAll(app, () => true, config.syncEvery);
  } else {
    await saveAll(app, () => true);
    await announceSaved();
  }
  const left = await drain(app);
  writeFileSync(config.dump, (await dump(client)).map((line) => `${JSON.stringify(line)}\n`).join(''));
  await client.close();
  log.close();
  tell({ phase: 'drained', left });
}

async function announceSaved() {
  const go = said('go');
  tell({ phase: 'saved' });
  await go;
}

/** @typedef {{config: ChildConfig, log: ReturnType<typeof openAcceptanceLog>, client: Client}} App */

/**
 * Saves the wanted versions that are not accepted yet, in order.
 * @param {App} app @param {(version: Version) => boolean} wanted @param {number} [syncEvery] drain beside it after so many saves
 */
async function saveAll({ config, log, client }, wanted, syncEvery = 0) {
  let saved = 0;
  for await (const line of createInterface({ input: createReadStream(config.versions), crlfDelay: Infinity })) {
    const version = /** @type {Version} */ (JSON.parse(line));
    if (!wanted(version) || log.accepted.has(version.n)) continue;
    await saveOne(config, log, client, version);
    saved += 1;
    if (syncEvery > 0 && saved % syncEvery === 0) client.sync().catch(() => {}); // The drain at the end hears of it again.
  }
}

/** @param {ChildConfig} config @param {App['log']} log @param {Client} client @param {Version} version */
async function saveOne(config, log, client, { doc, priority, first, place, ...about }) {
  tell({ saving: about.n });
  log.saving(about);
  if (config.ackBeforeCommit) plantEarlyAck(log, about);
  // The document goes in as the bytes it was written with, so that its numbers stay what they are.
  const saved = await client
    .save(about.entity, about.entityId, new TextEncoder().encode(doc), { priority, contentType: 'application/json' })
    .catch((error) => { throw new Refused(`${place}: the client did not accept this version: ${error.message}`); });
  if (!config.ackBeforeCommit) log.acceptedAs(about, saved.id);
}

/**
 * The planted bug: the save is noted as accepted the moment its op has an id, long before its transaction is on the disk.
 * @param {App['log']} log @param {import('./acceptance-log.mjs').About} about
 */
function plantEarlyAck(log, about) {
  const { uuid } = random;
  random.uuid = (nowMs) => {
    random.uuid = uuid;
    const id = uuid(nowMs);
    log.acceptedAs(about, id);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PLANTED_DELAY_MS);
    return id;
  };
}

/** Drains until nothing waits, or the deadline. Returns how many ops are unfinished. @param {App} app */
async function drain({ config, client }) {
  const giveUpAtMs = Date.now() + config.deadlineMs;
  for (;;) {
    const end = await client.sync().catch((error) => ({ error, wakeAtMs: null }));
    const left = (await unfinished(client)).length;
    const nowMs = Date.now();
    if (left === 0 || nowMs > giveUpAtMs) return left;
    await wait(Math.min(Math.max((end.wakeAtMs ?? nowMs) - nowMs, 1), giveUpAtMs - nowMs + 1));
  }
}

/** @param {Client} client */
async function unfinished(client) {
  return (await allOps(client)).filter((op) => !PARKED.has(op.state));
}

/** @param {Client} client */
async function allOps(client) {
  const ops = [];
  for (let after = 0; ;) {
    const page = await client.ops({ limit: PAGE, after });
    ops.push(...page);
    if (page.length < PAGE) return ops;
    after = page[page.length - 1].seq;
  }
}

/** What a person can see of the outbox: its ops, and the records of those that left it. @param {Client} client */
async function dump(client) {
  const lines = (await allOps(client)).map((op) => /** @type {object} */ ({ op }));
  for (let after; ;) {
    /** @type {{key: string, value: any}[]} */
    const page = await client.history({ limit: PAGE, after });
    lines.push(...page.map(({ key, value }) => ({ record: value, key })));
    if (page.length < PAGE) return lines;
    after = page[page.length - 1].key;
  }
}

const runnerGone = () => process.exit(1);
process.on('disconnect', runnerGone);
main(JSON.parse(process.argv[2]))
  .catch((error) => {
    tell({ error: error instanceof Refused ? error.message : error?.stack ?? String(error), refused: error instanceof Refused });
    process.exitCode = 1;
  })
  .finally(() => {
    process.off('disconnect', runnerGone);
    process.disconnect?.(); // Closes the channel after what was sent; then nothing keeps the process.
  });
