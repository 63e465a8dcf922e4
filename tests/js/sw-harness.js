// A browser's worth of globals for sw/worker.js and web/client.js in Node: a worker scope whose events are fired by hand, a page that talks to it, caches,
// locks. The store is fake-indexeddb, the core and the server are real.
import 'fake-indexeddb/auto';
import { readFileSync } from 'node:fs';

/** The requests of one origin's Web Locks: one queue for each name. */
export function lockManager() {
  const queues = new Map();
  return {
    request: (name, { signal }, callback) => new Promise((resolve, reject) => {
      if (!queues.has(name)) queues.set(name, { waiting: [], held: false });
      const lock = queues.get(name);
      const next = () => {
        if (lock.held || lock.waiting.length === 0) return;
        lock.held = true;
        const { callback, resolve } = lock.waiting.shift();
        callback().then(resolve).finally(() => { lock.held = false; next(); });
      };
      const entry = { callback, resolve };
      lock.waiting.push(entry);
      signal?.addEventListener('abort', () => {
        const at = lock.waiting.indexOf(entry);
        if (at >= 0) { lock.waiting.splice(at, 1); reject(signal.reason); }
      });
      next();
    }),
  };
}

/** CacheStorage whose network is `files`: path → bytes or a function that answers a Response. */
export function cacheStorage(files) {
  const caches = new Map();
  const fetched = [];
  const answer = (url) => {
    const name = new URL(url).pathname;
    fetched.push(name);
    if (!(name in files)) throw new TypeError(`cannot fetch ${name}`);
    return new Response(files[name], { headers: { 'content-type': name.endsWith('.wasm') ? 'application/wasm' : 'text/plain' } });
  };
  return {
    fetched,
    keys: async () => [...caches.keys()],
    delete: async (name) => caches.delete(name),
    open: async (name) => {
      if (!caches.has(name)) caches.set(name, new Map());
      const entries = caches.get(name);
      return {
        addAll: async (requests) => {
          const all = requests.map((request) => [request.url, answer(request.url)]);
          for (const [url, response] of all) entries.set(url, response);
        },
        put: async (url, response) => { entries.set(String(url), response); },
        keys: async () => [...entries.keys()],
      };
    },
    match: async (url, { cacheName }) => caches.get(cacheName)?.get(String(url))?.clone(),
  };
}

/** One origin: its caches, locks, sync registrations, pages, and the worker that is running. */
export function origin(url, { online = true, files = {} } = {}) {
  const base = `${url}/`;
  const wasm = readFileSync(new URL('../../dist/tidegate.wasm', import.meta.url));
  const world = {
    url, base, locks: lockManager(), caches: cacheStorage({ '/tidegate.wasm': wasm, '/': 'page', '/app.js': 'app', ...files }), pages: [], tags: [], registered: 0, periodic: [], refusesPeriodic: false, deaf: false, messages: [],
    navigator: { onLine: online, connection: { effectiveType: '4g', rtt: 50, downlink: 10, saveData: false } },
  };
  return world;
}

let starts = 0;

/** Starts a worker of this origin: a new script evaluation, as after every stop. */
export async function startWorker(world, options) {
  const scope = new EventTarget();
  Object.assign(scope, {
    location: { origin: world.url }, caches: world.caches, navigator: { ...world.navigator, locks: world.locks },
    registration: {
      scope: world.base,
      sync: {
        register: async (tag) => {   // as in Chromium: a tag that waits already stays as it is
          if (world.tags.includes(tag)) return;
          world.registered += 1;
          world.tags.push(tag);
        },
      },
      periodicSync: { register: async (tag, options) => { if (world.refusesPeriodic) throw new DOMException('not installed', 'NotAllowedError'); world.periodic.push([tag, options]); } },
    },
    clients: { matchAll: async () => world.pages, claim: async () => {} }, skipWaiting: async () => {},
  });
  globalThis.self = scope;
  const { createSyncWorker } = await import(`../../sw/worker.js?start=${++starts}`);
  const listening = [];
  const add = scope.addEventListener;
  scope.addEventListener = (type, ...rest) => { listening.push(type); add.call(scope, type, ...rest); };
  const handle = createSyncWorker({ endpoint: '/api/v1', wasm: '/tidegate.wasm', ...options });
  delete globalThis.self;
  return {
    scope, listening, handle,
    /** Fires an event; resolves when what it waits for is over, also what it was asked to wait for meanwhile: {response?} or a rejection. */
    async fire(type, props = {}) {
      const waits = [];
      let response, over = false;
      const waitUntil = (work) => {
        if (over) throw new DOMException('the event is over', 'InvalidStateError');
        waits.push(work);
      };
      const event = Object.assign(new Event(type), props, { waitUntil, respondWith: (answer) => { response = answer; } });
      if (props.origin) Object.defineProperty(event, 'origin', { value: props.origin });
      scope.dispatchEvent(event);
      for (let known = -1; known < waits.length;) {
        known = waits.length;
        await Promise.all([...waits, response]);
      }
      over = true;
      return { waited: waits.length, response: await response };
    },
    fetch(path, { mode = 'cors', ...init } = {}) {
      const request = new Request(new URL(path, world.base), init);
      if (mode === 'navigate') Object.defineProperty(request, 'mode', { value: mode });   // scripts cannot make one
      return this.fire('fetch', { request });
    },
  };
}

/** The globals of a page of this origin, and its line to `worker`. Returns what takes them away again. */
export function openPage(world, { worker, battery, storage, visible = true, idle, pressure } = {}) {
  const container = new EventTarget();
  const page = { type: 'window', url: world.base, visibilityState: visible ? 'visible' : 'hidden', postMessage: (data, ports = []) => setImmediate(() => container.dispatchEvent(Object.assign(new Event('message'), { data: structuredClone(data), ports }))) };
  world.pages.push(page);
  const active = worker && Object.assign(new EventTarget(), {
    state: 'activated', postMessage: (data) => { world.messages.push(data); if (!world.deaf) send(data); },
  });
  const send = (data) => setImmediate(() => worker.fire('message', { data: structuredClone(data), origin: world.url, source: page }).catch(() => {}));
  container.startMessages = () => {};
  container.register = async () => {
    if (!worker) throw new TypeError('cannot register');
    return { active, installing: null, waiting: null };
  };
  const navigator = { ...world.navigator, locks: world.locks, serviceWorker: container, ...(storage && { storage }), ...(idle && { permissions: { query: async ({ name }) => ({ state: name === 'idle-detection' ? idle.permission : 'denied' }) } }), ...(battery && { getBattery: async () => Object.assign(new EventTarget(), battery) }) };
  const events = new EventTarget();
  let listeners = 0;
  const addEventListener = (type, listener, options) => {
    listeners += 1;
    options.signal.addEventListener('abort', () => { listeners -= 1; });
    events.addEventListener(type, listener, options);
  };
  const globals = { navigator, location: new URL(world.base), addEventListener, document: Object.assign(new EventTarget(), { visibilityState: visible ? 'visible' : 'hidden', hasFocus: () => pressure?.focus ?? visible }), ...(idle && { IdleDetector: idle.Detector }), ...(pressure && { PressureObserver: pressure.Observer }) };
  const before = Object.fromEntries(Object.keys(globals).map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)]));
  for (const [name, value] of Object.entries(globals)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  return {
    page, events, listeners: () => listeners,
    close() {
      world.pages.splice(world.pages.indexOf(page), 1);
      for (const [name, descriptor] of Object.entries(before)) { if (descriptor) Object.defineProperty(globalThis, name, descriptor); else delete globalThis[name]; }
    },
  };
}

/** A fresh database; connections of earlier tests let go of it. */
export function wipe() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase('tidegate');
    request.onsuccess = resolve;
    request.onerror = () => reject(request.error);
  });
}
