// The app's badge and its notifications, as the browser keeps them: what the worker's option `notify` comes to with the user's permission, without it, and where the option is off.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kQuickSettings, openScene } from './harness/scene.js';
import { until } from './harness/until.js';

/** A server that refuses for good what is nested deeper than this, and takes everything else. */
const kPickyServer = ['--limits', JSON.stringify({ maxDepth: 3 })];

/**
 * A scene whose page hears of what is dead, in which three changes were drained, one of which the server refused for good.
 * @param {import('node:test').TestContext} t @param {{worker: string, permission: 'granted' | 'denied'}} options
 */
async function afterARefusal(t, { worker, permission }) {
  const scene = await openScene(t, { server: kPickyServer });
  await scene.browser.send('Browser.setPermission', { origin: scene.origin, permission: { name: 'notifications' }, setting: permission });
  const page = await scene.open({ worker });
  const inside = await scene.browser.worker(scene.origin);   // from now on it keeps its badges
  const id = await page.run(async (settings) => {
    const open = await client;
    await open.settings({ ...settings, enabled: false });
    window.dead = [];
    open.subscribe(({ type, detail }) => { if (type === 'op.dead') window.dead.push(detail); });
    for (const n of [1, 2]) await open.save('NOTE', `good${n}`, { n });
    return (await open.save('NOTE', 'bad', { a: { b: { c: {} } } })).id;
  }, kQuickSettings);
  const queued = () => page.run(async () => (await (await client).status()).queueSize);
  await until(async () => (await queued()) === 3, 'three changes in the queue', { seen: queued });
  await page.run(async () => {
    await (await client).settings({ enabled: true });
    await (await client).sync();
  });
  const told = await until(() => page.run(() => window.dead.length > 0 && window.dead), 'the event');
  assert.deepEqual(told.map(({ id, entityId }) => ({ id, entityId })), [{ id, entityId: 'bad' }]);
  assert.deepEqual([...scene.server.documents().keys()].sort(), ['NOTE/good1', 'NOTE/good2']);
  return { scene, page, inside, id };
}

/** What the browser shows for the app. @param {any} page */
const shown = (page) => page.run(async () => {
  const registration = await navigator.serviceWorker.ready;
  return (await registration.getNotifications()).map(({ title, body, tag }) => ({ title, body, tag }));
});

/** Resolves when the worker has asked for so many notifications and the browser shows each of them. @param {any} inside @param {number} count */
const notified = (inside, count) => until(async () => {
  const all = await inside.run('self.notifications');
  return all.length >= count && all.every(({ shown }) => shown);
}, `notification ${count}`, { seen: () => inside.run('self.notifications') });

/** The badges the worker asked for, in order; each of them the browser took. @param {any} inside */
async function badges(inside) {
  const asked = await until(async () => {
    const all = await inside.run('self.badges');
    return all.every(({ set }) => set) && all;
  }, 'the browser to take every badge', { seen: () => inside.run('self.badges') });
  return asked.map(({ count }) => count);
}

/** The last number is that of the last change of the queue; none is asked for twice in a row. @param {number[]} counts */
function followTheQueue(counts) {
  assert.equal(counts.filter((count) => count === 3).length, 1, `three waited: ${counts}`);
  assert.equal(counts.at(-1), 0, `what is refused for good waits for nothing, and 0 clears the badge: ${counts}`);
  counts.forEach((count, i) => assert.notEqual(count, counts[i - 1], `${counts}`));
}

test('with permission a change that the server refuses for good is told in one notification, also after further drains, a restart of the worker and a retry, and the badge follows the queue', async (t) => {
  const { scene, page, inside, id } = await afterARefusal(t, { worker: 'notify-sw.js', permission: 'granted' });
  const one = [{ title: 'A change was not accepted', body: 'Validation failed: the body is nested deeper than 3 levels', tag: id }];
  await notified(inside, 1);
  assert.deepEqual(await shown(page), one);
  followTheQueue(await badges(inside));

  const again = async () => { await page.run(async () => { await (await client).sync(); }); };
  await again();
  assert.deepEqual(await shown(page), one, 'a second drain tells nothing more');

  await page.run(async (id) => { await (await client).retry(id); }, id);
  await again();
  await until(() => page.run(() => window.dead.length === 2), 'the second refusal');
  await notified(inside, 2);
  assert.deepEqual(await shown(page), one, 'refused again, the op has the one notification it had');

  await page.run(async () => { for (const notification of await (await navigator.serviceWorker.ready).getNotifications()) notification.close(); });
  await until(async () => (await shown(page)).length === 0, 'the notification to be closed');
  await (await scene.browser.workers()).stop();
  await page.run(async () => { await (await client).save('NOTE', 'good3', { n: 3 }); });
  await again();
  await until(() => scene.server.documents().has('NOTE/good3'), 'the last change');
  assert.equal((await page.run(async (id) => (await client).op(id), id)).state, 'dead');
  assert.deepEqual(await shown(page), [], 'a worker that starts anew finds the op dead and tells nobody');
});

test('without permission there is no notification, but the event and the badge', async (t) => {
  const { page, inside } = await afterARefusal(t, { worker: 'notify-sw.js', permission: 'denied' });
  followTheQueue(await badges(inside));
  await page.run(async () => { await (await client).sync(); });
  assert.equal(await inside.run('Notification.permission'), 'denied');
  assert.deepEqual(await shown(page), []);
});

test('where `notify` is off there is neither badge nor notification, whatever is permitted, but the event', async (t) => {
  const { page, inside } = await afterARefusal(t, { worker: 'notify-sw.js%3Fnotify=off', permission: 'granted' });
  await page.run(async () => { await (await client).sync(); });
  assert.equal(await inside.run('Notification.permission'), 'granted');
  assert.deepEqual([await shown(page), await badges(inside)], [[], []]);
});
