// One page for every library: it registers the worker that the address names, and hands it what to queue.
import { connect } from 'tidegate';

const library = new URLSearchParams(location.search).get('library');

if (library === 'tidegate') {
  window.client = connect({ endpoint: '/api/v1', wasm: 'tidegate.wasm', worker: 'tidegate-sw.js' });
} else {
  const registering = navigator.serviceWorker.register(`${library}-sw.js`, { type: 'module' });
  const worker = registering.then(() => navigator.serviceWorker.ready).then(({ active }) => active);
  /** Resolves when the worker has queued them all. @param {{id: string, body: string}[]} list @param {boolean} together */
  window.sendPlainly = async (list, width) => { (await worker).postMessage({ list, plainly: width }); };
  window.push = async (list, together = false) => {
    const done = new Promise((resolve) => { navigator.serviceWorker.onmessage = ({ data }) => resolve(data); });
    (await worker).postMessage({ list, together });
    return done;
  };
}
