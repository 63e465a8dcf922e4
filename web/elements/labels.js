/**
 * The words of the elements. Each is a function from a status to a sentence, or to '' when the status does not say it.
 * An app in another language replaces them through the `labels` property.
 */

/** @typedef {import('../../wasm/protocol.d.ts').Status} Status */

/**
 * @typedef {object} Labels
 * @property {string} progressName                    the accessible name of the bar
 * @property {(status: Status) => string} state       one or two words
 * @property {(status: Status) => string} count       how many are sent, or how many are waiting
 * @property {(status: Status) => string} failed      how many were refused
 * @property {(status: Status) => string} reason      why nothing moves
 * @property {(status: Status) => string} operation   what is being sent now
 * @property {(status: Status) => string} eta         when it will be done
 * @property {(status: Status) => string} nextSync    when it tries again
 * @property {(status: Status) => string} lastSync    when it last succeeded
 * @property {(status: Status) => string} error       what went wrong last
 */

/** @type {Record<string, string>} */
const kStateWords = {
  idle: 'Idle',
  scheduled: 'Scheduled',
  running: 'Syncing',
  completed: 'Synced',
  paused: 'Paused',
  waiting: 'Waiting',
  offline: 'Offline',
  failed: 'Sync failed',
};

const kMinuteS = 60;
const kHourS = 3_600;

/**
 * English wording; numbers and times are formatted for `language` (the browser's own when absent).
 * @param {string} [language]
 * @returns {Labels}
 */
export function englishLabels(language) {
  const number = new Intl.NumberFormat(language);
  return {
    progressName: 'Sync progress',
    state: ({ state }) => kStateWords[state] ?? state,
    count: ({ currentProgress: { totalItems, completedItems }, queueSize, isActive }) => {
      if (isActive && totalItems > 0) return `${number.format(completedItems)} of ${number.format(totalItems)} sent`;
      return queueSize > 0 ? `${number.format(queueSize)} to send` : '';
    },
    failed: ({ currentProgress: { failedItems } }) => (failedItems > 0 ? `${number.format(failedItems)} failed` : ''),
    reason: ({ reason }) => reason ?? '',
    operation: ({ currentProgress: { currentOperation: op } }) => (op ? `${op.type} ${op.entityId}` : ''),
    eta: (status) => {
      const seconds = secondsLeft(status);
      return seconds === undefined ? '' : `about ${duration(seconds, number)} left`;
    },
    nextSync: ({ nextRetryTime }) => (nextRetryTime ? `Next try ${clock(nextRetryTime, language)}` : ''),
    lastSync: ({ lastSyncTime }) => (lastSyncTime ? `Last sync ${clock(lastSyncTime, language)}` : ''),
    error: ({ state, lastError }) => (state === 'failed' && lastError ? lastError.message : ''),
  };
}

/**
 * Seconds until the engine expects to be done, undefined where it does not say or where its estimate is over.
 * @param {Status} status
 */
function secondsLeft({ isActive, estimatedCompletionTime }) {
  if (!isActive || !estimatedCompletionTime) return undefined;
  const seconds = Math.round((estimatedCompletionTime - Date.now()) / 1_000);
  return seconds > 0 ? seconds : undefined;
}

/**
 * @param {number} seconds
 * @param {Intl.NumberFormat} number
 */
function duration(seconds, number) {
  if (seconds < kMinuteS) return `${number.format(seconds)} s`;
  if (seconds < kHourS) return `${number.format(Math.round(seconds / kMinuteS))} min`;
  return `${number.format(Math.round(seconds / kHourS))} h`;
}

/**
 * The time of day, with the date when it is not today's.
 * @param {number} timeMs
 * @param {string} [language]
 */
function clock(timeMs, language) {
  const time = new Date(timeMs);
  const today = time.toDateString() === new Date().toDateString();
  return new Intl.DateTimeFormat(language, today ? { timeStyle: 'short' } : { dateStyle: 'medium', timeStyle: 'short' }).format(time);
}
