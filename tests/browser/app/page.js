// The page under test: it opens the outbox, with the service worker (or the one that ?worker= names, or none with ?worker=none), and leaves the client where a test finds it.
// ?owner= says whose it is, ?token= with which token; asked for another, it says "second". With sealed-sw.js what is kept is sealed. With ?persist=no the browser is not asked to keep it. With ?mortal it can die at any await (mortal.js). With ?alone=COUNT nobody is at the wheel: it saves so many documents by itself, and tells the server of each save that is safe.
import { connect } from 'tidegate';
import { encryption } from 'tidegate/encryption';
import { uploads } from 'tidegate/uploads';
import { arm, beMortal } from './mortal.js';

const asked = new URLSearchParams(location.search);
const worker = asked.get('worker') ?? 'sw.js';
if (asked.has('mortal')) beMortal();
window.arm = arm;

window.token = asked.get('token');
const authorize = async (_owner, { refresh }) => {
  if (refresh) window.token = 'second';
  return { headers: { authorization: window.token }, expiresAt: Date.now() + 3_600_000 };
};

window.client = connect({
  endpoint: '/api/v1', owner: asked.get('owner') ?? '', wasm: 'tidegate.wasm', ...(worker === 'none' ? {} : { worker }), ...(window.token && { authorize }),
  ...(worker === 'sealed-sw.js' && { encryption: encryption() }), uploads: uploads(), persist: asked.get('persist') !== 'no',
});

/** @param {number} count */
async function alone(count) {
  const client = await window.client;
  await navigator.serviceWorker.ready;
  await tell({ opened: true, listed: (await client.list('NOTE', { limit: 1000 })).length });
  if (count > 0) await client.pause();   // what is saved stays here until the next start
  else await client.resume();
  for (let n = 0; n < count; n++) {
    const { id } = await client.save('NOTE', `n${n}`, { n, text: 'Größe ≥ 4' });
    await tell({ n, id });
  }
}
const tell = (what) => fetch('/told', { method: 'POST', body: JSON.stringify(what) });
if (asked.has('alone')) alone(Number(asked.get('alone'))).catch((error) => tell({ error: String(error?.stack ?? error) }));
