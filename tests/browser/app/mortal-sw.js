// The service worker of the kill matrix: it dies at the await it is told, and finds out its token anew after each 401.
import { arm, beMortal } from './mortal.js';
import { createSyncWorker } from 'tidegate/sw';
import { uploads } from 'tidegate/uploads';

beMortal();
self.addEventListener('message', ({ data }) => { if (typeof data?.arm === 'number') arm(data.arm); });

let token = 'none';
createSyncWorker({
  endpoint: '/api/v1', wasm: 'tidegate.wasm', skipWaiting: true, uploads: uploads(),
  authorize: async (_owner, { refresh }) => {
    if (refresh) token = await (await fetch('/token')).text();
    return { headers: { authorization: token } };
  },
});
