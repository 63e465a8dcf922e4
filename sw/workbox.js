// tidegate/workbox: put it where "workbox-background-sync" stood. The same classes over the same database, and nothing is lost (docs/workbox.md).
import { deadLetters, dropDeadLetter, requeue } from './workbox-dead.js';
import { queueOf } from './workbox-queue.js';

export { BackgroundSyncPlugin, Queue, replayAll } from './workbox-queue.js';
export { QueueDb, QueueStore } from './workbox-store.js';
export { StorableRequest } from './workbox-request.js';
export { WorkboxError } from './workbox-errors.js';
export { deadLetters, dropDeadLetter };

/** Puts a dead letter at the end of its queue again and asks for a sync. @param {string} key @returns {Promise<boolean>} whether it was there */
export async function retryDeadLetter(key) {
  const letter = (await deadLetters()).find((one) => one.key === key);
  if (!letter || !(await requeue(key))) return false;
  await queueOf(letter.queueName)?.registerSync();
  return true;
}
