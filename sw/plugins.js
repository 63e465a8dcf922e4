// What an app adds: functions called around a drain and around each request. Each is on its own: one that throws, or takes too long, is counted, told as
// `sync.plugin-failed`, and skipped; nothing else changes.
import { within } from './clock.js';

/** @import { Plugin } from './index.d.ts' */
/** @import { Clock } from './clock.js' */
/** @import { Transport } from './transport.js' */

/** How long a plugin may hold a request up. */
const kPluginMs = 5_000;

/**
 * The plugins of a drain: their say in a conflict, and what stands around its transport and its publisher.
 * @param {Plugin[]} plugins @param {Clock} clock @param {(type: string, detail: any) => void} publish
 */
export function withPlugins(plugins, clock, publish) {
  /** @type {Map<Plugin, number>} */
  const failures = new Map();
  /** @param {Plugin} plugin @param {keyof Plugin} hook @param {any} argument @returns {Promise<any>} what it answered */
  const one = async (plugin, hook, argument) => {
    const work = /** @type {any} */ (plugin)[hook];
    if (typeof work !== 'function') return undefined;
    try {
      return await within(clock, kPluginMs, () => work.call(plugin, structuredClone(argument)));   // a copy: what one does to it is its own affair
    } catch (error) {
      failures.set(plugin, (failures.get(plugin) ?? 0) + 1);
      publish('sync.plugin-failed', { plugin: String(plugin.name ?? ''), hook, message: String(/** @type {any} */ (error)?.message ?? error), failures: failures.get(plugin) });
      return undefined;
    }
  };
  /** @param {keyof Plugin} hook @param {any} argument @returns {Promise<any[]>} */
  const call = (hook, argument) => Promise.all(plugins.map((plugin) => one(plugin, hook, argument)));

  /** One after the other: the first that has a document to keep decides. @param {any} conflict */
  const resolveConflict = async (conflict) => {
    for (const plugin of plugins) {
      const doc = await one(plugin, 'resolveConflict', conflict);
      if (doc !== undefined) return doc;
    }
  };

  const around = (/** @type {Transport} */ transport) => ({
    publish: (/** @type {string} */ type, /** @type {any} */ detail) => {
      publish(type, detail);
      if (detail?.sessionId) call(detail.endTime ? 'afterSync' : 'beforeSync', detail);   // it began, or it ended; a drain that could not begin is no session
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
  });
  return { around, resolveConflict };
}

/** @param {any} value */
const isPlain = (value) => value !== null && typeof value === 'object';
