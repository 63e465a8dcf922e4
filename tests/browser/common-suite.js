// What must hold in every engine, whatever it can and cannot do: the same tests over Chromium, Firefox and WebKitGTK. Nothing here may know which engine it is.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { documentHash } from '../../headless/checker.mjs';
import { makeEdits } from './harness/edits.js';
import { kQuickSettings, openScene } from './harness/scene.js';
import { until } from './harness/until.js';

/** Engines other than Chromium hear of the network by their own ways and timers; CI is slow. */
const kPatienceMs = 120_000;
const quick = (page) => page.run(async (settings) => { await (await client).settings(settings); }, kQuickSettings);

const kFilmBytes = 5_000_000;
/** Bytes that do not compress. Runs in the page and here. @param {number} size */
function noise(size) {
  const bytes = new Uint8Array(size);
  for (let i = 0, state = 7; i < size; i++) bytes[i] = (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 24;
  return bytes;
}

/** @param {any} engine  one of harness/chromium.js, firefox.js, webkit.js */
export function commonSuite(engine) {
  test('accept: a save is on the disk when it resolves, is shown at once, and is there again in a new tab, with the server down', async (t) => {
    const scene = await openScene(t, { engine });
    const page = await scene.open();
    await scene.gateway.down();
    await scene.save(page, makeEdits({ count: 12, entities: 6, seed: 71 }));
    const shown = () => page.run(async () => (await Promise.all(['ASSESSMENT', 'RESPONSE', 'NOTE'].map(async (entity) => (await (await client).list(entity)).map(({ entity, entityId, doc }) => [entity, entityId, doc])))).flat());
    const before = await shown();
    assert.equal(before.length, 6);
    assert.ok((await page.run(async () => (await (await client).ops()).length)) > 0);
    await page.goto(`${scene.origin}/`);   // the shell answers: nobody else could
    await page.run('client.then(() => {})');
    assert.deepEqual(await shown(), before);
    await scene.gateway.open();
    await quick(page);
    await scene.arrived({ patienceMs: kPatienceMs });
    await scene.verify(page);
  });

  test('drain: 100 edits arrive, each op exactly once, through resets and 500s before and after the commit', async (t) => {
    const scene = await openScene(t, { engine });
    const page = await scene.open();
    await quick(page);
    scene.gateway.faults = ['reset-before', 'reset-after', null, '500-before', '500-after', 'cut-after', null];
    await scene.save(page, makeEdits({ count: 100, entities: 25, seed: 72, fold: 0.2 }));
    const { accepted } = await scene.verify(page);
    assert.equal(accepted, 100);
    assert.ok(Object.keys(scene.gateway.happened).length >= 4, JSON.stringify(scene.gateway.happened));
  });

  test('drain in REST mode: one request per op, each with its key', async (t) => {
    const scene = await openScene(t, { engine });
    const page = await scene.open();
    await page.run(async (settings) => { await (await client).settings({ ...settings, mode: 'rest' }); }, kQuickSettings);
    await scene.save(page, makeEdits({ count: 15, entities: 15, seed: 73, fold: 0 }));
    const { effects } = await scene.verify(page);
    assert.equal(effects, 15);
    assert.equal(scene.gateway.requests.filter(({ method }) => method === 'PUT').length, 15);
    assert.equal(scene.gateway.batches, 0);
  });

  test('restart: what the app was told is safe survives SIGKILL of the browser, and arrives after the next start', async (t) => {
    const scene = await openScene(t, { engine, alone: true });
    const { gateway } = scene;
    const failure = () => gateway.told.find(({ error }) => error)?.error;
    scene.browser = await engine.launchAlone(scene.profile, `${scene.origin}/?alone=400`);
    await until(() => failure() ?? gateway.told.filter(({ id }) => id).length >= 40, '40 saves', { patienceMs: kPatienceMs, seen: () => gateway.told.length });
    assert.equal(failure(), undefined);
    await scene.browser.kill();
    const told = gateway.told.filter(({ id }) => id);
    assert.equal(gateway.batches, 0, 'nothing was sent yet');
    gateway.told = [];
    scene.browser = await engine.launchAlone(scene.profile, `${scene.origin}/?alone=0`);
    const missing = () => { const there = scene.server.documents(); return told.filter(({ n }) => !there.has(`NOTE/n${n}`)).length; };
    await until(() => failure() ?? missing() === 0, 'every save that was told', { patienceMs: kPatienceMs, seen: () => ({ missing: missing(), told: gateway.told }) });
    assert.equal(failure(), undefined);
    const { listed } = gateway.told.find(({ opened }) => opened);
    assert.ok(listed >= told.length, `${told.length} were told, ${listed} are shown`);
    for (const { n } of told) assert.equal(documentHash(scene.server.documents().get(`NOTE/n${n}`)), documentHash(JSON.stringify({ n, text: 'Größe ≥ 4' })));
    await until(() => scene.server.effects() === scene.server.documents().size, 'one effect for each document');
  });

  test('conflict: two people changed different fields, both changes stay; the worker decides it', async (t) => {
    const scene = await openScene(t, { engine });
    const page = await scene.open();
    await quick(page);
    await page.run(async () => { await (await client).save('NOTE', 'n1', { title: 'a', severity: 1, tags: ['x'] }); });
    await until(() => scene.server.documents().has('NOTE/n1'), 'the first version');
    await until(async () => (await page.run(async () => (await (await client).ops()).length)) === 0, 'its outcome');
    const url = `${scene.origin}/api/v1/entities/NOTE/n1`;
    const etag = (await fetch(url)).headers.get('etag');
    const theirs = await fetch(url, { method: 'PUT', headers: { 'content-type': 'application/json', 'if-match': etag, 'idempotency-key': '"other"' }, body: JSON.stringify({ title: 'theirs', severity: 1, tags: ['x'] }) });
    assert.equal(theirs.status, 200);
    await page.run(async () => { await (await client).save('NOTE', 'n1', { title: 'a', severity: 5, tags: ['x'] }); });
    const merged = { title: 'theirs', severity: 5, tags: ['x'] };
    await until(() => documentHash(scene.server.documents().get('NOTE/n1')) === documentHash(JSON.stringify(merged)), 'both changes at the server', { seen: () => scene.server.documents().get('NOTE/n1') });
    await until(async () => documentHash(JSON.stringify(await page.run(async () => (await client).get('NOTE', 'n1')))) === documentHash(JSON.stringify(merged)), 'both changes on the device');
  });

  test('pull: what another device wrote is here after pull(), a tombstone takes it away, and a pending edit stays on top', async (t) => {
    const scene = await openScene(t, { engine });
    const page = await scene.open();
    await quick(page);
    const write = async (method, id, key, body, headers) => {
      const response = await fetch(`${scene.origin}/api/v1/entities/NOTE/${id}`, { method, headers: { 'idempotency-key': `"${key}"`, 'content-type': 'application/json', ...headers }, ...(body ? { body: JSON.stringify(body) } : {}) });
      assert.ok(response.ok, `${method} ${id}: ${response.status}`);
      return response.headers.get('etag');
    };
    const here = (id) => page.run(async (id) => (await (await client).get('NOTE', id)) ?? null, id);
    const pull = () => page.run(async () => { await (await client).pull(); });
    const first = await write('PUT', 'p1', 'other-1', { title: 'a', severity: 1 }, { 'if-none-match': '*' });
    const second = await write('PUT', 'p2', 'other-2', { title: 'b' }, { 'if-none-match': '*' });
    await pull();
    assert.deepEqual([await here('p1'), await here('p2')], [{ title: 'a', severity: 1 }, { title: 'b' }]);
    await page.run(async () => { await (await client).pause(); });
    await page.run(async () => { await (await client).save('NOTE', 'p1', { title: 'a', severity: 4 }); });
    await write('PUT', 'p1', 'other-3', { title: 'theirs', severity: 1 }, { 'if-match': first });
    await write('DELETE', 'p2', 'other-4', null, { 'if-match': second });
    await page.run(async () => { await (await client).resume(); });
    await pull();
    await until(async () => documentHash(JSON.stringify(await here('p1'))) === documentHash('{"title":"theirs","severity":4}'), 'both changes', { seen: () => here('p1') });
    assert.equal(await here('p2'), null);
    await until(() => documentHash(scene.server.documents().get('NOTE/p1')) === documentHash('{"title":"theirs","severity":4}'), 'both changes at the server', { seen: () => scene.server.documents().get('NOTE/p1') });
  });

  test('owners: with cookies, nothing of one who signed out leaves under the next one\'s session; he sees none of it, and it goes when its owner is back', async (t) => {
    const scene = await openScene(t, { engine });
    const page = await scene.open();
    const open = async (owner) => {
      await page.run((owner) => { document.cookie = `who=${owner}; path=/`; }, owner);
      await page.goto(`${scene.origin}/?owner=${owner}`);
      await page.run('client.then(() => {})');
      await quick(page);
    };
    const save = (owner, from) => page.run(async (owner, from) => {
      for (let n = from; n < from + 5; n++) await (await client).save('NOTE', `${owner}-${n}`, { n, of: owner });
    }, owner, from);
    const signOut = () => page.run(async () => { await (await client).signOut(); });
    const thereOf = (owner) => [...scene.server.documents().keys()].filter((name) => name.startsWith(`NOTE/${owner}-`));
    const arrived = (owner, count) => until(() => thereOf(owner).length === count, `${count} documents of ${owner}`, { patienceMs: kPatienceMs, seen: () => thereOf(owner) });
    await open('ann');
    await save('ann', 0);
    await arrived('ann', 5);
    await scene.gateway.down();
    await save('ann', 5);
    await signOut();
    await scene.gateway.open();
    await open('bob');
    await save('bob', 0);
    await arrived('bob', 5);
    await page.run(async () => { await (await client).sync(); });
    const shown = await page.run(async () => {
      const open = await client;
      return JSON.stringify([await open.list('NOTE'), await open.ops(), await open.history(), await open.status()]);
    });
    assert.ok(shown.includes('bob-0') && !shown.includes('ann'), shown);
    assert.equal(thereOf('ann').length, 5);
    await signOut();
    await open('ann');
    await arrived('ann', 10);
    const sent = scene.gateway.requests.filter(({ method, body }) => method === 'POST' && body?.length > 0);
    const foreign = sent.filter(({ cookie, body }) => body.includes(cookie === 'who=bob' ? 'ann-' : 'bob-'));
    assert.deepEqual(foreign.map(({ path, cookie, body }) => [path, cookie, body.toString()]), []);
    assert.deepEqual([...new Set(sent.map(({ cookie }) => cookie))].sort(), ['who=ann', 'who=bob']);
  });

  test('credentials: the worker has none and asks the open page, once more when they are refused; the page is not reloaded, no attempt is counted', async (t) => {
    const scene = await openScene(t, { engine });
    const { gateway } = scene;
    gateway.token = 'first';
    const page = await scene.browser.page(`${scene.origin}/?worker=page-credentials-sw.js&owner=ann&token=first`);
    await page.run('client.then(() => {})');
    await page.run(async () => { await navigator.serviceWorker.ready; });
    await quick(page);
    await scene.save(page, makeEdits({ count: 10, entities: 10, seed: 75, fold: 0 }));
    await scene.arrived({ patienceMs: kPatienceMs });
    assert.deepEqual(gateway.requests.filter(({ status }) => status === 401), []);
    gateway.token = 'second';
    await scene.save(page, makeEdits({ count: 10, entities: 10, seed: 76, fold: 0 }));
    await scene.arrived({ patienceMs: kPatienceMs });
    const refused = gateway.requests.filter(({ status }) => status === 401).length;
    assert.ok(refused >= 1 && refused <= 3, `${refused} requests were under way with the old token`);
    assert.equal(await page.run(() => window.token), 'second');
    await scene.verify(page);
  });

  test('a client in the worker: what its own fetch listener saves arrives, each op exactly once, and the page sees it', async (t) => {
    const scene = await openScene(t, { engine });
    const page = await scene.open({ worker: 'inner-sw.js' });
    await page.run(async () => { while (!navigator.serviceWorker.controller) await new Promise((resolve) => { navigator.serviceWorker.addEventListener('controllerchange', resolve, { once: true }); }); });
    const edits = makeEdits({ count: 10, entities: 10, seed: 77, fold: 0 });
    const saved = await page.run(async (list) => Promise.all(list.map(async (edit) => (await (await fetch('/inside', { method: 'POST', body: JSON.stringify(edit) })).json()).id)), edits);
    edits.forEach((edit, i) => scene.book(edit, saved[i]));
    await scene.arrived({ patienceMs: kPatienceMs });
    await scene.verify(page);
  });

  test('encryption: nothing that was saved, acknowledged or pulled can be read in the database; the key lost, what it sealed is kept and the rest goes on', async (t) => {
    const scene = await openScene(t, { engine });
    const page = await scene.open({ worker: 'sealed-sw.js' });
    await quick(page);
    const restart = async () => {
      await page.goto(`${scene.origin}/?worker=sealed-sw.js`);
      await page.run('client.then(() => {})');
    };
    const secrets = ['patient-zero', 'seropositive', 'written-elsewhere', 'DIAGNOSIS'];
    const readable = async () => { const content = await page.run(contentOfDatabase); assert.ok(content.includes('sealed')); return secrets.filter((secret) => content.includes(secret)); };
    const save = (id) => page.run(async (id) => { await (await client).save('DIAGNOSIS', id, { id, finding: 'seropositive' }); }, id);
    const there = (id) => until(() => scene.server.documents().has(`DIAGNOSIS/${id}`), id, { patienceMs: kPatienceMs });
    const empty = () => until(async () => (await page.run(async () => (await (await client).ops()).length)) === 0, 'an empty outbox', { patienceMs: kPatienceMs });
    await scene.gateway.down();
    await save('patient-zero');
    assert.deepEqual(await readable(), []);
    await scene.gateway.open();
    await restart();
    assert.deepEqual(await page.run(async () => (await (await client).list('DIAGNOSIS')).map(({ entityId, doc }) => [entityId, doc.finding])), [['patient-zero', 'seropositive']]);
    await page.run(async () => { await (await client).sync(); });
    await there('patient-zero');
    await empty();
    const put = { method: 'PUT', headers: { 'content-type': 'application/json', 'if-none-match': '*', 'idempotency-key': '"other"' }, body: '{"text":"written-elsewhere"}' };
    assert.equal((await fetch(`${scene.origin}/api/v1/entities/DIAGNOSIS/p2`, put)).status, 201);
    await page.run(async () => { await (await client).pull(); });
    assert.deepEqual(await page.run(async () => (await client).get('DIAGNOSIS', 'p2')), { text: 'written-elsewhere' });
    assert.deepEqual(await readable(), []);

    await page.run(async () => { await (await client).settings({ enabled: false }); });
    await save('lost');
    await page.run(() => new Promise((resolve, reject) => {
      const request = indexedDB.deleteDatabase('tidegate-keys');
      request.onsuccess = () => resolve();
      request.onerror = () => reject(request.error);
    }));
    await page.run(async () => { await (await navigator.serviceWorker.getRegistration()).unregister(); });   // a worker that runs has its keys until it ends
    await restart();
    await page.run(async () => { await (await client).settings({ enabled: true }); });
    await save('after');
    await page.run(async () => { await (await client).sync(); });
    await there('after');
    assert.deepEqual(await page.run(async () => (await (await client).ops({ state: 'quarantined' })).map(({ unreadable }) => unreadable)), ['key-missing']);
    assert.equal(scene.server.documents().has('DIAGNOSIS/lost'), false);
    assert.deepEqual(scene.gateway.violations, []);
  });

  for (const worker of ['sw.js', 'none'])
    test(`uploads${worker === 'none' ? ' without a worker' : ''}: 5 MB go in chunks through resets and 500s and arrive byte for byte, with one effect; meanwhile the page has the blob and hears how far it is`, async (t) => {
      const scene = await openScene(t, { engine });
      const page = await scene.open({ worker });
      await quick(page);
      scene.gateway.faults = [null, 'reset-after', null, '500-after', null, 'reset-before', '500-before', null, 'reset-after'];
      const told = await page.run(`(async () => {
        window.heard = [];
        (await client).subscribe(({ type, detail }) => { if (type === 'upload.progress') window.heard.push(detail.sentBytes); });
        const bytes = (${noise})(${kFilmBytes});
        const { id } = await (await client).save('MEDIA', 'film', new Blob([bytes], { type: 'video/mp4' }));
        const shown = await (await client).get('MEDIA', 'film');
        return { id, type: shown?.type, size: shown?.size };
      })()`);
      assert.deepEqual([told.type, told.size], ['video/mp4', kFilmBytes]);
      const left = () => page.run(async () => (await (await client).ops()).map(({ state, sentBytes, reason }) => ({ state, sentBytes, reason })));
      await until(async () => (await left()).length === 0, 'the blob to arrive', { patienceMs: kPatienceMs, seen: left });
      const stored = await fetch(`${scene.origin}/api/v1/entities/MEDIA/film`);
      assert.equal(stored.headers.get('content-type'), 'video/mp4');
      assert.ok(Buffer.from(await stored.arrayBuffer()).equals(Buffer.from(noise(kFilmBytes))), 'byte for byte');
      assert.equal(scene.server.effects(), 1);
      const heard = await page.run(() => window.heard);
      assert.ok(heard.length >= 5 && heard.at(-1) === kFilmBytes, heard.join());
      assert.ok(scene.gateway.requests.some(({ method }) => method === 'HEAD'), 'it asked how far it came');
      assert.deepEqual(scene.gateway.violations, []);
    });

  test('management: the endpoints answer from the worker; paused, nothing leaves; resumed, everything does', async (t) => {
    const scene = await openScene(t, { engine });
    const page = await scene.open();
    await page.goto(`${scene.origin}/`);   // the first page of a worker is not always controlled by it
    await page.run('client.then(() => {})');
    const call = (method, path, ...bodies) => page.run(async (method, path, bodies) => {
      const response = await fetch(`/api/v1/sync/background/${path}`, { method, ...(bodies.length > 0 ? { body: JSON.stringify(bodies[0]) } : {}) });
      return { status: response.status, value: await response.json() };
    }, method, path, bodies);
    assert.equal((await call('GET', 'status')).status, 200);
    assert.equal((await call('POST', 'pause')).status, 200);
    await scene.save(page, makeEdits({ count: 10, entities: 10, seed: 74 }));
    await until(async () => (await call('GET', 'status')).value.queueSize === 10, 'ten ops in the queue');
    assert.equal((await call('GET', 'status')).value.state, 'paused');
    assert.equal(scene.gateway.batches, 0);
    const refused = await call('PUT', 'settings', { baseDelay: -1 });
    assert.deepEqual([refused.status, refused.value.field], [400, '/baseDelay']);
    assert.equal((await call('PUT', 'settings', { baseDelay: 60 })).value.baseDelay, 60);
    assert.equal((await call('POST', 'resume')).status, 200);
    assert.equal((await call('POST', 'start')).status, 200);
    await scene.arrived({ patienceMs: kPatienceMs });
    assert.ok((await call('GET', 'metrics')).status === 200);
    for (const path of ['connectivity-test', '../connectivity-test']) assert.deepEqual((({ status, value }) => [status, value.reachable, value.isOnline])(await call('POST', path)), [200, true, true]);
    assert.deepEqual(scene.gateway.requests.filter(({ path }) => path.includes('/sync/background/')), [], 'the server saw none of it');
    assert.deepEqual(scene.gateway.requests.filter(({ path }) => path.includes('connectivity-test')), []);
    await scene.verify(page);
  });

  for (const worker of ['sw.js', 'none'])
    test(`tabs${worker === 'none' ? ' without a worker' : ''}: what one page saves another hears of and shows, and hears when it arrived`, async (t) => {
      const scene = await openScene(t, { engine });
      const [page, other] = [await scene.open({ worker }), await scene.open({ worker })];
      await quick(page);
      await other.run(async () => {
        window.heard = [];
        (await client).subscribe(({ type, detail, status }) => { window.heard.push({ type, detail, left: status?.queueSize }); });
      });
      const heard = () => other.run(() => window.heard);
      await page.run(async () => { await (await client).pause(); });
      await page.run(async () => { window.id = (await (await client).save('NOTE', 'n1', { n: 1 })).id; });
      await until(async () => (await heard()).some(({ type, detail }) => type === 'sync.documents' && detail.documents.some(({ entityId }) => entityId === 'n1')), 'the news of the save', { seen: heard });
      assert.deepEqual(await other.run(async () => (await client).get('NOTE', 'n1')), { n: 1 });
      await page.run(async () => { await (await client).resume(); await (await client).sync(); });
      const id = await page.run(() => window.id);
      await until(async () => (await heard()).some(({ type, detail }) => type === 'op.done' && detail.id === id), 'the news of its arrival', { seen: heard });
      await until(async () => (await heard()).some(({ type, left }) => type === 'status' && left === 0), 'the status', { seen: heard });
      assert.equal(scene.server.effects(), 1);
    });

  test('tasks: the worker runs the app\'s own job after what it waits for, with the server down as soon as it is back, and once', async (t) => {
    const scene = await openScene(t, { engine });
    const page = await scene.open();
    await quick(page);
    await scene.gateway.down();
    await page.run(async () => {
      const { id } = await (await client).save('NOTE', 'n1', { n: 1 });
      await (await client).runTask('tell', { after: 'n1' }, { dependsOn: [id], priority: 'critical' });
    });
    await scene.gateway.open();
    await until(() => scene.gateway.told.length > 0, 'the job', { patienceMs: kPatienceMs });
    assert.ok(scene.server.documents().has('NOTE/n1'), 'what it waits for went before');
    await until(async () => (await page.run(async () => (await (await client).ops()).length)) === 0, 'an empty outbox');
    assert.deepEqual(scene.gateway.told, [{ after: 'n1' }]);
  });

  test('offline shell: the app opens with the server down, and the policy is never violated', async (t) => {
    const scene = await openScene(t, { engine });
    const page = await scene.open();
    await until(async () => (await page.run(() => caches.keys())).length > 0, 'the shell to be kept');
    await scene.gateway.down();
    await page.goto(`${scene.origin}/elsewhere`);
    await page.run('client.then(() => {})');
    assert.equal(await page.run('document.title'), 'Tidegate under test');
    await scene.gateway.open();
    assert.deepEqual(scene.gateway.violations, []);
  });
}

/** Everything in the database, as one text. Runs in the page. */
async function contentOfDatabase() {
  const done = (request) => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const db = await done(indexedDB.open('tidegate'));
  const parts = [];
  for (const name of db.objectStoreNames) {
    const store = db.transaction(name).objectStore(name);
    const [keys, values] = await Promise.all([done(store.getAllKeys()), done(store.getAll())]);
    parts.push(JSON.stringify(keys));
    for (const value of values) parts.push(JSON.stringify(value), ...[value, value?.bytes].map((bytes) => (bytes instanceof Uint8Array ? Array.from(bytes, (byte) => String.fromCharCode(byte)).join('') : '')));
  }
  db.close();
  return parts.join('\n');
}
