// One run: versions in, client and server processes, faults, and what the independent checker says about it.

import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';

import { Chaos, LATENCY_MS, MIN_KILLS, serverFaultRates } from './chaos.mjs';
import { check, documentHash, readAcceptanceLog, readClient, readServer } from './checker.mjs';
import { ClientProcess } from './client-process.mjs';
import { readVersions } from './input.mjs';
import { Link } from './link.mjs';
import { sendNaively } from './naive.mjs';
import { UsageError } from './options.mjs';
import { createRandom } from './random.mjs';
import { ServerProcess } from './server-process.mjs';

/** A drain without faults ends in seconds; one that takes this long is told as not converged. */
const DRAIN_DEADLINE_MS = 120_000;
/** A client that neither ends nor fails by then hangs, which is a finding of its own. */
const HANG_MS = DRAIN_DEADLINE_MS + 60_000;
/** While faults are asked, batches are small so that there are requests to hit, and waits are short so that a run takes seconds. */
const FAULT_SETTINGS = { maxBatchOps: 4, baseDelay: 20, maxDelay: 400 };
/** How many ops may be saved beside a running drain, in mode versions with faults. */
const SYNC_EVERY = 15;

/**
 * @typedef {object} Result  the last line; its names are the issue's
 * @property {string} mode
 * @property {number} ops           versions accepted
 * @property {number} sent_ops      operations that took effect
 * @property {number} requests
 * @property {number} bytes_naive
 * @property {number} bytes_sent
 * @property {number} conflicts
 * @property {Record<string, number>} faults
 * @property {number} lost
 * @property {number} duplicated
 * @property {boolean} converged
 * @property {number} seconds
 *
 * @typedef {{result: Result, report: import('./checker.mjs').Report, problems: string[], entities: number, bytesBack: number}} Outcome
 */

/**
 * @param {import('./options.mjs').Options} options
 * @returns {Promise<Outcome>} rejects with InputError, or with what kept the run from coming to an end
 */
export async function run(options) {
  const folder = options.keep ?? await mkdtemp(join(tmpdir(), 'tidegate-headless-'));
  await mkdir(folder, { recursive: true });
  if ((await readdir(folder)).length > 0) throw new UsageError(`--keep ${folder}: expected an empty or new folder, because a run goes on with files it finds`);
  try {
    return await runIn(folder, options);
  } finally {
    if (options.keep === undefined) await rm(folder, { recursive: true, force: true });
  }
}

/** @param {string} folder @param {import('./options.mjs').Options} options @returns {Promise<Outcome>} */
async function runIn(folder, options) {
  const at = (/** @type {string} */ name) => join(folder, name);
  const input = await spool(options, at('versions.jsonl'));
  const faulty = options.faults.size > 0;
  const server = new ServerProcess({
    db: at('server.db'),
    faults: serverFaultRates(options.faults),
    seed: options.seed,
    plant: options.plant === 'no-dedupe' ? options.plant : undefined,
  });
  const link = faulty ? new Link({ serverPort: () => server.port, latencyMs: LATENCY_MS }) : null;
  const startedAtMs = Date.now();
  /** @type {Record<string, number>} */
  let counts = {};
  try {
    await server.start();
    await link?.open();
    const client = new ClientProcess({
      database: at('client.db'),
      endpoint: link ? `http://127.0.0.1:${link.port}/api/v1` : server.url,
      versions: at('versions.jsonl'),
      acceptanceLog: at('acceptance.jsonl'),
      dump: at('client.jsonl'),
      mode: options.mode,
      settings: { coalesce: options.mode !== 'versions', ...(faulty ? FAULT_SETTINGS : {}) },
      syncEvery: faulty ? SYNC_EVERY : 0,
      deadlineMs: DRAIN_DEADLINE_MS,
      ackBeforeCommit: options.plant === 'ack-before-commit',
    });
    counts = await drive({ options, input, client, server, link });
    await server.stop();
  } finally {
    await link?.close();
    await server.discard();
  }
  const seconds = (Date.now() - startedAtMs) / 1000;

  const saves = readAcceptanceLog(at('acceptance.jsonl'));
  const theirs = readServer(at('server.db'));
  const ours = readClient({ dump: at('client.jsonl'), database: at('client.db') });
  const report = check({ saves, ...theirs, client: ours });
  const sent = server.finalStats;
  const faults = countFaults(options.faults, counts, sent.faults);
  /** @type {Result} */
  const result = {
    mode: options.mode,
    ops: report.accepted,
    sent_ops: new Set(theirs.effects.map((effect) => effect.opId)).size,
    requests: sent.requests,
    bytes_naive: await naiveBytes(options, at('naive.db')),
    bytes_sent: sent.bytesIn,
    conflicts: ours.conflicts,
    faults,
    lost: report.lost.length,
    duplicated: report.duplicated.length,
    converged: report.unconverged.length === 0,
    seconds: Math.round(seconds * 10) / 10,
  };
  return { result, report, problems: problemsOf(options, result, report, input.versions), entities: input.entities, bytesBack: sent.bytesOut };
}

/**
 * Runs the client to its end, through the faults. Returns how often each of ours happened.
 * @param {{options: import('./options.mjs').Options, input: Spooled, client: ClientProcess, server: ServerProcess, link: Link | null}} parts
 * @returns {Promise<Record<string, number>>}
 */
async function drive({ options, input, client, server, link }) {
  /** @type {Chaos | null} */
  let chaos = null;
  const ended = new Promise((resolve, reject) => {
    client.on('drained', resolve);
    client.on('failed', reject);
    let first = true;
    client.on('saved', () => {
      const begin = first ? beforeContact(options, server, chaos) : Promise.resolve();
      first = false;
      begin.then(() => client.go(), reject);
    });
    if (link) {
      const ops = options.mode === 'versions' ? input.versions : input.entities;
      chaos = new Chaos({
        faults: options.faults, random: createRandom(options.seed, 'chaos'), client, server, link, versions: input.versions,
        savedBefore: options.mode === 'versions' ? input.entities : input.versions,
        spareRequests: Math.floor(ops / FAULT_SETTINGS.maxBatchOps / 2), onError: reject,
      });
    }
  });
  /** @type {NodeJS.Timeout | undefined} */
  let watchdog;
  const hung = new Promise((_, reject) => {
    const overdue = () => reject(new Error(`the client hangs: no progress for ${HANG_MS / 1000} s`));
    const feed = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(overdue, HANG_MS);
    };
    for (const sign of ['started', 'saving', 'saved']) client.on(sign, feed);
    feed();
  });
  try {
    client.start();
    await Promise.race([ended, hung]);
    return chaos === null ? {} : /** @type {Chaos} */ (chaos).counts;
  } finally {
    clearTimeout(watchdog);
    await /** @type {Chaos | null} */ (chaos)?.end();
    await client.kill();
  }
}

/** @param {import('./options.mjs').Options} options @param {ServerProcess} server @param {Chaos | null} chaos */
async function beforeContact(options, server, chaos) {
  const { requests } = await server.stats();
  if (requests > 0) throw new Error(`the client sent ${requests} requests before everything was saved that was to be saved first (mode ${options.mode})`);
  await chaos?.begin();
}

/** @typedef {{versions: number, entities: number}} Spooled */

/**
 * Reads the whole input before anything starts, so that a bad line is told at once, and writes it down in the child's form.
 * @param {import('./options.mjs').Options} options @param {string} file
 * @returns {Promise<Spooled>}
 */
async function spool(options, file) {
  const out = createWriteStream(file);
  const entities = new Set();
  let versions = 0;
  for await (const version of readVersions(options.inputs, { ops: options.ops })) {
    versions += 1;
    const name = JSON.stringify([version.entity, version.entityId]);
    const first = !entities.has(name);
    entities.add(name);
    const line = { n: versions, ...version, action: first ? 'create' : 'update', sha256: documentHash(version.doc), first };
    if (!out.write(`${JSON.stringify(line)}\n`)) await once(out, 'drain');
  }
  out.end();
  await finished(out);
  return { versions, entities: entities.size };
}

/** @param {import('./options.mjs').Options} options @param {string} db */
async function naiveBytes(options, db) {
  const server = new ServerProcess({ db });
  try {
    await server.start();
    await sendNaively(server.url, readVersions(options.inputs, { ops: options.ops }));
    await server.stop();
    return server.finalStats.bytesIn;
  } finally {
    await server.discard();
  }
}

/**
 * @param {Set<string>} asked @param {Record<string, number>} ours @param {Record<string, number>} theirs
 * @returns {Record<string, number>}
 */
function countFaults(asked, ours, theirs) {
  const sum = (/** @type {string[]} */ names) => names.reduce((total, name) => total + (theirs[name] ?? 0), 0);
  return {
    ...(asked.has('reset') ? { reset: sum(['resetBefore', 'resetAfter', 'truncate']) } : {}),
    ...(asked.has('500') ? { 500: sum(['status500', 'opStatus500', 'status500After']) } : {}),
    ...(asked.has('kill') ? { kill: ours.kill, kill_saving: ours.kill_saving, kill_server: ours.kill_server } : {}),
    ...(asked.has('offline') ? { offline: ours.offline } : {}),
  };
}

/**
 * Why this run may not be called good; nothing when it may.
 * @param {import('./options.mjs').Options} options @param {Result} result @param {import('./checker.mjs').Report} report @param {number} versions
 */
function problemsOf(options, result, report, versions) {
  const few = Object.entries(result.faults)
    .filter(([fault, times]) => times < (fault === 'kill' ? MIN_KILLS : 1))
    .map(([fault, times]) => `fault ${fault} happened ${times} times, expected at least ${fault === 'kill' ? MIN_KILLS : 1}`);
  return [
    ...report.lost.map((line) => `lost: ${line}`),
    ...report.duplicated.map((line) => `duplicated: ${line}`),
    ...report.unconverged.map((line) => `not converged: ${line}`),
    ...report.misordered.map((line) => `out of order: ${line}`),
    ...(result.ops === versions ? [] : [`${result.ops} versions were accepted, expected ${versions}`]),
    ...few,
  ];
}

