// The app's own jobs. A run of one is an op like any other, of the reserved entity `tidegate.task`: it is stored, gated, ordered, repeated, explained and given up
// as every op is; only that the shell executes a function where it would send a request. So it may run more than once (a worker that dies in the middle does not
// know how far it came): `runId` stays the same for every attempt of one run.
//
//     createSyncWorker({ endpoint: '/api/v1', tasks: tasks([{ taskId: 'thumbnails', execute: async ({ input, runId, signal }) => … }]) })
//     client.runTask('thumbnails', { album: 7 }, { priority: 'low', dependsOn: [saved.id] })
import { within } from './clock.js';
import { TidegateError } from './errors.js';

/** @import { Task, TaskRunner } from './index.d.ts' */

export class Tasks {
  /** @type {Map<string, Task['execute']>} */
  #known = new Map();

  /** @param {Task} task @returns {() => void} what takes it away again */
  register({ taskId, execute }) {
    if (typeof taskId !== 'string' || taskId === '') throw new TidegateError('wrong-type', '/taskId', `taskId: expected a name, got ${typeof taskId === 'string' ? '""' : typeof taskId}`);
    if (typeof execute !== 'function') throw new TidegateError('wrong-type', '/execute', `execute: expected a function, got ${typeof execute}`);
    if (this.#known.has(taskId)) throw new TidegateError('out-of-range', '/taskId', `taskId: expected one that is not registered yet, got ${JSON.stringify(taskId)}`);
    this.#known.set(taskId, execute);
    return () => { if (this.#known.get(taskId) === execute) this.#known.delete(taskId); };
  }

  /** Those that are registered here, and those of the option `tasks`. @param {TaskRunner} [more] @returns {TaskRunner} */
  with(more) {
    return (transport, realm) => this.around(more ? more(transport, realm) : transport, realm);
  }

  /** @type {TaskRunner} a transport that executes runs of its tasks, and leaves others to the one it stands around */
  around = (transport, { clock, publish }) => ({
    ...transport,
    send: (/** @type {any} */ effect, /** @type {Uint8Array | undefined} */ body, /** @type {AbortSignal} */ stop) => {
      const execute = effect.type === 'run' ? this.#known.get(effect.detail.entityId) : undefined;
      return execute ? run(execute, effect, body, stop, clock, publish) : transport.send(effect, body, stop);
    },
  });
}

/** @param {Task['execute']} execute @param {any} effect @param {Uint8Array | undefined} body @param {AbortSignal} stop @param {import('./clock.js').Clock} clock @param {(type: string, detail: any) => void} publish */
async function run(execute, { detail: { id, owner, entityId: taskId }, timeoutMs }, body, stop, clock, publish) {
  const abort = new AbortController();
  const end = () => abort.abort();
  stop.addEventListener('abort', end);
  try {
    const input = body && JSON.parse(new TextDecoder().decode(body));
    const result = await within(clock, timeoutMs, () => execute({ taskId, runId: id, owner, input, signal: abort.signal }), stop);
    if (result === false) throw new Error('it answered false');
    return { status: 200 };
  } catch (error) {
    end();
    const message = String(/** @type {any} */ (error)?.message ?? error);
    if (!stop.aborted) publish('task.failed', { id, owner, taskId, message });   // else the drain ended under it, which says nothing of it
    return { failure: 'task', message };
  } finally {
    stop.removeEventListener('abort', end);
  }
}
