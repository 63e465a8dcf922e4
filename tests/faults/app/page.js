// One page for every library: it registers the worker that the address names (none with ?worker=none), and hands it what to queue. With ?progress it shows how far that is.
import { connect } from 'tidegate';
import 'tidegate/elements';
import { encryption } from 'tidegate/encryption';

const asked = new URLSearchParams(location.search);
const library = asked.get('library');

if (library === 'tidegate' || library === 'sealed') {
  window.client = connect({
    endpoint: '/api/v1', wasm: 'tidegate.wasm', ...(asked.get('worker') !== 'none' && { worker: `${library}-sw.js` }), encryption: library === 'sealed' ? encryption() : undefined,
  });
  if (asked.has('progress')) {
    const progress = document.body.appendChild(document.createElement('tidegate-progress'));
    window.client.then((client) => { progress.client = client; });
  }
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
