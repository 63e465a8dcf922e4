// A store that seals what it is given and opens what it hands out, around either of the two. Ciphers are asynchronous and a transaction ends where anything else
// is awaited, so all sealing is done before a transaction begins and all opening after it ended; what the transactions themselves read and compare is not sealed.
//
// A record that cannot be opened harms nobody but itself: an op is handed out as quarantined and its record left as it is, so that the right key brings it back;
// anything else is not there. Either is told as `sync.unreadable`, once.
import { isSealed, kByLane, openRecord, openRow, payloadPlace, sealPayload, sealRow, standIn } from './records.js';
import { Unreadable } from './sealing.js';
import { kListLimit, recordOf } from './store-rules.js';
import { sealOld } from './seal-old.js';
import { sealWrites } from './seal-writes.js';

/** @import { Keyring } from './sealing.js' */
/** @import { Granted, Store, Write } from './store-contract.d.ts' */

/** What a lease hands over that is sealed. */
const kSealedGrant = /** @type {const} */ (['snapshot', 'core', 'rules']);
/** How many records a list looks at at a time. */
const kWindow = 500;
/** How many rows are opened at a time: one that is being opened takes more memory than before or after. */
const kOpenedAtOnce = 25;
/** How many lanes are remembered for lists in their order; beyond that all are looked up anew. */
const kLanesKept = 100_000;
/** What the name of an owner begins with of whom only the key is known. No core sends his ops: he cannot sign in. */
const kUnknownOwner = '?';
/** What remains of the core's state when it cannot be read: nobody is signed in, so nothing goes before somebody is. */
const kNobody = { version: 1, owner: null };

/**
 * @param {Store} inner @param {Keyring} keyring
 * @param {{owner?: string, publish?: (type: string, detail: any) => void}} context  owner: whose client this is, where it is one's
 * @returns {Store}
 */
export function sealedStore(inner, keyring, { owner: client, publish = () => {} } = {}) {
  const told = new Set();
  /** @type {Map<string, string>} lanes by the names that stand for them */
  const lanes = new Map();
  /** @type {string | undefined} who is signed in, as far as this store has heard */
  let signedIn = client;
  /** The store says that everything in it is sealed. */
  let allSealed = false;
  /** An op was met that is not: a client without keys wrote it. */
  let plainSeen = false;

  keyring.ring().catch(() => {});   // looked for while the core is loaded; who needs them hears why they cannot be had

  /** Whether records that are not sealed may be there. */
  const mixed = async () => plainSeen || !(allSealed ||= (await inner.get('state', 'sealed')) !== undefined);

  /** @param {Unreadable} error @param {any} detail @param {string} mark */
  const tell = (error, detail, mark) => {
    if (told.has(mark)) return;
    told.add(mark);
    publish('sync.unreadable', { cause: error.why, message: error.message, ...detail });
  };

  /** Whose a row is that cannot be read. @param {any} row @returns {Promise<[string, boolean]>} the owner, and whether that is a guess */
  const ownerOf = async (row) => {
    const [key] = String(row.lane).split(':');
    if (!(await keyring.ours(key))) return [signedIn ?? '', true];   // names of a key that is gone say nothing: shown to whoever asks, removed with nobody
    const isHis = key === await keyring.ownerKey(encodeURIComponent(signedIn ?? ''));
    return isHis ? [signedIn ?? '', false] : [`${kUnknownOwner}${key}`, false];
  };

  /** @param {any} row @returns {Promise<any>} */
  const opened = async (row) => {
    if (row === undefined) return undefined;
    plainSeen ||= !isSealed(row);
    try {
      return await openRow(keyring, row);
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      const [owner, foreign] = await ownerOf(row);
      tell(error, { id: row.id, seq: row.seq, ...(!foreign && { owner }) }, row.id);
      return standIn(row, error, owner, foreign);
    }
  };

  /** Undefined where it cannot be read. @param {string} name @param {string} key @param {any} record @param {string} [id] of the op @returns {Promise<{lane?: string, record: any} | undefined>} */
  const openedRecord = async (name, key, record, id) => {
    if (record === undefined) return undefined;
    try {
      return await openRecord(keyring, name, key, record, id);
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      if (name !== 'payloads' || id) tell(error, { store: name, key, ...(id && { id }) }, `${name}/${key}`);   // else its op has just left
      return undefined;
    }
  };

  /** The ids of the ops that payloads belong to. @param {(string | number)[]} keys @returns {Promise<(string | undefined)[]>} */
  const idsOfPayloads = async (keys) => {
    const seqs = [...new Set(keys.map((key) => parseInt(String(key))))].filter(Number.isSafeInteger);
    const ids = new Map((await inner.getMany('ops', seqs)).filter(Boolean).map(({ seq, id }) => [seq, id]));
    return keys.map((key) => ids.get(parseInt(String(key))));
  };

  /** @param {string} name @param {(string | number)[]} keys @returns {Promise<any[]>} */
  const getMany = async (name, keys) => {
    if (name === 'ops') return Promise.all((await inner.getMany(name, keys)).map(opened));
    if (name === 'state') return Promise.all((await inner.getMany(name, keys)).map(async (record, i) => (await openedRecord(name, String(keys[i]), record))?.record));
    const stored = kByLane.includes(name) ? await Promise.all(keys.map((key) => keyring.laneKey(String(key)))) : keys.map(String);
    const plain = kByLane.includes(name) && await mixed() ? await inner.getMany(name, keys) : [];   // first: what is being sealed meanwhile is found by its name
    const found = await inner.getMany(name, stored);
    plain.forEach((record, i) => { if (found[i] === undefined && record !== undefined) { found[i] = record; stored[i] = String(keys[i]); } });
    const ids = name === 'payloads' && found.some(isSealed) ? await idsOfPayloads(keys) : [];
    return Promise.all(found.map(async (record, i) => (await openedRecord(name, stored[i], record, ids[i]))?.record));
  };

  /** Records of a page, opened, with the keys they are asked for by. @param {string} name @param {{key: string, value: any}[]} page */
  const openedPage = async (name, page) => {
    const ids = name === 'payloads' ? await idsOfPayloads(page.map(({ key }) => key)) : [];
    const found = await Promise.all(page.map(({ key, value }, i) => openedRecord(name, key, value, ids[i])));
    return found.flatMap((one, i) => (one ? [{ key: one.lane ?? page[i].key, value: one.record }] : []));
  };

  /** In the order of stored keys. What cannot be read is passed over, so a short page is the last one here as well. @param {string} name @param {any} range */
  const listStored = async (name, { prefix, after, limit }) => {
    const found = [];
    for (let from = after; ;) {
      const wanted = limit - found.length;
      const page = await inner.list(/** @type {any} */ (name), { prefix, after: from, limit: wanted });
      found.push(...await openedPage(name, page));
      if (found.length === limit || page.length < wanted) return found;
      from = page[page.length - 1].key;
    }
  };

  /** Whose records these are; what was opened once is remembered, because a name always stands for the same. @param {string} name @param {{key: string, value: any}[]} page */
  const lanesOf = async (name, page) => {
    if (lanes.size > kLanesKept) lanes.clear();
    const found = await Promise.all(page.map(async ({ key, value }) => {
      const lane = lanes.get(key) ?? (await openedRecord(name, key, isSealed(value) ? { ...value, bytes: undefined } : value))?.lane;
      if (lane !== undefined) lanes.set(key, lane);
      return lane;
    }));
    return found.filter((lane) => lane !== undefined);
  };

  /** In the order of lanes, which stored keys do not have: the keys of all of them are looked at. @param {string} name @param {{prefix: string, after?: string, limit: number}} range */
  const listInOrder = async (name, { prefix, after = '', limit }) => {
    const wanted = new Set();
    for (const from of prefix === '' ? [prefix] : [...(await mixed() ? [prefix] : []), await keyring.laneKey(prefix)])
      for (let last; ;) {
        const page = await inner.list(/** @type {any} */ (name), { prefix: from, after: last, limit: kWindow });
        for (const lane of await lanesOf(name, page)) if (lane > after) wanted.add(lane);
        if (page.length < kWindow) break;
        last = page[page.length - 1].key;
      }
    /** @type {{key: string, value: any}[]} */
    const found = [];
    for (const chunk of chunks([...wanted].sort(), limit)) {
      const values = await getMany(name, chunk);
      chunk.forEach((key, i) => { if (values[i] !== undefined) found.push({ key, value: values[i] }); });
      if (found.length >= limit) break;
    }
    return found.slice(0, limit);
  };

  const sealedWrites = (/** @type {Write[]} */ writes) => sealWrites({ keyring, getMany, idsOfPayloads, mixed }, writes);

  /** @param {any} items @returns {Promise<any>} */
  const sealedItems = async (items) => {
    const ring = await keyring.ring();
    const shown = await mixed() ? await plainlyShown(items) : new Set();
    return Promise.all(items.map(async (/** @type {any} */ { row, bytes }) => {
      const sealed = await sealRow(keyring, ring, row);
      if (row.action === 'save' && shown.delete(row.lane)) sealed.action = 'update';
      const payload = bytes && await sealPayload(keyring, ring, payloadPlace('next', row.id), bytes);
      return { row: sealed, bytes: payload && { ...payload.value, bytes: payload.bytes } };
    }));
  };

  /** Lanes whose document is shown by a record that is not sealed yet: the transaction looks for a sealed one. @param {any[]} items */
  const plainlyShown = async (items) => {
    const lanes = [...new Set(items.filter(({ row }) => row.action === 'save').map(({ row }) => row.lane))];
    const names = await Promise.all(lanes.map((lane) => keyring.laneKey(lane)));
    const plain = await inner.getMany('docs', lanes), sealed = await inner.getMany('docs', names);   // in this order, as above
    return new Set(lanes.filter((_, i) => plain[i] !== undefined && !plain[i].deleted && sealed[i] === undefined));
  };

  /** What a drain begins with, opened. @param {Granted} granted @returns {Promise<Granted>} */
  const openedGrant = async (granted) => {
    const [snapshot, core, rules] = await Promise.all(kSealedGrant.map(async (name) => (await openedRecord('state', name, granted[name]))?.record));
    if (client === undefined && typeof core?.owner === 'string') signedIn = core.owner;
    // A snapshot knows ops as unreadable that other keys would open, and one that is not sealed was made by who could not see them all: then the rows are read.
    const current = isSealed(granted.snapshot) && snapshot?.keys === await keyring.ids();
    return { ...granted, snapshot: current ? recordOf({ store: 'state', value: snapshot.value }, snapshot.bytes) : undefined, core: core ?? (granted.core && kNobody), rules };
  };

  /** @param {Parameters<Store['acquireLease']>[0]} ask */
  const acquireLease = async (ask) => {
    const otherKeys = (await keyring.ring()) && await keyring.refresh();
    let granted = await inner.acquireLease(ask);
    if (granted && otherKeys) {   // a planner that was kept knows ops as unreadable: under a lease that does not follow its own it is made anew
      const { abandoned } = granted;
      await inner.releaseLease(granted);
      const next = await inner.acquireLease({ ...ask, takeover: Boolean(ask.takeover) });
      granted = next && { ...next, abandoned };
    }
    if (!granted) return null;
    try {
      if (await mixed()) {
        await sealOld({ inner, keyring, seal: sealedWrites, token: granted.token, ask, publish });
        plainSeen = false;
      }
      return await openedGrant(granted);
    } catch (error) {
      await inner.releaseLease(granted).catch(() => {});   // else it runs out
      throw error;
    }
  };

  return {
    ...inner,
    accept: async (items, limits) => inner.accept(await sealedItems(items), limits),
    stage: async (write) => inner.stage(write.remove ? write : { ...write, ...await sealPayload(keyring, await keyring.ring(), payloadPlace(String(write.key)), write.bytes) }),
    rows: async (afterSeq, limit) => {
      const rows = (await inner.rows(afterSeq, limit)).splice(0);   // out of the request, which a browser keeps until its next full collection
      for (let at = 0; at < rows.length; at += kOpenedAtOnce) rows.splice(at, kOpenedAtOnce, ...await Promise.all(rows.slice(at, at + kOpenedAtOnce).map(opened)));
      return rows;
    },
    rowById: async (id) => opened(await inner.rowById(id)),
    get: async (/** @type {any} */ name, /** @type {any} */ key) => (await getMany(name, [key]))[0],
    getMany,
    list: async (name, { prefix = '', after, limit = kListLimit, loose } = {}) => {
      if (!kByLane.includes(name)) return listStored(name, { prefix, after, limit });
      if (!loose || prefix === '' || await mixed()) return listInOrder(name, { prefix, after, limit });
      return listStored(name, { prefix: await keyring.laneKey(prefix), after: after && await keyring.laneKey(after), limit });
    },
    acquireLease,
    commit: async ({ token, knownSeq, lanes, writes }) => {
      const core = writes.find(({ store, key }) => store === 'state' && key === 'core')?.value;
      if (client === undefined && typeof core?.owner === 'string') signedIn = core.owner;
      const names = await Promise.all(lanes.map((lane) => keyring.laneKey(lane)));
      return inner.commit({ token, knownSeq, lanes: [...names, ...lanes], writes: await sealedWrites(writes) });   // an op that is not sealed stands under its lane
    },
  };
}

/** @template T @param {T[]} all @param {number} size */
function* chunks(all, size) {
  for (let at = 0; at < all.length; at += size) yield all.slice(at, at + size);
}
