// Worker and page, each in a fake of its browser: the shell, the core and the server are real. The real browser runs in tests/browser.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clock } from '../../sw/clock.js';
import { readRequest } from '../../sw/messages.js';
import { kTickMs } from '../../sw/waker.js';
import { connect } from '../../web/client.js';
import { startServer } from './server-harness.js';
import { openPage, origin, startWorker, wipe } from './sw-harness.js';

/** A server, its origin, a worker and a page of it. */
async function browser(t, { worker: workerOptions, page: pageOptions, withWorker = true, connectOptions, ...originOptions } = {}) {
  await wipe();
  const server = await startServer(t);
  const world = origin(server.url, originOptions);
  const worker = withWorker ? await startWorker(world, workerOptions) : null;
  if (worker) await worker.fire('install');
  const page = openPage(world, { worker, ...pageOptions });
  t.after(() => page.close());
  const client = await connect({ worker: '/sw.js', endpoint: '/api/v1', wasm: '/tidegate.wasm', ...connectOptions });
  t.after(() => client.close());
  const events = [];
  client.subscribe((event) => events.push(event));
  return { ...server, world, worker, page, client, events };
}

async function until(condition, what = 'the awaited condition') {
  const end = Date.now() + 8_000;
  while (!(await condition())) {
    assert.ok(Date.now() < end, `${what} did not come`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
const drained = (client) => until(async () => (await client.ops()).length === 0, 'an empty outbox');

test('every listener is registered while the script is evaluated', async (t) => {
  const { worker } = await browser(t);
  assert.deepEqual(worker.listening.sort(), ['activate', 'fetch', 'install', 'message', 'online', 'periodicsync', 'push', 'sync']);
});

test('a save is on the disk when it resolves, is drained by the worker, and the page hears of it', async (t) => {
  const { client, get, events, world } = await browser(t);
  const { id } = await client.save('NOTE', 'n1', { n: 1 });
  assert.deepEqual(await client.get('NOTE', 'n1'), { n: 1 });
  await drained(client);
  assert.equal((await get('NOTE/n1')).text, '{"n":1}');
  assert.equal(await client.op(id), undefined);
  await until(() => events.some(({ type, status }) => type === 'status' && status.queueSize === 0), 'the status');
  assert.deepEqual(world.tags, ['tidegate']);
});

test('calls are answered by the worker', async (t) => {
  const { client } = await browser(t);
  await client.pause();
  assert.equal((await client.status()).state, 'paused');
  assert.equal((await client.status()).supported.serviceWorker, true);
  const { id } = await client.save('NOTE', '1', { n: 1 });
  await client.setPriority(id, 'high');
  assert.equal((await client.op(id)).priority, 'high');
  assert.equal((await client.settings({ maxRetryAttempts: 9 })).maxRetryAttempts, 9);
  await assert.rejects(client.settings({ maxRetryAttempts: -1 }), { name: 'TidegateError', code: 'out-of-range' });
  await assert.rejects(client.cancel('nobody'), { name: 'TidegateError', code: 'unknown-op', path: '/id' });
  await client.resume();
  await client.sync();
  assert.deepEqual(await client.ops(), []);
});

test('with the page closed a sync event drains; a worker started anew finds its core in the cache, without a network', async (t) => {
  const { client, world, page, get } = await browser(t, { online: false });
  for (let n = 0; n < 20; n++) await client.save('NOTE', `n${n}`, { n });
  await client.close();
  page.close();
  assert.equal((await get('NOTE/n0')).status, 404);
  world.navigator.onLine = true;
  const fetched = world.caches.fetched.length;
  const worker = await startWorker(world);
  await worker.fire('sync', { tag: 'tidegate', lastChance: false });
  assert.equal((await get('NOTE/n19')).text, '{"n":19}');
  assert.equal(world.caches.fetched.length, fetched);
});

test('a sync event is rejected while work remains, so that the browser fires it again; never on the last chance', async (t) => {
  const { client, world, server, worker } = await browser(t, { online: false });
  await client.save('NOTE', '1', { n: 1 });
  await server.close();
  world.navigator.onLine = true;
  const again = await startWorker(world, { syncEventMs: 200 });
  await assert.rejects(again.fire('sync', { tag: 'tidegate', lastChance: false }), /left to send/);
  await again.fire('sync', { tag: 'tidegate', lastChance: true });
  assert.equal((await client.ops()).length, 1);
  await worker.fire('sync', { tag: 'somebody-elses' }).then(({ waited }) => assert.equal(waited, 0));
});

test('the tag is armed by a save, once, and never while it fires', async (t) => {
  const { client, world, worker } = await browser(t, { online: false });
  await client.save('NOTE', '1', { n: 1 });
  await client.save('NOTE', '2', { n: 1 });
  await until(() => world.registered === 1, 'the registration');
  world.tags = [];   // fired: the browser has taken it
  const { source, ...message } = { data: { tidegate: 1, id: 99, until: 'answers', request: { event: { type: 'accept' } } }, origin: world.url, source: { type: 'window', postMessage() {} } };
  const whenItEnded = [];
  world.pages.push({ postMessage: ({ type }) => { if (type === 'sync.ended') whenItEnded.push(world.registered); } });
  const sync = worker.fire('sync', { tag: 'tidegate', lastChance: true });
  await Promise.all([sync, worker.fire('message', { ...message, source })]);
  assert.equal(whenItEnded[0], 1);
  await worker.fire('message', { ...message, source });
  assert.equal(world.registered, 2);
});

test('a save that came while the tag fired, too late for its drain, is armed with the end of the event: the tag goes with it', async (t) => {
  const { world, worker } = await browser(t);
  const message = { data: { tidegate: 1, id: 99, until: 'answers', request: { event: { type: 'accept' } } }, origin: world.url, source: { type: 'window', postMessage() {} } };
  const { put } = IDBObjectStore.prototype;
  t.after(() => { IDBObjectStore.prototype.put = put; });
  /** @type {Promise<any> | undefined} */
  let late;
  IDBObjectStore.prototype.put = function (value, key) {
    if (key === 'lease' && value.holder === null) late ??= worker.fire('message', message);   // the drain is over and gives its lease back
    return put.call(this, value, key);
  };
  await until(async () => (await worker.fire('sync', { tag: 'tidegate', lastChance: false })) && late !== undefined);
  await late;
  assert.equal(world.registered, 1);
});

test('a browser without background sync, or one that refuses it, loses nothing but the comfort', async (t) => {
  const { client, world, worker, get } = await browser(t);
  worker.scope.registration.sync.register = async () => { throw new DOMException('denied', 'NotAllowedError'); };
  await client.save('NOTE', '1', { n: 1 });
  await drained(client);
  delete worker.scope.registration.sync;
  await client.save('NOTE', '2', { n: 2 });
  await drained(client);
  assert.equal((await get('NOTE/2')).status, 200);
  assert.deepEqual(world.tags, []);
});

test('periodic sync is asked for, every 15 minutes, when the worker takes over and once by each worker that hears of a save; refused, nothing is lost', async (t) => {
  const { client, world, worker } = await browser(t);
  const asked = ['tidegate', { minInterval: 900_000 }];
  await worker.fire('activate');
  assert.deepEqual(world.periodic, [asked]);
  await client.save('NOTE', '1', { n: 1 });
  await drained(client);
  assert.deepEqual(world.periodic, [asked]);
  const accept = { data: { tidegate: 1, id: 99, until: 'answers', request: { event: { type: 'accept' } } }, origin: world.url, source: { type: 'window', postMessage() {} } };
  const later = await startWorker(world);
  for (let i = 0; i < 2; i++) await later.fire('message', accept);
  assert.deepEqual(world.periodic, [asked, asked]);
  world.refusesPeriodic = true;
  const refused = await startWorker(world);
  await refused.fire('activate');
  const without = await startWorker(world);
  delete without.scope.registration.periodicSync;
  await without.fire('activate');
  await without.fire('message', accept);
  assert.deepEqual(world.periodic, [asked, asked]);
});

/** What a page of this origin may say, and the answers it gets. */
function fromPage(world, request) {
  const answers = [];
  return { answers, message: { data: { tidegate: 1, id: 99, until: 'answers', request }, origin: world.url, source: { type: 'window', postMessage: (data) => answers.push(data) } } };
}

/** Saves, and the worker hears nothing of it. */
async function saveUnheard({ world, client }, id) {
  world.deaf = true;
  await client.save('NOTE', id, { id });
  await until(() => world.messages.at(-1)?.request.event?.type === 'accept', 'the news of it');
  world.deaf = false;
}

/** Timers of half a minute and more, which do not run by themselves: {ms, run}. */
function longTimers(t) {
  const timers = [], { timer } = clock;
  t.mock.method(clock, 'timer', (ms, run) => {
    if (ms < kTickMs) return timer(ms, run);
    const entry = { ms, run };
    timers.push(entry);
    return () => { if (timers.includes(entry)) timers.splice(timers.indexOf(entry), 1); };
  });
  return timers;
}

for (const [occasion, trigger, act] of [
  ['a sync event', 'connectivity', ({ worker }) => worker.fire('sync', { tag: 'tidegate', lastChance: false })],
  ['a periodicsync event', 'periodic', ({ worker }) => worker.fire('periodicsync', { tag: 'tidegate' })],
  ['a push with a hint', 'push', ({ worker }) => worker.fire('push', { data: { json: () => ({ tidegate: 'hint' }) } })],
  ['the worker online again', 'connectivity', ({ worker }) => worker.fire('online')],
  ['a page online again', 'connectivity', ({ page }) => page.events.dispatchEvent(new Event('online'))],
  ['a page that is shown', 'periodic', ({ document }) => document.dispatchEvent(new Event('visibilitychange'))],
  ['the tick of an open page', 'periodic', ({ timers }) => timers.find(({ ms }) => ms === kTickMs).run()],
  ['a save', 'data-change', ({ client }) => client.save('NOTE', '2', {})],
  ['sync()', 'manual', ({ client }) => client.sync()],
  ['POST start', 'manual', ({ worker }) => worker.fetch('/api/v1/sync/background/start', { method: 'POST' })],
  ['a page that loads', 'start', async ({ t, world, worker }) => {
    const page = openPage(world, { worker });
    const second = await connect({ worker: '/sw.js', endpoint: '/api/v1' });
    t.after(async () => { await second.close(); page.close(); });
  }],
])
  test(`${occasion} begins a drain, and its session says "${trigger}"`, async (t) => {
    const timers = longTimers(t);
    const all = { ...await browser(t), timers };
    const { document } = globalThis;
    await all.client.status();
    await saveUnheard(all, '1');
    assert.equal((await all.client.ops()).length, 1);
    await act({ ...all, t, document });
    await drained(all.client);
    await until(async () => (await all.client.background.list()).some(({ endTime }) => endTime), 'the end of the session');
    assert.deepEqual((await all.client.background.list()).map(({ trigger, itemsSucceeded }) => [trigger, itemsSucceeded > 0]), [[trigger, true]]);
    assert.equal((await all.get('NOTE/1')).status, 200);
  });

test('a page wakes whoever drains at the time the core named, by one timer; closed, it has none', async (t) => {
  const timers = longTimers(t);
  const { client, get, events } = await browser(t);
  const waits = () => timers.filter(({ ms }) => ms > kTickMs && ms <= 600_000);
  await client.save('NOTE', '1', { n: 1 });
  await drained(client);
  await until(async () => (await client.background.list()).some(({ endTime }) => endTime), 'the end of the session');
  await client.settings({ minInterval: 600_000 });
  await client.save('NOTE', '2', { n: 2 });
  await until(() => events.at(-1)?.type === 'sync.ended' && events.at(-1).detail.wakeAtMs > clock.now() + 500_000, 'the time to look again');
  const [{ ms, run }, ...others] = waits().filter(({ ms }) => ms > 500_000);
  assert.deepEqual(others, []);
  assert.ok(Math.abs(clock.now() + ms - events.at(-1).detail.wakeAtMs) < 5_000, `${ms} ms`);
  const { now } = clock;
  t.mock.method(clock, 'now', () => now() + ms);
  assert.equal((await get('NOTE/2')).status, 404);
  run();
  await drained(client);
  assert.equal((await get('NOTE/2')).status, 200);
  await until(async () => (await client.background.list()).filter(({ endTime }) => endTime).length === 2, 'the end of the session');
  assert.equal((await client.background.list()).at(-1).trigger, 'periodic');
  await client.save('NOTE', '3', { n: 3 });
  await until(() => waits().some(({ ms }) => ms > 500_000), 'the next timer');
  await client.close();
  assert.deepEqual(waits().filter(({ ms }) => ms > 500_000), []);
});

test('events of others begin nothing: a foreign periodic tag, a push of the app\'s own', async (t) => {
  const all = await browser(t);
  await all.client.status();
  await saveUnheard(all, '1');
  for (const [type, props] of [['periodicsync', { tag: 'news' }], ['push', { data: { json: () => ({ title: 'News' }) } }]]) assert.equal((await all.worker.fire(type, props)).waited, 0);
  assert.equal((await all.client.ops()).length, 1);
});

test('while no page is open, timers keep the pace of syncIntervalMinutes; one that is open and not seen is open', async (t) => {
  const all = await browser(t, { page: { visible: false } });
  const { client, worker, world, get } = all;
  await client.save('NOTE', '1', {});
  await drained(client);
  await until(async () => (await client.background.list()).some(({ endTime }) => endTime), 'the end of the session');
  await saveUnheard(all, '2');
  const timer = fromPage(world, { event: { type: 'timer', trigger: 'periodic' } });
  const open = world.pages.splice(0);
  await worker.fire('message', timer.message);
  await worker.fire('periodicsync', { tag: 'tidegate' });
  assert.equal((await get('NOTE/2')).status, 404);
  world.pages.push(...open);
  await worker.fire('message', timer.message);
  assert.equal((await get('NOTE/2')).status, 200);
});

test('a person at the device is a reading where the browser was permitted to tell before; nobody is asked, and elsewhere it is unknown', async (t) => {
  const started = [];
  class Detector extends EventTarget {
    userState = 'active';
    screenState = 'unlocked';
    async start(options) { started.push(options.threshold); }
  }
  for (const [permission, reason] of [['granted', /in use/], ['prompt', undefined]])
    await t.test(permission, async (t) => {
      const { client, get } = await browser(t, { page: { idle: { permission, Detector } } });
      await client.settings({ requiresIdle: true });
      const { id } = await client.save('NOTE', '1', {});
      if (reason) assert.match((await client.explain(id)).sentence, reason);
      else await drained(client);
      assert.equal((await get('NOTE/1')).status, reason ? 404 : 200);
      assert.equal((await client.status()).unknownReadings.includes('idle'), permission !== 'granted');
      assert.equal(client.isSupported().idleDetection, true);
    });
  assert.deepEqual(started, [60_000]);
});

test('how busy the processor is goes with the readings where the browser tells it, while the page has the focus; a refusal is none', async (t) => {
  const observed = [];
  const pressure = {
    focus: true, refused: false,
    Observer: class {
      constructor(tell) { this.tell = tell; }
      async observe(source) {
        if (pressure.refused) throw new DOMException('by policy', 'NotAllowedError');
        observed.push({ observer: this, source });
      }
      disconnect() { this.ended = true; }
    },
  };
  await t.test('told', async (t) => {
    const { world, client } = await browser(t, { page: { pressure } });
    const said = async () => { await client.status(); return world.messages[world.messages.length - 1].readings.pressure; };
    assert.equal(await said(), undefined, 'nothing was told yet');
    const [{ observer, source }] = observed;
    assert.equal(source, 'cpu');
    observer.tell([{ state: 'serious' }, { state: 'critical' }]);
    assert.equal(await said(), 'critical');
    pressure.focus = false;
    assert.equal(await said(), undefined, 'the browser would not tell that it fell');
    await client.close();
    assert.equal(observer.ended, true);
  });
  await t.test('refused', async (t) => {
    Object.assign(pressure, { focus: true, refused: true });
    const { client } = await browser(t, { page: { pressure } });
    assert.equal((await client.status()).queueSize, 0);
  });
  const { readings } = readRequest({ tidegate: 1, id: 1, request: {}, readings: { pressure: 'serious' } });
  assert.deepEqual(readings, { pressure: 'serious' }, 'the worker takes it');
});

test('the browser is asked to keep the storage, unless it does already or the app says no', async (t) => {
  for (const [persisted, granted, options, asked] of [[false, true, {}, 1], [false, false, {}, 1], [true, true, {}, 0], [false, true, { persist: false }, 0]])
    await t.test(JSON.stringify({ persisted, granted, options }), async (t) => {
      let asks = 0;
      const storage = { persisted: async () => persisted, persist: async () => { asks += 1; return granted; } };
      const { client } = await browser(t, { page: { storage }, connectOptions: options });
      await client.status();
      assert.equal(asks, asked);
      assert.equal(client.isSupported().persisted, persisted || (asked === 1 && granted));
    });
});

test('messages beyond the rate are refused with "limit", and what they ask for does not happen', async (t) => {
  const { world, worker, client } = await browser(t);
  await client.status();
  const toldAtMs = Date.now();
  await until(() => Date.now() > toldAtMs + 20, 'what that took from the rate to have come back');
  const idle = fromPage(world, {});
  const work = [];
  for (let n = 0; n < 1_000; n++) work.push(worker.fire('message', idle.message));
  const pause = fromPage(world, { commands: [{ type: 'pause' }] });
  work.push(worker.fire('message', pause.message));
  assert.equal(pause.answers.length, 1, 'at once');
  assert.deepEqual([pause.answers[0].id, pause.answers[0].error.code], [99, 'limit']);
  assert.match(pause.answers[0].error.message, /at most 100 messages per second/);
  await Promise.all(work);
  const refused = idle.answers.filter(({ error }) => error).length;
  assert.ok(idle.answers.length === 1_000 && refused > 300 && refused <= 500, `${refused} of ${idle.answers.length} were refused`);
  assert.notEqual((await (await worker.fetch('/api/v1/sync/background/status')).response.json()).state, 'paused');
});

test('what a realm can do is said under the same names in page and Node; where nothing can be kept every call says so, and nothing throws before', async (t) => {
  const { client } = await browser(t);
  const { openClient } = await import('../../sw/node.js');
  const inNode = await openClient({ path: ':memory:', endpoint: 'http://127.0.0.1:1', autoSync: false });
  t.after(() => inNode.close());
  const own = Object.getOwnPropertyDescriptor(globalThis, 'indexedDB');
  delete globalThis.indexedDB;
  t.after(() => Object.defineProperty(globalThis, 'indexedDB', own));
  const none = await connect({ endpoint: '/api/v1' });
  Object.defineProperty(globalThis, 'indexedDB', own);
  assert.deepEqual(Object.keys(inNode.isSupported()), Object.keys(client.isSupported()));
  assert.deepEqual(Object.keys(none.isSupported()), Object.keys(client.isSupported()));
  assert.ok(Object.values(none.isSupported()).every((can) => can === false));
  assert.deepEqual([client.isSupported().serviceWorker, inNode.isSupported().serviceWorker], [true, false]);
  for (const name of Object.keys(client).filter((name) => !['isSupported', 'subscribe', 'close', 'background', 'registerTask'].includes(name)))
    await assert.rejects(none[name](), { name: 'TidegateError', code: 'unsupported', message: /no IndexedDB/ }, name);
  await assert.rejects(none.background.list(), { code: 'unsupported' });
  none.subscribe(() => {})();
  none.registerTask({ taskId: 'a', execute() {} })();
  await none.close();
});

test('messages from elsewhere or of another shape are left alone', async (t) => {
  const { world, worker } = await browser(t);
  const answers = [];
  const source = { type: 'window', postMessage: (data) => answers.push(data) };
  const data = { tidegate: 1, id: 1, until: 'answers', request: { commands: [{ type: 'pause' }] } };
  for (const wrong of [
    { origin: 'https://evil.example', source, data }, { origin: world.url, source: { ...source, type: 'sharedworker' }, data }, { origin: world.url, source: null, data },
    { origin: world.url, source, data: null }, { origin: world.url, source, data: { ...data, tidegate: 2 } }, { origin: world.url, source, data: { ...data, id: '1' } },
    { origin: world.url, source, data: { ...data, request: { commands: 'pause' } } }, { origin: world.url, source, data: { ...data, request: { event: { type: 'sync' } } } },
    { origin: world.url, source, data: { ...data, request: { commands: Array(101).fill({ type: 'pause' }) } } },
  ]) assert.equal((await worker.fire('message', wrong)).waited, 0, JSON.stringify(wrong.data));
  assert.deepEqual(answers, []);
  await worker.fire('message', { origin: world.url, source, data });
  assert.deepEqual(answers, [{ tidegate: 1, id: 1, value: [{ ok: true }] }]);
});

test('of a message only what a page may say goes on', () => {
  const read = readRequest({
    tidegate: 1, id: 1, until: 'whenever', extra: 1,
    request: { event: { type: 'page', trigger: 'x'.repeat(99), deadlineMs: 9e15, lastChance: true, tag: 't' }, commands: [{ type: 'status' }], more: 1 },
    readings: { batteryLevel: 50, charging: 'yes', rtt: NaN, connectionType: 'x'.repeat(99), __proto__: { online: true }, foreign: 1 },
  });
  assert.deepEqual(read, { id: 1, until: 'answers', request: { event: { type: 'page', trigger: 'x'.repeat(32) }, commands: [{ type: 'status' }] }, readings: { batteryLevel: 50 } });
});

test('battery readings of the page reach the core in the worker', async (t) => {
  const { client } = await browser(t, { page: { battery: { level: 0.05, charging: false } } });
  await client.save('NOTE', '1', { n: 1 });
  const status = await client.status();
  assert.match(status.reason, /[Bb]attery/);
  assert.equal(status.connectivity.batteryLevel, 5);
  assert.equal((await client.ops()).length, 1);
});

test('the shell: filled on install, all or nothing; older versions removed on activate; foreign caches left alone', async (t) => {
  const shell = { version: '2', assets: ['./', './app.js'], navigate: './' };
  const { world, worker } = await browser(t, { worker: { shell } });
  await world.caches.open('tidegate-shell-1');
  await world.caches.open('somebody-elses');
  await worker.fire('activate');
  assert.deepEqual((await world.caches.keys()).sort(), ['somebody-elses', 'tidegate-shell-2']);
  assert.equal(await (await worker.fetch('/app.js')).response.text(), 'app');
  assert.equal(await (await worker.fetch('/some/route', { mode: 'navigate' })).response.text(), 'page');
  for (const request of ['/unknown.js', '/api/v1/changes', '/api/v1/sync/background/nothing/else'].slice(0, 2)) assert.equal((await worker.fetch(request)).response, undefined);
  assert.equal((await worker.fetch('/app.js', { method: 'POST' })).response, undefined);
  assert.equal((await worker.fetch('/api/v1/entities/A/1', { mode: 'navigate' })).response, undefined, 'a navigation to the API is the server\'s');
  const broken = await startWorker(world, { shell: { version: '3', assets: ['./missing.js'] } });
  await assert.rejects(broken.fire('install'), /missing\.js/);
});

test('the management calls', async (t) => {
  const { worker, client } = await browser(t);
  const call = async (path, init) => {
    const { response } = await worker.fetch(`/api/v1/sync/background/${path}`, init);
    return response && { status: response.status, body: await response.json(), headers: response.headers };
  };
  assert.equal((await call('pause', { method: 'POST' })).status, 200);
  const status = await call('status');
  assert.deepEqual([status.body.state, status.headers.get('cache-control')], ['paused', 'no-store']);
  const { supported, storage } = await client.status();
  assert.deepEqual([status.body.supported.serviceWorker, status.body.supported.persistentStore, status.body.supported.core, status.body.storage], [true, true, true, storage]);
  assert.deepEqual(Object.keys(status.body.supported), Object.keys(supported), 'the same names as in a page');
  assert.equal(status.body.supported.battery, false, 'what the worker can do, not what a page of it can');
  await client.save('NOTE', '1', { n: 1 });
  await call('resume', { method: 'POST' });
  assert.equal((await call('start', { method: 'POST' })).status, 200);
  await drained(client);
  assert.equal((await call('settings', { method: 'PUT', body: '{"minimumBatteryLevel":30}' })).body.minimumBatteryLevel, 30);
  assert.equal((await call('settings')).body.minimumBatteryLevel, 30);
  assert.equal(typeof (await call('metrics')).body, 'object');
  const wrong = await call('settings', { method: 'PUT', body: '{"minimumBatteryLevel":300}' });
  assert.deepEqual([wrong.status, wrong.body.type, wrong.body.field], [400, 'urn:tidegate:bad-request', '/minimumBatteryLevel']);
  assert.equal((await call('settings', { method: 'PUT', body: '{' })).status, 400);
  assert.equal((await call('settings', { method: 'PUT', body: `"${'x'.repeat(70_000)}"` })).status, 400);
  assert.deepEqual([(await call('pause')).status, (await call('pause')).headers.get('allow')], [405, 'POST']);
  for (const path of ['nothing', '../status', 'constructor', '__proto__']) assert.notEqual((await call(path))?.status, 200);
  assert.equal(await call('pause', { method: 'POST', mode: 'navigate', body: 'a=b' }), undefined, 'a form of a foreign page is not answered');
});

test('without a worker the page drains by itself', async (t) => {
  const { client, get, events } = await browser(t, { withWorker: false });
  assert.equal(client.isSupported().serviceWorker, false);
  await client.save('NOTE', '1', { n: 1 });
  await drained(client);
  assert.equal((await get('NOTE/1')).status, 200);
  await client.pause();
  assert.equal((await client.status()).state, 'paused');
  assert.ok(events.some(({ type }) => type === 'status'));
});

test('a page that hears that it is online again drains at once', async (t) => {
  const { client, world, page, get } = await browser(t, { withWorker: false, online: false });
  await client.save('NOTE', '1', { n: 1 });
  await client.status();
  assert.equal((await client.ops()).length, 1);
  world.navigator.onLine = true;
  navigator.onLine = true;
  page.events.dispatchEvent(new Event('online'));
  await drained(client);
  assert.equal((await get('NOTE/1')).status, 200);
});

test('a damaged record of the outbox is shown as quarantined, with the reason, stays as it is, and everything else goes; dropped, it is gone', async (t) => {
  const { client, get, events } = await browser(t, { withWorker: false });
  await client.pause();
  const { id } = await client.save('NOTE', 'bad', { n: 1 });
  await client.save('NOTE', 'good', { n: 2 });
  const settled = (request) => new Promise((resolve, reject) => { request.onsuccess = () => resolve(request.result); request.onerror = () => reject(request.error); });
  const db = await settled(indexedDB.open('tidegate'));
  t.after(() => db.close());
  const ops = () => db.transaction('ops', 'readwrite').objectStore('ops');
  const damaged = { ...(await settled(ops().index('id').get(id))), entityId: 7 };
  await settled(ops().put(damaged));
  await client.close();

  const again = await connect({ worker: '/sw.js', endpoint: '/api/v1', wasm: '/tidegate.wasm' });
  t.after(() => again.close());
  again.subscribe((event) => events.push(event));
  await again.resume();
  await until(async () => (await get('NOTE/good')).status === 200, 'the other one');
  await until(async () => (await again.ops({ state: 'quarantined' })).length === 1, 'the quarantined one');
  const reason = 'entityId: expected a string, got 7';
  assert.equal((await again.op(id)).state, 'quarantined');
  assert.ok((await again.op(id)).reason.includes(reason), (await again.op(id)).reason);
  assert.ok(JSON.stringify(await again.explain(id)).includes(reason), JSON.stringify(await again.explain(id)));
  assert.equal((await again.status()).deadLetters, 1);
  assert.ok(events.some(({ type, detail }) => type === 'sync.rejected' && detail.id === id));
  await again.retry(id);
  assert.ok((await again.op(id)).reason.includes(reason), 'a retry makes nothing better');
  assert.deepEqual(await settled(ops().index('id').get(id)), damaged);
  assert.equal((await get('NOTE/bad')).status, 404);
  await again.drop(id);
  assert.deepEqual(await again.ops(), []);
  assert.equal((await again.status()).deadLetters, 0);
});

test('a listener that throws harms nobody', async (t) => {
  const { client, events } = await browser(t, { withWorker: false });
  const real = console.error;
  let told = 0;
  console.error = () => { told += 1; };
  const unsubscribe = client.subscribe(() => { throw new Error('mine'); });
  await client.save('NOTE', '1', { n: 1 });
  await drained(client);
  await client.status();
  unsubscribe();
  console.error = real;
  assert.ok(told > 0 && events.length > 0);
});

test('close leaves no listener and no request behind', async (t) => {
  const { client, page } = await browser(t);
  const asked = client.sync();
  asked.catch(() => {});
  assert.ok(page.listeners() > 0);
  await client.close();
  await client.close();
  assert.equal(page.listeners(), 0);
  await assert.rejects(client.save('NOTE', '1', {}), { code: 'closed' });
  await assert.rejects(client.status(), { code: 'closed' });
});
