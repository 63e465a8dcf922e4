// A worker that tells of what waits and of what was refused, or does not (?notify=off). Nobody can be asked which badge is shown, so it keeps what it asked for and what came of it.
import { createSyncWorker } from 'tidegate/sw';

self.badges = [];
const { setAppBadge } = WorkerNavigator.prototype;
WorkerNavigator.prototype.setAppBadge = async function (count) {
  const asked = { count, set: false };
  self.badges.push(asked);
  await setAppBadge.call(this, count);
  asked.set = true;
};

createSyncWorker({ endpoint: '/api/v1', wasm: 'tidegate.wasm', skipWaiting: true, notify: !self.location.search.includes('off') });
