// Puts a drain together for the realm it runs in: worker, page or Node. What differs between them comes in as an argument.
import { createPlanner } from '../wasm/index.js';
import { withAsking } from './ask.js';
import { withPlugins } from './plugins.js';
import { checkSchemaVersion } from './schema-version.js';
import { createTransport } from './transport.js';
import { Turns } from './turns.js';

/** @import { ClientOptions } from './index.d.ts' */
/** @import { Clock } from './clock.js' */
/** @import { Locks } from './locks.js' */
/** @import { Random } from './random.js' */
/** @import { Store } from './store-contract.d.ts' */
/** @import { ReadingsIn } from '../wasm/protocol.js' */

/**
 * @typedef {object} Realm
 * @property {Store} store
 * @property {Clock} clock
 * @property {Random} random
 * @property {Locks} locks
 * @property {string} [base]  what a relative endpoint is relative to
 * @property {() => any} wasm  the core's bytes, module or response, asked for when a drain first needs it
 * @property {() => ReadingsIn} readings
 * @property {() => Promise<any[]>} [pages]  in a worker: the open pages
 * @property {(type: string, detail: any) => void} publish
 * @property {import('./marker.js').Marker} [marker]  in a worker: of its database
 */

/** @param {Pick<ClientOptions, 'endpoint' | 'allow' | 'authorize' | 'resolveConflict' | 'schemaVersion' | 'migrate' | 'plugins' | 'blobDeltas' | 'tasks' | 'uploads'>} options @param {Realm} realm */
export function createEngine({ endpoint, allow, authorize, resolveConflict, schemaVersion, migrate, plugins = [], blobDeltas = (store) => store, tasks = (transport) => transport, uploads }, { wasm, base, pages, ...realm }) {
  checkSchemaVersion(schemaVersion, '/schemaVersion');
  const transport = createTransport({ endpoint: String(endpoint), base, allow, authorize, pages, clock: realm.clock });
  const added = withPlugins(plugins, realm.clock, realm.publish);
  const around = added.around(tasks(withAsking(transport, realm.clock, resolveConflict ?? added.resolveConflict, migrate), realm));
  if (uploads) around.transport = uploads.around(around.transport, realm);   // outermost: what it sends passes the plugins
  return new Turns({ ...realm, store: blobDeltas(realm.store), ...around, schemaVersion, createPlanner: () => createPlanner(wasm) });
}

/** The way sw/calls.js asks a drain of its own realm. @param {Turns} turns @returns {import('./calls.js').Ask} */
export const askOf = (turns) => (request, until) => turns.ask(request)[until === 'end' ? 'end' : 'answers'];
