// What an app adds: functions called around a drain and around each request. Each is on its own: one that throws, or takes too long, is counted, told as
// `sync.plugin-failed`, and skipped; nothing else changes.

/** @import { Plugin } from './index.d.ts' */
/** @import { Clock } from './clock.js' */
/** @import { Transport } from './transport.js' */

/** How long a plugin may hold a request up. */
const kPluginMs = 5_000;
const kHooks = /** @type {const} */ ({ 'sync.started': 'beforeSync', 'sync.completed': 'afterSync', 'sync.failed': 'afterSync' });

/**
 * Transport and publisher with plugins around them.
 * @param {Plugin[]} plugins @param {Clock} clock @param {Transport} transport @param {(type: string, detail: any) => void} publish
 */
export function withPlugins(plugins, clock, transport, publish) {
  if (plugins.length === 0) return { transport, publish };
  /** @type {Map<Plugin, number>} */
  const failures = new Map();
  /** @param {keyof Plugin} hook @param {any} argument @returns {Promise<any[]>} what each answered */
  const call = (hook, argument) => Promise.all(plugins.map(async (plugin) => {
    const work = /** @type {any} */ (plugin)[hook];
    if (typeof work !== 'function') return undefined;
    let cancel = () => {};
    const late = new Promise((_, reject) => { cancel = clock.timer(kPluginMs, () => reject(new Error(`it took longer than ${kPluginMs} ms`))); });
    try {
      return await Promise.race([late, (async () => work.call(plugin, argument))()]);
    } catch (error) {
      failures.set(plugin, (failures.get(plugin) ?? 0) + 1);
      publish('sync.plugin-failed', { plugin: String(plugin.name ?? ''), hook, message: String(/** @type {any} */ (error)?.message ?? error), failures: failures.get(plugin) });
      return undefined;
    } finally {
      cancel();
    }
  }));

  return {
    publish: (/** @type {string} */ type, /** @type {any} */ detail) => {
      publish(type, detail);
      if (Object.hasOwn(kHooks, type)) call(kHooks[/** @type {keyof typeof kHooks} */ (type)], detail);
    },
    transport: /** @type {Transport} */ ({
      ...transport,
      async send(effect, body, stop) {
        if (effect.type !== 'send') return transport.send(effect, body, stop);
        const { method = 'POST', url = '', owner = '' } = effect;
        const request = { method, url, owner, bytes: body?.length ?? 0 };
        // What a plugin adds lies under what the protocol needs: it cannot change a key or a precondition.
        const added = await call('beforeSend', request);
        const answer = await transport.send({ ...effect, headers: { ...Object.assign({}, ...added.filter(isPlain)), .../** @type {any} */ (effect.headers ?? {}) } }, body, stop);
        const { status, failure, startedAtMs, endedAtMs } = /** @type {any} */ (answer);
        call('onOutcome', { ...request, status, failure, ms: endedAtMs - startedAtMs });
        return answer;
      },
    }),
  };
}

/** @param {any} value */
const isPlain = (value) => value !== null && typeof value === 'object';
