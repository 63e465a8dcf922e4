// A worker that tells of what waits and of what was refused, or does not (?notify=off). Nobody can be asked which badge is shown, so it keeps what it asked for and what came of it;
// and of notifications, because whoever looks for them while Chromium shows one makes it forget that one (286 of 300).
import { createSyncWorker } from 'tidegate/sw';

self.badges = [];
const { setAppBadge } = WorkerNavigator.prototype;
WorkerNavigator.prototype.setAppBadge = async function (count) {
  const asked = { count, set: false };
  self.badges.push(asked);
  await setAppBadge.call(this, count);
  asked.set = true;
};

self.notifications = [];
const { showNotification } = ServiceWorkerRegistration.prototype;
ServiceWorkerRegistration.prototype.showNotification = async function (title, options) {
  const asked = { tag: options.tag, shown: false };
  self.notifications.push(asked);
  await showNotification.call(this, title, options);
  asked.shown = true;
};

createSyncWorker({ endpoint: '/api/v1', wasm: 'tidegate.wasm', skipWaiting: true, notify: !self.location.search.includes('off') });
