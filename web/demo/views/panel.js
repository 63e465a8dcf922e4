/** The sync panel: the gate, the engine's own progress, and the two things a person may ask of it. */
import { html, nothing, svg } from 'lit';
import { icon, number } from './parts.js';

/** @typedef {import('../app.js').App} App */

const kCratesShown = 7;
const kFarWave = wave(70, 12, 5);
const kNearWave = wave(82, 16, 5);

/** What the element says in the words of this app. @param {App} app */
export const labelsFor = (app) => ({
  // The queue has a line of its own below; the element counts the running session.
  count: (/** @type {any} */ { isActive, currentProgress: { completedItems, totalItems } }) =>
    (isActive && totalItems > 0 ? `${number(completedItems)} of ${number(totalItems)} sent` : ''),
  operation: (/** @type {any} */ { currentProgress: { currentOperation } }) => (currentOperation ? `Sending ${app.nameOf(currentOperation.entityId)}` : ''),
});

/** @param {App} app */
export function panelView(app) {
  const { status } = app;
  const paused = status?.state === 'paused';
  return html`
    <aside class="panel" aria-labelledby="panel-title">
      <h2 id="panel-title">Sync</h2>
      ${gateView(app)}
      <tidegate-progress .client=${app.client} .labels=${app.labels}></tidegate-progress>
      ${status ? html`<p class="queue"><b>${number(status.queueSize)}</b> ${status.queueSize === 1 ? 'change' : 'changes'} on this device not yet sent</p>` : nothing}
      ${app.totals?.itemsSucceeded ? totalsView(app.totals) : nothing}
      ${status?.deadLetters ? html`<p class="queue problem"><b>${number(status.deadLetters)}</b> not accepted by the server, see the marked records</p>` : nothing}
      <div class="panel-actions">
        <button type="button" class="primary" ?disabled=${!app.client || paused} @click=${() => app.syncNow()}>${icon('sync')}Sync now</button>
        <button type="button" ?disabled=${!app.client} aria-pressed=${paused ? 'true' : 'false'} @click=${() => app.togglePause()}>
          ${icon(paused ? 'play' : 'pause')}${paused ? 'Resume' : 'Pause'}
        </button>
      </div>
    </aside>`;
}

/** What sync has done on this device so far. @param {any} totals */
function totalsView({ itemsSucceeded, requests, bytesBefore, bytesSent }) {
  return html`
    <p class="queue"><b>${number(itemsSucceeded)}</b> ${itemsSucceeded === 1 ? 'change' : 'changes'} sent so far in <b>${number(requests)}</b> ${requests === 1 ? 'request' : 'requests'}${
      bytesSent > 0 && bytesSent < bytesBefore ? html`, ${kilobytes(bytesSent)} instead of ${kilobytes(bytesBefore)}` : nothing}</p>`;
}

/** @param {number} bytes */
function kilobytes(bytes) {
  return new Intl.NumberFormat(undefined, { style: 'unit', unit: 'kilobyte', maximumSignificantDigits: 3 }).format(bytes / 1_000).replace(' ', '\u00a0');
}

/**
 * The picture says what the text below it says: the gate is up while changes may pass, down while they may not; crates are waiting changes.
 * @param {App} app
 */
function gateView({ status, online }) {
  const open = online && status !== undefined && !['paused', 'offline'].includes(status.state);
  const crates = Math.min(status?.queueSize ?? 0, kCratesShown);
  return html`
    <svg class="gate" data-open=${open ? 'true' : 'false'} viewBox="0 0 288 104" aria-hidden="true" focusable="false">
      <path class="sky" d="M0 0h288v104H0z"/>
      <path class="wave far" d=${kFarWave}/>
      <g class="crates">${Array.from({ length: crates }, (_, index) => crate(index))}</g>
      <path class="leaf" d="M160 32h36v56h-36z"/>
      <path class="leaf-lines" d="M160 46h36M160 60h36M160 74h36"/>
      <path class="frame" d="M150 14h56v90h-10V24h-36v80h-10z"/>
      <path class="wave near" d=${kNearWave}/>
    </svg>`;
}

/** @param {number} index from the gate outwards */
function crate(index) {
  const x = 132 - index * 18;
  return svg`<rect class="crate" x=${x - 7} y="58" width="14" height="14" rx="2"/><path class="crate-line" d="M${x - 7} 65h14"/>`;
}

/**
 * Water from side to side, two wavelengths wider than the picture, so that it can drift without an edge coming into view.
 * @param {number} level @param {number} halfLength @param {number} height
 */
function wave(level, halfLength, height) {
  const start = -2 * halfLength;
  const crests = Math.ceil((288 - 2 * start) / halfLength) - 1;
  return `M${start} ${level}q${halfLength / 2} ${-height} ${halfLength} 0${`t${halfLength} 0`.repeat(crests)}V104H${start}z`;
}
