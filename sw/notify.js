// The app's badge shows how many changes wait, and a change that was refused for good is told once, with the user's permission. Where an engine has neither, or
// the permission is missing, the events `status` and `op.dead` are all there is.

/** @import { NotifyOptions } from './index.d.ts' */

/**
 * @param {{navigator: any, registration?: any, permission: () => string | undefined}} realm @param {boolean | NotifyOptions} [options]
 * @returns {(type: string, detail: any) => void}  to be told what is published
 */
export function notifier({ navigator, registration, permission }, options) {
  if (!options) return () => {};
  const { title = 'A change was not accepted', body = (/** @type {any} */ { reason }) => reason } = options === true ? {} : options;
  let shown = -1;
  /** Async, so that a `body` of the app that throws harms nobody. The tag makes a second one for the same op replace the first instead of joining it. */
  const show = async (/** @type {any} */ op) => registration.showNotification(title, { tag: op.id, body: body(op) });
  return (type, detail) => {
    if (type === 'status' && detail.queueSize !== shown && navigator.setAppBadge) {
      shown = detail.queueSize;
      navigator.setAppBadge(shown).catch(() => {});   // 0 clears it
    }
    if (type === 'op.dead' && permission() === 'granted' && registration?.showNotification)
      show(detail).catch((error) => console.error('tidegate: no notification was shown', error));
  };
}
