// Who executes the app's own jobs, for the option `tasks` (sw/task-runs.js says how). An entry of its own (`tidegate/tasks`).
import { Tasks } from './task-runs.js';

/** @import { Task, TaskRunner } from './index.d.ts' */

/** What a worker's option `tasks` wants: who executes them. @param {Task[]} list @returns {TaskRunner} */
export function tasks(list) {
  const known = new Tasks();
  for (const task of list) known.register(task);
  return known.around;
}
