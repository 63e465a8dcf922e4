// What the sensors of a realm say, in the words of the core. An absent reading is unknown, and stays absent.

/** @import { ReadingsIn } from '../wasm/protocol.js' */
/** @import { Clock } from './clock.js' */

/**
 * Network Information exists in Chromium only; `onLine` everywhere.
 * @param {any} navigator @param {Clock} clock @returns {ReadingsIn}
 */
export function networkReadings(navigator, clock) {
  /** @type {any} */
  const readings = { online: navigator.onLine, utcOffsetMinutes: clock.utcOffsetMinutes() };
  const { type, effectiveType, downlink, rtt, saveData } = navigator.connection ?? {};
  return present({ ...readings, connectionType: type, effectiveType, downlink, rtt, saveData });
}

/** A battery manager's state; 0–100. @param {any} battery @param {Clock} clock @returns {ReadingsIn} */
export const batteryReadings = (battery, clock) =>
  (battery ? { batteryLevel: Math.round(battery.level * 100), charging: battery.charging, atMs: clock.now() } : {});

/** Whether the person is away, as an idle detector says. @param {any} detector @param {Clock} clock @returns {ReadingsIn} */
export const idleReadings = (detector, clock) =>
  (detector ? { idle: detector.userState === 'idle' || detector.screenState === 'locked', atMs: clock.now() } : {});

/** How busy the processor is, as a pressure observer said last. It says so to a page with the focus; of any other what it said is old. @param {{state?: string}} seen @param {{hasFocus(): boolean}} document @returns {ReadingsIn} */
export const pressureReadings = ({ state }, document) => (state && document.hasFocus() ? { pressure: state } : {});

/** The entries that are there. @template {object} T @param {T} readings @returns {T} */
const present = (readings) => /** @type {T} */ (Object.fromEntries(Object.entries(readings).filter(([, value]) => value !== undefined && value !== null)));
