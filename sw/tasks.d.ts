import type { Task, TaskRunner } from './index.js';

/** For the option `tasks` of createSyncWorker(), connect() and openClient(): who executes the runs of these tasks. */
export function tasks(list: Task[]): TaskRunner;
