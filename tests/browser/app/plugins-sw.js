// A worker with a plugin that throws in each of its hooks, one that rejects, and one that works; what that one was told is in `calls`.
import { createSyncWorker } from 'tidegate/sw';

const kHooks = ['beforeSync', 'afterSync', 'resolveConflict', 'beforeSend', 'onOutcome'];
/** @param {string} name @param {(hook: string) => any} work */
const plugin = (name, work) => ({ name, ...Object.fromEntries(kHooks.map((hook) => [hook, work(hook)])) });

self.calls = [];
createSyncWorker({
  endpoint: '/api/v1', wasm: 'tidegate.wasm', skipWaiting: true,
  plugins: [
    plugin('throws', (hook) => () => { throw new Error(`${hook} threw`); }),
    plugin('rejects', (hook) => async () => { throw new Error(`${hook} rejected`); }),
    plugin('works', (hook) => (told) => {
      self.calls.push({ hook, told });
      if (hook === 'beforeSend') return { 'x-start': 'of a plugin' };
      if (hook === 'resolveConflict') return { ...told.theirs, ours: told.ours.title };
    }),
  ],
});
