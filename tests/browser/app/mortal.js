// A realm that can die at any of its awaits. The doors through which all asynchronous work of a page or a worker goes are wrapped: IndexedDB, fetch and the bodies it
// answers, locks, caches, timers. Armed with a number, the realm goes through so many of them; at the next it tells the test's server and never goes on, as if it had
// ended there, until somebody ends it. What the browser does by itself (a transaction that was asked to commit) it still does.
//
// A request of a transaction is a point, too: a realm that ends there leaves a transaction that never commits. So that this one does not either, it is kept busy.
const start = crypto.randomUUID();
const doors = { fetch: self.fetch.bind(self), addEventListener: EventTarget.prototype.addEventListener };
let dieAt = 0, dead = false;
/** @type {string[]} the points passed since it was armed, by their doors */
let passed = [];

const tell = (what) => doors.fetch('/told', { method: 'POST', body: JSON.stringify({ ...what, start }) });

/** From now on the realm dies at its point number `at`; 0: never, and which it passed since it was armed is told. @param {number} at */
export function arm(at) {
  if (at === 0 && !dead) tell({ passed });
  dieAt = at;
  passed = [];
}

/** Whether it lives through this point. @param {string} door */
function lives(door) {
  if (dead) return false;
  if (dieAt === 0 || passed.push(door) < dieAt) return true;
  dead = true;
  tell({ died: dieAt, door });
  return false;
}

/** @param {string} door */
const point = async (door) => { if (!lives(door)) await new Promise(() => {}); };

/** A function whose call and whose answer are points. @param {string} door @param {Function} call @returns {any} */
const guarded = (door, call) => async function (...args) {
  await point(door);
  const answer = await call.apply(this, args);
  await point(`${door} answered`);
  return answer;
};

/** Puts points into this realm. Once, and before anything else of the app. */
export function beMortal() {
  self.fetch = guarded('fetch', doors.fetch);
  for (const [of, names] of /** @type {[any, string[]][]} */ ([[Cache, ['match', 'put']], [CacheStorage, ['open', 'match']], [ReadableStreamDefaultReader, ['read']], [SyncManager, ['getTags', 'register']]]))
    for (const name of names) of.prototype[name] = guarded(`${of.name}.${name}`, of.prototype[name]);

  const { request } = LockManager.prototype;
  LockManager.prototype.request = function (name, ...rest) {
    const held = rest.pop();
    return request.call(this, name, ...rest, async (/** @type {any} */ lock) => {
      await point('lock');
      return held(lock);
    });
  };

  const { setTimeout } = self;
  self.setTimeout = /** @type {any} */ ((run, ms, ...args) => setTimeout((...given) => { if (lives('timer')) run(...given); }, ms, ...args));

  /** @type {WeakMap<object, any>} */
  const wrapped = new WeakMap();
  for (const [of, type, stay] of /** @type {[any, string, (target: any) => void][]} */ ([[IDBRequest, 'success', keepBusy], [IDBTransaction, 'complete', () => {}]])) {
    of.prototype.addEventListener = function (kind, listener, options) {
      if (kind !== type) return doors.addEventListener.call(this, kind, listener, options);
      const heard = (event) => { if (lives(`${of.name} ${type}`)) listener.call(this, event); else stay(this); };
      wrapped.set(listener, heard);
      doors.addEventListener.call(this, kind, heard, options);
    };
    of.prototype.removeEventListener = function (kind, listener, options) {
      EventTarget.prototype.removeEventListener.call(this, kind, wrapped.get(listener) ?? listener, options);
    };
  }
}

/** One request after the other, so that the transaction goes on for as long as the realm. @param {IDBRequest} request */
function keepBusy({ transaction }) {
  if (!transaction) return;
  const store = transaction.objectStore(transaction.objectStoreNames[0]);
  const again = () => { store.count().onsuccess = again; };
  again();
}
