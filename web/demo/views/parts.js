/** Small pieces that several views show. */
import { html, svg } from 'lit';
import { kSeverities } from '../model.js';

const kIcons = {
  check: svg`<path d="M3.5 8.5l3 3 6-7"/>`,
  clock: svg`<circle cx="8" cy="8" r="5.5"/><path d="M8 5v3.2l2 1.3"/>`,
  arrow: svg`<path d="M8 13V3.5M4 7l4-4 4 4"/>`,
  split: svg`<path d="M8 13.5V9L4 4.5M8 9l4-4.5M3.6 7V4.2h2.8M12.4 7V4.2H9.6"/>`,
  cross: svg`<path d="M4.5 4.5l7 7M11.5 4.5l-7 7"/>`,
  plus: svg`<path d="M8 3v10M3 8h10"/>`,
  back: svg`<path d="M9.5 3.5L5 8l4.5 4.5"/>`,
  sync: svg`<path d="M13 7a5 5 0 0 0-9.2-1.7M3 9a5 5 0 0 0 9.2 1.7M3.5 2.8v2.7h2.7M12.5 13.2v-2.7H9.8"/>`,
  pause: svg`<path d="M5.5 3.5v9M10.5 3.5v9"/>`,
  play: svg`<path d="M5 3.5l7 4.5-7 4.5z"/>`,
  camera: svg`<path d="M2.5 5.5h2.7L6.4 4h3.2l1.2 1.5h2.7v7h-11z"/><circle cx="8" cy="8.8" r="2.2"/>`,
  people: svg`<circle cx="6" cy="5.5" r="2.2"/><path d="M2 13c0-2.5 1.7-4 4-4s4 1.5 4 4M10.5 3.6a2.2 2.2 0 0 1 0 3.9M11.5 9.3c1.6.5 2.5 1.8 2.5 3.7"/>`,
  pin: svg`<path d="M8 14s4.5-4.3 4.5-7.5a4.5 4.5 0 0 0-9 0C3.5 9.7 8 14 8 14z"/><circle cx="8" cy="6.5" r="1.6"/>`,
  cloudOff: svg`<path d="M5 12.5a3 3 0 0 1-.5-6A4 4 0 0 1 12 6.8a2.9 2.9 0 0 1 .5 5.7zM2.5 2.5l11 11"/>`,
  calendar: svg`<path d="M3 4.5h10v8.5H3zM3 7.5h10M5.5 2.8v2.7M10.5 2.8v2.7"/>`,
};

/** @param {keyof typeof kIcons} name */
export function icon(name) {
  return html`<svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">${kIcons[name]}</svg>`;
}

/** @type {Record<import('../records.js').Mark, [keyof typeof kIcons, string]>} */
const kMarks = {
  synced: ['check', 'Synced'],
  pending: ['clock', 'Pending'],
  syncing: ['arrow', 'Syncing'],
  conflict: ['split', 'Conflict'],
  failed: ['cross', 'Failed'],
};

/** @param {import('../records.js').Mark} mark */
export function chip(mark) {
  const [shape, word] = kMarks[mark];
  return html`<span class="chip" data-mark=${mark}>${icon(shape)}${word}</span>`;
}

/** @param {number} severity */
export function severityBadge(severity) {
  const word = kSeverities[severity] ?? '';
  return html`<span class="severity" data-severity=${severity} role="img" aria-label="Severity ${severity}, ${word}" title=${word}>${severity}</span>`;
}

const kNumber = new Intl.NumberFormat();

/** @param {number} value */
export function number(value) {
  return kNumber.format(value);
}

/** @param {string} date as a date field writes it; this year goes without saying */
export function shortDate(date) {
  const time = new Date(`${date}T00:00`);
  if (Number.isNaN(time.getTime())) return date;
  const year = time.getFullYear() === new Date().getFullYear() ? undefined : 'numeric';
  return new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', year }).format(time);
}
