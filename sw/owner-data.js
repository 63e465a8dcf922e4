// Everything that is kept of one owner: written out as a file, or taken away. What belongs to him: his ops with all their payloads, what he sees (`docs`), the versions
// the server acknowledged (`bases`), his sessions and audit trail, his pull cursor. There is nothing else: secrets are never stored.
//
// Erasing is not one transaction, because it may be a hundred thousand records. It begins with one that signs him out and names him (`state/erasing`), so nothing of
// him leaves from then on; it ends with one that takes the mark away. A mark that is there when a client opens is an erasure that was cut off, and is carried on.
import { lanePrefix } from './accept.js';
import { TidegateError } from './errors.js';
import { lockWithin } from './locks.js';
import { opsOf, pagesOf } from './paging.js';
import { toBase64 } from './queue-file.js';
import { bytesOf, metaOf, payloadKey, piecesOf } from './store-rules.js';
import { kCodeVersion, kLeaseMs } from './turn.js';

/** @import { Clock } from './clock.js' */
/** @import { Locks } from './locks.js' */
/** @import { Random } from './random.js' */
/** @import { Granted, Store, Write } from './store-contract.d.ts' */

const kVersion = 1;
/** Payloads of one op that are in memory at a time. */
const kPieces = 4;
/** How long an erasure waits for a drain that is under way. */
const kWaitMs = 60_000;
const kPollMs = 100;

/** What every lane of an owner starts with. @param {string} owner */
const ownerPrefix = (owner) => lanePrefix(owner, '').slice(0, -1);

/** What the keys of an op's payloads begin with; an upload has its bytes in pieces. @param {import('../wasm/protocol.js').OpRow} row */
const payloadsOf = ({ upload, id, seq }) => [payloadKey(seq), ...(upload ? [piecesOf(id)] : [])];

/** His ops, a page at a time. @param {Store} store @param {string} owner */
async function* hisOps(store, owner) {
  for await (const rows of opsOf(store, owner)) yield rows.filter((row) => !(/** @type {any} */ (row).foreign));
}

/** NDJSON: a head, then a line {store, key, value, bytes (base64)} per record. @param {Store} store @param {string} owner @param {number} nowMs */
export async function writeOwnerData(store, owner, nowMs) {
  const parts = [`${JSON.stringify({ tidegate: 'data', version: kVersion, owner, exportedAt: nowMs })}\n`];
  const add = (/** @type {string} */ name, /** @type {string | number} */ key, /** @type {any} */ record) => {
    const bytes = bytesOf(record);
    parts.push(`${JSON.stringify({ store: name, key, value: metaOf(record), ...(bytes && { bytes: toBase64(bytes) }) })}\n`);
  };
  for await (const rows of hisOps(store, owner))
    for (const row of rows) {
      add('ops', row.seq, row);
      for (const prefix of payloadsOf(row)) for await (const page of pagesOf(store, 'payloads', { prefix, limit: kPieces, loose: true })) for (const { key, value } of page) add('payloads', key, value);
    }
  for (const name of /** @type {const} */ (['docs', 'bases']))
    for await (const page of pagesOf(store, name, { prefix: ownerPrefix(owner), loose: true })) for (const { key, value } of page) add(name, key, value);
  for await (const page of pagesOf(store, 'history', { loose: true })) for (const { key, value } of page) if (value.owner === owner) add('history', key, value);
  return new Blob(parts, { type: 'application/x-ndjson' });
}

/**
 * @typedef {{store: Store, locks: Locks, clock: Clock, random: Random, signal: AbortSignal}} EraseDeps  signal: of the client's close
 */

/** Takes everything of an owner away. Resolves when it is gone; rejects, to be carried on at the next start, where it could not be ended. @param {EraseDeps} deps @param {string} owner */
export const eraseOwner = (deps, owner) => alone(deps, (lease, commit) => erase(deps.store, lease.core, owner, commit));

/** Carries on what was cut off. @param {EraseDeps} deps */
export async function finishErasure(deps) {
  const marked = () => deps.store.get('state', 'erasing');
  if (!(await marked())) return;
  await alone(deps, async (lease, commit) => {
    const mark = await marked();   // another client may have ended it meanwhile
    if (mark) await erase(deps.store, lease.core, mark.owner, commit);
  });
}

/** @param {Store} store @param {any} core @param {string} owner @param {(writes: Write[]) => Promise<void>} commit */
async function erase(store, core, owner, commit) {
  const gone = { store: 'state', remove: true };
  const { owner: signedIn = owner, pulls = {}, authPaused = {}, abandoned = [], ...rest } = core ?? { version: 1 };
  const without = (/** @type {Record<string, any>} */ map) => Object.fromEntries(Object.entries(map).filter(([name]) => name !== owner));
  const others = abandoned.filter((/** @type {string} */ upload) => upload.slice(upload.indexOf('\n') + 1) !== owner);   // planner_upload.cpp
  const left = { ...rest, pulls: without(pulls), authPaused: without(authPaused), abandoned: others, lastError: null, unread: null, owner: signedIn === owner ? null : signedIn };
  await commit([{ store: 'state', key: 'erasing', value: { owner } }, { store: 'state', key: 'core', value: left }, { ...gone, key: 'snapshot' }]);
  for await (const rows of hisOps(store, owner))
    if (rows.length > 0) await commit(rows.flatMap((row) => [{ store: 'ops', key: row.seq, remove: true }, ...payloadsOf(row).map((prefix) => ({ store: 'payloads', prefix, remove: true }))]));
  for await (const page of pagesOf(store, 'history', { loose: true })) {
    const his = page.filter(({ value }) => value.owner === owner);
    if (his.length > 0) await commit(his.map(({ key }) => ({ store: 'history', key, remove: true })));
  }
  await commit([...['docs', 'bases'].map((name) => ({ store: name, prefix: ownerPrefix(owner), remove: true })), { ...gone, key: 'erasing' }]);
}

/**
 * With the lock and the lease, so that no drain is at work, and one that was frozen finds itself fenced. The lease is renewed by every commit.
 * @param {EraseDeps} deps @param {(lease: Granted, commit: (writes: Write[]) => Promise<void>) => Promise<void>} work
 */
async function alone({ store, locks, clock, random, signal }, work) {
  const holder = random.uuid(clock.now());
  const ask = (/** @type {boolean | null | undefined} */ takeover) => store.acquireLease({ holder, nowMs: clock.now(), ttlMs: kLeaseMs, codeVersion: kCodeVersion, takeover });
  const under = async (/** @type {Granted} */ lease) => {
    const { token } = lease;
    try {
      return await work(lease, async (writes) => {
        const held = await store.renewLease({ token, nowMs: clock.now(), ttlMs: kLeaseMs });
        const stored = held && await store.commit({ token, knownSeq: 0, lanes: [], writes });
        if (stored !== 'ok') throw new TidegateError('busy', '', 'another tab, worker or process took over; what is left is erased at the next start');
      });
    } finally {
      await store.releaseLease({ token }).catch(() => {});   // else it runs out
    }
  };
  for (const untilMs = clock.now() + kWaitMs; ; await clock.sleep(kPollMs, signal)) {
    const release = await lockWithin(locks, clock, kPollMs, signal);
    try {
      const lease = await ask(release && true);
      if (lease) return await under(lease);
    } finally {
      release?.();
    }
    if (signal.aborted || clock.now() >= untilMs) throw new TidegateError('busy', '', 'another tab, worker or process is draining; nothing was erased');
  }
}
