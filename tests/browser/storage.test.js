// The device's storage says no: another tab blocks an upgrade, newer code owns the database, there is no room. What was accepted stays, what is refused says so with its code,
// and when the storage is there again everything goes on. And what is kept can be carried away: asked of the browser to last, and as a file to another device.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeEdits } from './harness/edits.js';
import { kQuickSettings, openScene } from './harness/scene.js';
import { until } from './harness/until.js';

const settings = (page, changes) => page.run(async (changes) => { await (await client).settings(changes); }, { ...kQuickSettings, ...changes });

/** In the page: the code a call is refused with. */
const kRefused = "window.refused = async (call) => { try { await call(await client); return 'done'; } catch ({ code, message }) { return code ?? message; } }";

/** A page with `refused` and, in `failed`, the classes of the failures it is told of; what is saved in it waits until somebody allows sending. */
async function openWaiting(scene, edits) {
  const page = await scene.open();
  await page.run(kRefused);
  await page.run(async () => {
    window.failed = [];
    (await client).subscribe(({ type, detail }) => { if (type === 'sync.failed') window.failed.push(detail.class); });
  });
  await settings(page, { enabled: false });
  await scene.save(page, edits);
  return page;
}

/** A drain tells every page that storage failed; perhaps after the answer to the one that asked. */
const toldOfFailure = (page) => until(() => page.run(() => window.failed.includes('storage')), 'the news that storage failed', { seen: () => page.run(() => window.failed) });

/** Goes on where openWaiting() waits, to the end of the scene. */
async function goOn(scene, page) {
  assert.equal(scene.gateway.batches, 0, 'nothing was sent yet');
  await settings(page, { enabled: true });
  return scene.verify(page);
}

/** A tab of the app's origin that is not of this version of the app: it only opens the database. */
async function stranger(scene) {
  const page = await scene.browser.page(`${scene.origin}/empty.js`);
  await page.run(() => {
    /** Opens as a release with that version of the database would; `change` runs in the upgrade. What comes of it is in `opened`. */
    window.open = (version, change, letGo) => {
      window.opened = {};
      const request = indexedDB.open('tidegate', version);
      request.onupgradeneeded = () => change?.(request);
      request.onblocked = () => { window.opened.blocked = true; };
      request.onsuccess = () => {
        window.db = request.result;
        if (letGo) window.db.onversionchange = () => window.db.close();
        window.opened.version = request.result.version;
      };
      request.onerror = () => { window.opened.error = request.error.name; };
    };
  });
  const opened = async (what) => until(async () => (await page.run(() => window.opened))[what], `the database to be ${what}`, { seen: () => page.run(() => window.opened) });
  return { page, opened };
}

test('an upgrade that another tab blocks: calls say "blocked" after a bounded time and a save that was told so is not kept; one that waits is, when the tab lets go, and everything arrives', async (t) => {
  const scene = await openScene(t);
  const page = await openWaiting(scene, makeEdits({ count: 10, entities: 10, seed: 51, fold: 0 }));
  const holder = await stranger(scene);
  await holder.page.run(() => window.open(undefined));   // it never closes, as a page that is frozen never does
  await holder.opened('version');
  const newer = await stranger(scene);
  await newer.page.run(() => window.open(2, ({ transaction }) => transaction.abort()));   // a release that thinks better of it
  await newer.opened('blocked');

  const told = await page.run(async () => {
    const calls = [(open) => open.save('NOTE', 'refused', { n: 1 }), (open) => open.ops(), (open) => open.status(), (open) => open.sync()];
    return Promise.all(calls.map((call) => refused(call)));
  });
  assert.deepEqual(told, ['blocked', 'blocked', 'blocked', 'blocked']);
  await toldOfFailure(page);

  await page.run(async () => { window.waits = (await client).save('NOTE', 'waits', { n: 2 }); });
  await holder.page.run(() => window.db.close());
  scene.book({ entity: 'NOTE', entityId: 'waits', doc: { n: 2 } }, await page.run(async () => (await window.waits).id));
  assert.equal(await newer.opened('error'), 'AbortError');
  assert.equal(await page.run(async () => (await (await client).get('NOTE', 'refused')) ?? null), null);
  const { effects } = await goOn(scene, page);
  assert.equal(effects, 11);
});

test('a later release owns the database: what needs it says "newer-schema", in the page, from the worker and at the next start, nothing is sent, and every record is as it was', async (t) => {
  const scene = await openScene(t);
  const page = await openWaiting(scene, makeEdits({ count: 10, entities: 10, seed: 52, fold: 0 }));
  const newer = await stranger(scene);
  const records = () => newer.page.run(async () => {
    const answer = (request) => new Promise((resolve, reject) => { request.onsuccess = () => resolve(request.result); request.onerror = () => reject(request.error); });
    const stores = ['ops', 'payloads', 'docs'].map((name) => window.db.transaction(name).objectStore(name));
    return Promise.all(stores.map(async (store) => JSON.stringify([await answer(store.getAllKeys()), await answer(store.getAll())])));
  });
  await newer.page.run(() => window.open(undefined, null, true));
  await newer.opened('version');
  const before = await records();
  assert.deepEqual(before.map((text) => JSON.parse(text)[0].length), [10, 10, 10]);
  await newer.page.run(() => { window.db.close(); window.open(2, ({ result }) => result.createObjectStore('later')); });
  assert.equal(await newer.opened('version'), 2);

  const told = await page.run(async () => {
    const calls = [(open) => open.save('NOTE', 'refused', { n: 1 }), (open) => open.ops(), (open) => open.status(), (open) => open.sync(), (open) => open.settings({ enabled: true })];
    return Promise.all(calls.map((call) => refused(call)));
  });
  assert.deepEqual(told, Array(5).fill('newer-schema'));
  await toldOfFailure(page);
  await (await scene.browser.workers()).stop();
  assert.equal(await page.run(() => refused((open) => open.sync())), 'newer-schema', 'a worker that starts now finds the same');
  await page.goto(scene.origin);
  await page.run(kRefused);
  assert.equal(await page.run(() => refused(() => {})), 'newer-schema', 'so does a page');
  assert.deepEqual(await records(), before);
  assert.equal(scene.gateway.batches, 0);
});

const kRoomBytes = 8 << 20;

/**
 * The app's origin may keep so much and no more; fill() takes all of it, and free() gives it back. The browser asks how much there is only when a write is larger than what
 * it last heard was free, so one that cannot fit is what makes it look.
 */
async function limitedRoom(scene) {
  const control = await scene.browser.page();
  const quota = (quotaSize) => control.send('Storage.overrideQuotaForOrigin', { origin: scene.origin, quotaSize });
  await quota(kRoomBytes);
  const fill = async (page) => {
    await quota(1);
    const refused = await page.run((bytes) => new Promise((resolve, reject) => {
      const opening = indexedDB.open('other');
      opening.onupgradeneeded = () => { opening.result.createObjectStore('files'); };
      opening.onerror = () => resolve(opening.error.name);
      opening.onsuccess = () => {
        const db = opening.result;
        const tx = db.transaction('files', 'readwrite');
        const file = new Uint8Array(bytes);   // what compresses would fit
        for (let at = 0; at < bytes; at += 65_536) crypto.getRandomValues(file.subarray(at, at + 65_536));
        tx.objectStore('files').put(file, 'file');
        tx.oncomplete = () => reject(new Error('there was room'));
        tx.onabort = () => { db.close(); resolve(tx.error.name); };
      };
    }), kRoomBytes + 1);
    assert.equal(refused, 'QuotaExceededError');
  };
  return { fill, free: () => quota(kRoomBytes) };
}

test('no room: a save is refused with "quota" and nothing of it is kept, what was saved before waits; with room again it is saved and all of it arrives', async (t) => {
  const scene = await openScene(t);
  const room = await limitedRoom(scene);
  const page = await openWaiting(scene, makeEdits({ count: 10, entities: 10, seed: 53, fold: 0 }));
  await room.fill(page);
  assert.deepEqual(await page.run(async () => Promise.all([refused((open) => open.save('NOTE', 'refused', { n: 1 })), refused((open) => open.sync())])), ['quota', 'quota']);
  await toldOfFailure(page);
  assert.deepEqual(await page.run(async () => [(await (await client).ops()).map(({ state }) => state), (await (await client).get('NOTE', 'refused')) ?? null]), [Array(10).fill('queued'), null]);
  await room.free();
  await scene.save(page, [{ entity: 'NOTE', entityId: 'refused', doc: { n: 1 } }]);
  const { effects } = await goOn(scene, page);
  assert.equal(effects, 11);
});

test('no room when the server has said yes: its word is kept until there is, and no op has a second effect', async (t) => {
  const scene = await openScene(t);
  const room = await limitedRoom(scene);
  const page = await openWaiting(scene, makeEdits({ count: 30, entities: 30, seed: 54, fold: 0 }));
  let filled;
  scene.gateway.watch = async (place) => { if (place === 'answered') await (filled ??= room.fill(page)); };   // no answer is heard before there is no room for it
  await settings(page, { enabled: true });
  await toldOfFailure(page);
  const applied = scene.server.effects();
  assert.ok(applied >= 10, `${applied} effects`);
  const states = await page.run(async () => (await (await client).ops()).map(({ state }) => state));
  assert.equal(states.length, 30, 'none leaves before that is written down');
  assert.ok(states.filter((state) => state !== 'queued').length >= applied, `${applied} were applied: ${states}`);
  await room.free();
  const { effects } = await scene.verify(page);
  assert.equal(effects, 30);
});

test('the browser is asked once to keep what is stored, unless the app does not want it; isSupported() and the worker say what it answered, and what is granted is not asked for', async (t) => {
  const scene = await openScene(t);
  const permit = (setting) => scene.browser.send('Browser.setPermission', { origin: scene.origin, permission: { name: 'persistent-storage' }, setting });
  await permit('denied');
  const page = await scene.browser.page();
  await page.send('Page.addScriptToEvaluateOnNewDocument', { source: `
    window.answers = [];
    const { persist } = StorageManager.prototype;
    StorageManager.prototype.persist = async function () {
      const kept = await persist.call(this);
      window.answers.push(kept);
      return kept;
    };` });
  const start = async (query) => {
    await page.goto(`${scene.origin}/${query}`);
    await page.run(async () => { await client; await navigator.serviceWorker.ready; });
  };
  const said = () => page.run(async () => {
    const open = await client;
    const { supported } = await (await fetch('/api/v1/sync/background/status')).json();   // the worker answers
    return { answers: window.answers, browser: await navigator.storage.persisted(), page: open.isSupported().persisted, status: (await open.status()).supported.persisted, worker: supported.persisted };
  });
  const all = (kept) => ({ browser: kept, page: kept, status: kept, worker: kept });
  await start('');   // the first page of a worker is not always controlled by it
  await until(() => page.run(() => window.answers.length > 0), 'the question');
  await start('');
  await until(() => page.run(() => window.answers.length > 0), 'the question at the next start');
  assert.deepEqual(await said(), { answers: [false], ...all(false) });
  await start('?persist=no');
  assert.deepEqual(await said(), { answers: [], ...all(false) });
  await permit('granted');
  await start('');
  assert.deepEqual(await said(), { answers: [], ...all(true) });
});

test('the queue as a file: exported on one device and imported on a new one it is shown and drained there; the old one drains, too, and the server has each once; exportData() has what is shown, and erase() leaves nothing of it', async (t) => {
  const scene = await openScene(t);
  const old = await openWaiting(scene, makeEdits({ count: 40, entities: 20, seed: 56, fold: 0 }));
  const file = await old.run(async () => (await (await client).exportQueue()).text());
  const shown = (page) => page.run(async () => (await (await client).ops()).map(({ id, entity, entityId, action, state, priority }) => ({ id, entity, entityId, action, state, priority })));
  const before = await shown(old);
  assert.equal(before.length, 40);

  const { browserContextId } = await scene.browser.send('Target.createBrowserContext');
  const fresh = await scene.browser.page(scene.origin, browserContextId);
  await fresh.run(async () => { await client; await navigator.serviceWorker.ready; });
  assert.deepEqual(await shown(fresh), []);
  await settings(fresh, { enabled: false });
  const imported = () => fresh.run(async (file) => (await client).importQueue(new File([file], 'queue.ndjson')), file);
  assert.deepEqual([await imported(), await imported()], [{ imported: 40 }, { imported: 0 }]);
  assert.deepEqual(await shown(fresh), before);
  assert.equal(scene.gateway.batches, 0);
  await settings(fresh, { enabled: true });
  await scene.arrived();
  await until(async () => (await shown(fresh)).length === 0, 'the new device to be done');
  assert.equal(scene.server.effects(), 40);
  const sent = scene.gateway.batches;

  await settings(old, { enabled: true });
  await until(async () => (await shown(old)).length === 0, 'the old device to be done', { seen: () => shown(old) });
  assert.ok(scene.gateway.batches > sent, 'it sent what it had');
  assert.equal(scene.server.effects(), 40, 'and the server knew all of it');

  const [exported, listed] = await old.run(async () => {
    const open = await client;
    const documents = (await Promise.all(['ASSESSMENT', 'RESPONSE', 'NOTE'].map((entity) => open.list(entity)))).flat();
    return [await (await open.exportData()).text(), documents.map(({ entityId, doc }) => [entityId, doc])];
  });
  const documents = exported.trimEnd().split('\n').map((line) => JSON.parse(line)).filter(({ store }) => store === 'docs')
    .map(({ value, bytes }) => [value.entityId, JSON.parse(Buffer.from(bytes, 'base64').toString())]);
  const byName = ([a], [b]) => (a < b ? -1 : 1);
  assert.deepEqual(documents.sort(byName), listed.sort(byName));
  assert.equal(documents.length, 20);
  const kept = (page) => page.run(async () => {
    const answer = (request) => new Promise((resolve, reject) => { request.onsuccess = () => resolve(request.result); request.onerror = () => reject(request.error); });
    const db = await answer(indexedDB.open('tidegate'));
    const counts = await Promise.all(['ops', 'payloads', 'docs', 'bases'].map((name) => answer(db.transaction(name).objectStore(name).count())));
    db.close();
    return counts;
  });
  assert.deepEqual(await kept(old), [0, 0, 20, 20]);
  await old.run(async () => { await (await client).erase(); });
  assert.deepEqual([await kept(old), await kept(fresh)], [[0, 0, 0, 0], [0, 0, 20, 20]], 'the other device keeps its own');
  await scene.verify(fresh);
});
