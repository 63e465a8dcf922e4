// What one can see of workbox-background-sync, as scenarios that run on the npm package and on tidegate/workbox alike: each resolves with what was seen.
// Nothing here is of Node, because the same scenarios run in Chromium, on its IndexedDB and its Request.

const kOrigin = 'https://app.example';
const kStart = 1_790_000_000_000;
const kTag = 'workbox-background-sync:q';
const kMinute = 60_000;

/**
 * A service worker's global as far as the library looks at it, and the library evaluated in it.
 * @param {object} options
 * @param {string} options.code        the library as an expression: "(() => {…})()"
 * @param {any} options.idb            {indexedDB, IDBKeyRange, IDBDatabase, …}: the IndexedDB of this world
 * @param {'yes' | 'none' | 'denied'} [options.sync]
 */
export function createWorld({ code, idb, sync = 'yes' }) {
  const listeners = {};
  const world = {
    nowMs: kStart, listened: [], registered: [], fetched: [], headers: [], redirects: [], pages: [], navigator: {},
    /** @type {(any)[]} what the next requests meet: a status, 'unreachable', 'redirect', 'opaque', or a function; then 200 */
    answers: [],
    /** Fires an event as the browser does. @returns {Promise<'done' | 'failed' | 'unheard'>} */
    async fire(type, init) {
      const work = [];
      for (const listener of listeners[type] ?? []) listener({ type, ...init, waitUntil: (promise) => work.push(promise) });
      if (work.length === 0) return 'unheard';
      return (await Promise.allSettled(work)).every(({ status }) => status === 'fulfilled') ? 'done' : 'failed';
    },
    sync: (lastChance = false, tag = kTag) => world.fire('sync', { tag, lastChance }),
  };
  const self = {
    registration: sync === 'none' ? {} : {
      sync: {
        async register(tag) {
          world.registered.push(tag);
          if (sync === 'denied') throw new DOMException('Permission denied.', 'NotAllowedError');
        },
      },
    },
    addEventListener(type, listener) {
      world.listened.push(type);
      (listeners[type] ??= []).push(listener);
    },
    location: new URL(`${kOrigin}/sw.js`), navigator: world.navigator, clients: { matchAll: async () => world.pages },
  };
  const fetch = async (request) => {
    world.fetched.push(`${request.method} ${new URL(request.url).pathname} ${await request.clone().text()}`.trim());
    world.headers.push(request.headers.get('idempotency-key'));
    world.redirects.push(request.redirect);
    let answer = world.answers.shift() ?? 200;
    if (typeof answer === 'function') answer = (await answer(request)) ?? 200;
    if (answer === 'unreachable') throw new TypeError('Failed to fetch');
    if (answer === 'opaque') return { status: 0, ok: false, type: 'opaque' };
    if (answer === 'redirect') return request.redirect === 'manual' ? { status: 0, ok: false, type: 'opaqueredirect' } : { status: 200, ok: true, type: 'basic', redirected: true };
    return new Response([204, 205].includes(answer) ? null : 'answer', { status: answer });
  };
  class WorldDate extends Date {
    static now() { return world.nowMs; }
  }
  const globals = { self, fetch, Date: WorldDate, ...idb };
  world.lib = new Function(...Object.keys(globals), `return ${code};`)(...Object.values(globals));
  world.idb = idb;
  return world;
}

/** @param {any} request */
const promised = (request) => new Promise((resolve, reject) => { request.onsuccess = () => resolve(request.result); request.onerror = () => reject(request.error); });

/** The records as they lie in the database, bodies as text; what is ours alone apart. */
export async function records(world) {
  const db = await promised(world.idb.indexedDB.open('workbox-background-sync'));
  const all = db.objectStoreNames.contains('requests') ? await promised(db.transaction('requests').objectStore('requests').getAll()) : [];
  const shape = { version: db.version, stores: [...db.objectStoreNames] };
  db.close();
  return {
    ...shape,
    own: all.map(({ tidegate }) => tidegate ?? null),
    records: all.map(({ tidegate, ...record }) => ({ ...record, requestData: shown(record.requestData) })),
  };
}
const shown = ({ body, ...data }) => ({ ...data, ...(body === undefined ? {} : { body: new TextDecoder().decode(body) }) });

const post = (path, body = path, init = {}) => new Request(new URL(`/${path}`, kOrigin), { method: 'POST', body, ...init });
const left = async (world) => (await records(world)).records.map(({ id, queueName, requestData }) => `${id} ${queueName} ${new URL(requestData.url).pathname}`);
const outcome = (work) => Promise.resolve().then(work).then((value) => value ?? 'done', (error) => `${error.constructor.name} ${error.name}`);
const shownEntries = (entries) => Promise.all(entries.map(async (entry) => entry && ({ ...entry, request: `${entry.request.method} ${new URL(entry.request.url).pathname} ${await entry.request.text()}` })));
const pathOf = async (work) => { const entry = await work; return entry ? new URL(entry.request.url).pathname : entry; };

/** Three requests in a queue. */
async function three(world, options) {
  const queue = new world.lib.Queue('q', options);
  for (const name of ['a', 'b', 'c']) await queue.pushRequest({ request: post(name) });
  world.registered.length = 0;
  return queue;
}

/** name → what is seen; `sync` says which kind of browser it is. */
export const scenarios = {
  async 'constructing'(world) {
    const { Queue } = world.lib;
    const queue = new Queue('q');
    return { name: queue.name, listened: world.listened, again: await outcome(() => new Queue('q')), names: [...Queue._queueNames], registered: world.registered, fetched: world.fetched };
  },

  async 'pushing'(world) {
    const queue = new world.lib.Queue('q');
    const request = new Request(`${kOrigin}/a?b=c`, { method: 'PUT', body: 'text', headers: { 'x-one': '1' }, credentials: 'include', cache: 'no-store', redirect: 'error', integrity: '' });
    await queue.pushRequest({ request, metadata: { any: ['thing'] }, timestamp: 5 });
    await queue.pushRequest({ request: new Request(`${kOrigin}/get`) });
    return { ...(await records(world)), size: await queue.size(), registered: world.registered, usable: request.bodyUsed };
  },

  async 'pushing what is no request'(world) {
    const queue = new world.lib.Queue('q');
    return { nothing: await outcome(() => queue.pushRequest()), empty: await outcome(() => queue.pushRequest({})), text: await outcome(() => queue.unshiftRequest('a')), left: await left(world) };
  },

  async 'taking'(world) {
    const queue = await three(world);
    await queue.pushRequest({ request: post('d'), metadata: { m: 1 }, timestamp: kStart - 1 });
    const all = await shownEntries(await queue.getAll());
    const shifted = await pathOf(queue.shiftRequest());
    const [popped] = await shownEntries([await queue.popRequest()]);
    return { all, shifted, popped, left: await left(world), rest: [await pathOf(queue.shiftRequest()), await pathOf(queue.popRequest()), await queue.shiftRequest() ?? 'none', await queue.popRequest() ?? 'none'], size: await queue.size() };
  },

  async 'putting before'(world) {
    const queue = await three(world);
    await queue.unshiftRequest({ request: post('z'), metadata: { m: 1 } });
    return { left: await left(world), registered: world.registered, order: [await pathOf(queue.shiftRequest()), await pathOf(queue.shiftRequest())] };
  },

  async 'putting before, twice, with another queue in the store'(world) {
    const queue = new world.lib.Queue('q');
    const other = new world.lib.Queue('r');
    await queue.pushRequest({ request: post('a') });
    await other.pushRequest({ request: post('r') });
    for (const name of ['y', 'x', 'w']) await queue.unshiftRequest({ request: post(name) });
    const order = [];
    for (let at; (at = await pathOf(queue.shiftRequest())); ) order.push(at);
    return { order };
  },

  async 'replaying'(world) {
    const queue = await three(world);
    const ended = await outcome(() => queue.replayRequests());
    return { ended, fetched: world.fetched, left: await left(world), registered: world.registered };
  },

  async 'replaying nothing'(world) {
    return { ended: await outcome(() => new world.lib.Queue('q').replayRequests()), fetched: world.fetched };
  },

  async 'the network fails in the middle'(world) {
    const queue = await three(world);
    world.answers = [200, 'unreachable'];
    const ended = await outcome(() => queue.replayRequests());
    const seen = { ended, fetched: [...world.fetched], order: (await left(world)).map((line) => line.split(' ').at(-1)), registered: [...world.registered] };
    return { ...seen, again: await outcome(() => queue.replayRequests()), fetchedAtAll: world.fetched, left: await left(world) };
  },

  async 'while a request is under way'(world) {
    const queue = await three(world);
    let seen;
    world.answers = [async () => { seen = { left: (await left(world)).length, size: await queue.size() }; }];
    await queue.replayRequests();
    return seen;
  },

  async 'a request pushed while another is under way'(world) {
    const queue = await three(world);
    world.answers = [() => queue.pushRequest({ request: post('late') }).then(() => 200)];
    const ended = await outcome(() => queue.replayRequests());
    return { ended, fetched: world.fetched, left: await left(world) };
  },

  async 'two replays at once'(world) {
    const queue = await three(world);
    const hold = () => new Promise((resolve) => { setTimeout(() => resolve(200), 20); });
    world.answers = [hold, hold, hold, hold];
    await Promise.all([queue.replayRequests(), queue.replayRequests()]);
    return { requests: world.fetched.length };
  },

  async 'two replays at once that fail'(world) {
    const queue = await three(world);
    const fail = () => new Promise((resolve) => { setTimeout(() => resolve('unreachable'), 20); });
    world.answers = [fail, fail];
    const ended = await Promise.all([outcome(() => queue.replayRequests()), outcome(() => queue.replayRequests())]);
    return { left: ended.includes('done') ? 'one did not fail' : (await left(world)).length };
  },

  async 'what every answer does'(world) {
    const queue = new world.lib.Queue('q');
    const seen = {};
    for (const answer of [200, 201, 204, 205, 299, 400, 401, 403, 404, 408, 409, 410, 412, 413, 422, 425, 428, 429, 451, 500, 501, 502, 503, 504, 599, 'unreachable', 'redirect', 'opaque']) {
      await queue.pushRequest({ request: post('a') });
      world.answers = [answer];
      const ended = await outcome(() => queue.replayRequests());
      seen[`answer ${answer}`] = `${ended}, ${await queue.size()} left`;
      while (await queue.shiftRequest());
    }
    return seen;
  },

  async 'a HEAD request'(world) {
    const queue = new world.lib.Queue('q');
    await queue.pushRequest({ request: new Request(`${kOrigin}/h`, { method: 'HEAD' }) });
    const ended = await outcome(() => queue.replayRequests());
    return { ended, fetched: world.fetched, left: await left(world) };
  },

  async 'a record that cannot be made a request again'(world) {
    const queue = await three(world);
    await new world.lib.QueueStore('q').unshiftEntry({ requestData: { url: 'https://[', headers: {} }, timestamp: kStart });
    const ended = await outcome(() => queue.replayRequests());
    return { ended, fetched: world.fetched, left: (await left(world).catch(() => ['unreadable'])).length };
  },

  async 'expiry'(world) {
    const queue = await three(world, { maxRetentionTime: 1 });
    await queue.pushRequest({ request: post('d'), timestamp: kStart + 2 * kMinute });
    world.nowMs += kMinute + 1;
    const seen = { size: await queue.size(), all: (await queue.getAll()).length, sizeAfter: await queue.size() };
    world.nowMs += 2 * kMinute;
    return { ...seen, shifted: await queue.shiftRequest() ?? 'none', left: await left(world) };
  },

  async 'expiry while replaying'(world) {
    const queue = await three(world, { maxRetentionTime: 1 });
    await queue.pushRequest({ request: post('d'), timestamp: kStart + kMinute });
    world.nowMs += kMinute + 1;
    return { ended: await outcome(() => queue.replayRequests()), fetched: world.fetched, left: await left(world) };
  },

  async 'expiry when popping'(world) {
    const queue = await three(world, { maxRetentionTime: 1 });
    await queue.unshiftRequest({ request: post('d'), timestamp: kStart + kMinute });
    world.nowMs += kMinute + 1;
    return { popped: await pathOf(queue.popRequest()), left: await left(world) };
  },

  async 'a retention of 0 is the default'(world) {
    const queue = await three(world, { maxRetentionTime: 0 });
    world.nowMs += 7 * 24 * 60 * kMinute;
    const kept = (await queue.getAll()).length;
    world.nowMs += 1;
    return { kept, expired: (await queue.getAll()).length };
  },

  async 'a sync event'(world) {
    await three(world);
    return { other: await world.sync(false, 'other'), ended: await world.sync(), fetched: world.fetched, registered: world.registered, left: await left(world) };
  },

  async 'a sync event while requests come'(world) {
    const queue = await three(world, { onSync: ({ queue: it }) => it.pushRequest({ request: post('during') }) });
    const ended = await world.sync();
    return { ended, registered: world.registered, size: await queue.size() };
  },

  async 'a sync event that fails'(world) {
    await three(world);
    world.answers = ['unreachable'];
    return { ended: await world.sync(), registered: world.registered, left: (await left(world)).length };
  },

  async 'the last sync event, failing'(world) {
    await three(world);
    world.answers = ['unreachable'];
    return { ended: await world.sync(true), registered: world.registered, left: (await left(world)).length };
  },

  async 'a sync event whose callback only throws'(world) {
    const seen = {};
    for (const [name, thrown] of Object.entries({ error: new Error('no'), text: 'no' })) {
      const queue = new world.lib.Queue(name, { onSync: () => { throw thrown; } });
      await queue.pushRequest({ request: post('a') });
      world.registered.length = 0;
      for (const lastChance of [false, true]) seen[`${name}${lastChance ? ', last chance' : ''}`] = `${await world.sync(lastChance, `workbox-background-sync:${name}`)}, registered ${world.registered.length}`;
    }
    return seen;
  },

  async 'a callback of the app'(world) {
    const calls = [];
    const queue = await three(world, {
      async onSync({ queue: it }) {
        calls.push(Object.keys(arguments[0]).join());
        for (let entry; (entry = await it.shiftRequest()); ) {
          if (new URL(entry.request.url).pathname === '/b') {
            await it.unshiftRequest(entry);
            throw new Error('not now');
          }
          calls.push(new URL(entry.request.url).pathname);
        }
      },
    });
    const ended = await world.sync();
    return { calls, ended, size: await queue.size(), registered: world.registered, order: [await pathOf(queue.shiftRequest()), await pathOf(queue.shiftRequest())] };
  },

  async 'replayRequests is looked up when a queue is made'(world) {
    const { Queue } = world.lib;
    const original = Queue.prototype.replayRequests;
    const calls = [];
    Queue.prototype.replayRequests = async function (...args) { calls.push(this.name, args.length, args[0]?.queue === this); };
    try {
      new Queue('q');
      await world.sync();
    } finally { Queue.prototype.replayRequests = original; }
    return { calls };
  },

  async 'each call goes through the store once'(world) {
    const { Queue, QueueStore } = world.lib;
    const calls = [];
    const originals = {};
    for (const name of ['pushEntry', 'unshiftEntry', 'shiftEntry', 'popEntry']) {
      originals[name] = QueueStore.prototype[name];
      QueueStore.prototype[name] = function (...args) {
        calls.push(`${name}(${args.map((arg) => Object.keys(arg).sort()).join()})`);
        return originals[name].apply(this, args);
      };
    }
    try {
      const queue = new Queue('q');
      await queue.pushRequest({ request: post('a'), metadata: { m: 1 } });
      await queue.pushRequest({ request: post('b') });
      await queue.unshiftRequest({ request: post('c') });
      await queue.shiftRequest();
      await queue.popRequest();
      const before = calls.length;
      await queue.replayRequests();
      return { calls: calls.slice(0, before), replay: calls.slice(before) };
    } finally { Object.assign(QueueStore.prototype, originals); }
  },

  async 'a failing register'(world) {
    const queue = new world.lib.Queue('q');
    world.answers = ['unreachable'];
    const pushed = await outcome(() => queue.pushRequest({ request: post('a') }));
    await settled();
    const seen = { pushed, registered: [...world.registered], fetched: [...world.fetched] };
    await queue.pushRequest({ request: post('b') });
    await settled();
    return { ...seen, later: world.fetched.slice(seen.fetched.length), left: (await left(world)).length };
  },

  async 'without Background Sync'(world) {
    const calls = [];
    const queue = new world.lib.Queue('q', { onSync: async ({ queue: it }) => { calls.push(it.name); await it.replayRequests(); } });
    await settled();
    await queue.pushRequest({ request: post('a') });
    await settled();
    const seen = { atStart: calls.length, listened: world.listened, registered: world.registered, fetched: [...world.fetched] };
    const online = await world.fire('online', {});
    return { ...seen, online, afterOnline: world.fetched };
  },

  async 'Background Sync not wanted'(world) {
    let calls = 0;
    const queue = new world.lib.Queue('q', { forceSyncFallback: true, onSync: () => { calls += 1; } });
    await queue.pushRequest({ request: post('a') });
    await settled();
    return { calls, sync: await world.sync(), registered: world.registered, heardSync: world.listened.includes('sync') };
  },

  async 'the plugin'(world) {
    const plugin = new world.lib.BackgroundSyncPlugin('q', { maxRetentionTime: 1 });
    const { fetchDidFail } = plugin;
    const ended = await outcome(() => fetchDidFail({ request: post('a'), error: new Error('x') }));
    return { own: Object.keys(plugin).sort(), ended, queue: plugin._queue.name, left: await left(world), registered: world.registered };
  },

  async 'the store'(world) {
    const { QueueStore } = world.lib;
    const [store, other] = [new QueueStore('q'), new QueueStore('r')];
    const entry = (name, more) => ({ requestData: { url: `${kOrigin}/${name}`, headers: {} }, timestamp: 1, ...more });
    const pushed = entry('a', { id: 77 });
    await store.pushEntry(pushed);
    await other.pushEntry(entry('r', { metadata: { m: 1 } }));
    const first = entry('z');
    await store.unshiftEntry(first);
    const seen = { pushed, first, all: await store.getAll(), sizes: [await store.size(), await other.size()] };
    await store.deleteEntry((await other.getAll())[0].id);
    return { ...seen, otherAfter: await other.size(), shifted: await store.shiftEntry(), popped: await store.popEntry(), none: await store.popEntry() ?? 'none' };
  },

  async 'what the store shows of a request that was tried'(world) {
    const queue = await three(world);
    world.answers = ['unreachable'];
    await outcome(() => queue.replayRequests());
    const [entry] = await new world.lib.QueueStore('q').getAll();
    return { keys: Object.keys(entry).sort() };
  },

  async 'a stored request'(world) {
    const { StorableRequest } = world.lib;
    const stored = await StorableRequest.fromRequest(post('a', 'body', { headers: { 'content-type': 'text/x' } }));
    const object = stored.toObject();
    object.headers['content-type'] = 'changed';
    new Uint8Array(object.body).fill(0);
    const [request, clone] = [stored.toRequest(), stored.clone()];
    return {
      data: Object.keys(stored._requestData).sort(), body: await request.text(), type: request.headers.get('content-type'), clone: clone !== stored && await clone.toRequest().text(),
      navigate: new StorableRequest({ url: `${kOrigin}/`, mode: 'navigate' }).toObject().mode, noUrl: await outcome(() => { new StorableRequest({}); }), nothing: await outcome(() => { new StorableRequest(); }),
    };
  },

  async 'a database of workbox 3'(world) {
    const opening = world.idb.indexedDB.open('workbox-background-sync', 2);
    opening.onupgradeneeded = () => { opening.result.createObjectStore('requests', { autoIncrement: true }).add({ queueName: 'q', storableRequest: {} }); };
    (await promised(opening)).close();
    const queue = new world.lib.Queue('q');
    return { size: await queue.size(), ...(await records(world)) };
  },

  async 'what a replay sends'(world) {
    const queue = new world.lib.Queue('q');
    await queue.pushRequest({ request: post('a') });
    await queue.pushRequest({ request: new Request('https://other.example/b', { method: 'POST', body: 'b' }) });
    await queue.pushRequest({ request: post('c', 'c', { headers: { 'idempotency-key': 'mine' } }) });
    await queue.pushRequest({ request: post('d', 'd', { mode: 'no-cors' }) });
    await queue.replayRequests();
    return { fetched: world.fetched, keys: world.headers.map((key) => (key === null || key === 'mine' ? key : 'a key')), redirects: world.redirects };
  },
};

/** Where workbox races with itself, and how that ends is chance (its own transactions abort, unhandled): here only ours is run. */
export const kRaces = ['two replays at once', 'two replays at once that fail'];

/** In which browser a scenario plays; where not said, in one with Background Sync. */
export const kSync = { 'a failing register': 'denied', 'without Background Sync': 'none' };

/** What was begun without being awaited has come to its end: nothing is left but timers of ours. */
const settled = () => new Promise((resolve) => { setTimeout(resolve, 50); });

/**
 * Runs a scenario on both libraries. @param {string} name @param {{workbox: string, tidegate: string}} codes @param {() => any} newIdb a fresh IndexedDB
 * @returns {Promise<Record<string, {workbox: any, tidegate: any}>>} what differs, by name
 */
export async function compare(name, codes, newIdb) {
  if (kRaces.includes(name)) return Object.fromEntries(Object.entries(sorted(await scenarios[name](createWorld({ code: codes.tidegate, idb: await newIdb() })))).map(([key, tidegate]) => [key, { tidegate }]));
  const seen = {};
  for (const [which, code] of Object.entries(codes)) seen[which] = sorted(await scenarios[name](createWorld({ code, idb: await newIdb(), sync: kSync[name] })));
  const keys = new Set([...Object.keys(seen.workbox), ...Object.keys(seen.tidegate)]);
  const same = (key) => JSON.stringify(seen.workbox[key]) === JSON.stringify(seen.tidegate[key]);
  return Object.fromEntries([...keys].filter((key) => !same(key)).map((key) => [key, { workbox: seen.workbox[key], tidegate: seen.tidegate[key] }]));
}

/** As JSON carries it, with the members of every object in one order. @param {any} value */
const sorted = (value) => JSON.parse(JSON.stringify(value, (_, it) => (it && typeof it === 'object' && !Array.isArray(it) ? Object.fromEntries(Object.entries(it).sort(([a], [b]) => (a < b ? -1 : 1))) : it)));
