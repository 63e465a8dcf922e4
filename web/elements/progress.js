/**
 * `<tidegate-progress>` shows what the sync engine says about itself, and nothing else.
 *
 * Every figure on it is copied from a status the client delivered. There is no timer that moves the bar, no guessed
 * remaining time and no percentage of an unknown total: what the status does not say, the element does not show.
 * Clock times are absolute ("Last sync 14:03"), so that nothing on screen becomes wrong while no event comes.
 *
 * Styling: the custom properties at the top of `styles`, and the parts `state`, `count`, `track`, `bar`, `reason`,
 * `operation`, `eta`, `last` and `error`. The attribute `state` is reflected for selectors of the page.
 * Styles are adopted sheets and the bar's width is set through the CSSOM, so `style-src 'self'` is enough.
 */
import { LitElement, css, html, nothing } from 'lit';
import { englishLabels } from './labels.js';

/** @typedef {import('./labels.js').Labels} Labels */
/** @typedef {import('./labels.js').Status} Status */

/**
 * The part of the Tidegate client the element needs.
 * @typedef {object} StatusSource
 * @property {() => Status | Promise<Status>} status
 * @property {(listener: (event: {type: string, status?: Status}) => void) => (() => void)} subscribe
 */

/** A screen reader hears at most one announcement in this time; the last one is never swallowed. */
export const kAnnounceIntervalMs = 5_000;

export class TidegateProgress extends LitElement {
  static properties = {
    client: { attribute: false },
    labels: { attribute: false },
    state: { type: String, reflect: true },
    _status: { state: true },
    _announcement: { state: true },
  };

  static styles = css`
    :host {
      --_accent: var(--tidegate-accent, #0b7285);
      --_track: var(--tidegate-track, #d5e3e6);
      --_text: var(--tidegate-text, #10303c);
      --_muted: var(--tidegate-muted, #47626d);
      --_warn: var(--tidegate-warn, #8a5300);
      --_danger: var(--tidegate-danger, #b3261e);
      --_bar-size: var(--tidegate-bar-size, 0.5rem);
      --_gap: var(--tidegate-gap, 0.5rem);
      --_tone: var(--_accent);
      display: block;
      color: var(--_text);
      font: inherit;
      font-variant-numeric: tabular-nums;
    }
    @media (prefers-color-scheme: dark) {
      :host {
        --_accent: var(--tidegate-accent, #5cc4cf);
        --_track: var(--tidegate-track, #27414b);
        --_text: var(--tidegate-text, #e6f1f3);
        --_muted: var(--tidegate-muted, #a3bcc4);
        --_warn: var(--tidegate-warn, #f0b35c);
        --_danger: var(--tidegate-danger, #ff9b8f);
      }
    }
    :host([hidden]) { display: none; }
    :host([state='offline']), :host([state='paused']), :host([state='waiting']) { --_tone: var(--_warn); }
    :host([state='failed']) { --_tone: var(--_danger); }

    .line { display: flex; flex-wrap: wrap; gap: 0 var(--_gap); align-items: baseline; }
    .state { display: inline-flex; align-items: center; gap: 0.5em; margin-inline-end: auto; font-weight: 600; }
    .dot { inline-size: 0.625em; block-size: 0.625em; border-radius: 50%; background: var(--_tone); flex: none; }
    .track {
      block-size: var(--_bar-size);
      margin-block: var(--_gap);
      border-radius: 999px;
      background: var(--_track);
      overflow: hidden;
    }
    .bar {
      inline-size: calc(var(--_fraction, 0) * 100%);
      block-size: 100%;
      border-radius: inherit;
      background: var(--_tone);
      transition: inline-size 0.3s ease-out;
    }
    .small { margin: 0; color: var(--_muted); font-size: 0.875em; line-height: 1.5; overflow-wrap: anywhere; }
    .error { color: var(--_danger); }
    .times { display: flex; flex-wrap: wrap; gap: 0 1em; }
    .spoken {
      position: absolute;
      inline-size: 1px;
      block-size: 1px;
      overflow: hidden;
      clip-path: inset(50%);
      white-space: nowrap;
    }
    @media (prefers-reduced-motion: no-preference) {
      :host([state='running']) .dot { animation: breathe 1.6s ease-in-out infinite; }
      @keyframes breathe { 50% { opacity: 0.35; } }
    }
    @media (prefers-reduced-motion: reduce) {
      .bar { transition: none; }
    }
    @media (forced-colors: active) {
      .track { border: 1px solid CanvasText; }
      .bar, .dot { forced-color-adjust: none; background: Highlight; }
    }
  `;

  constructor() {
    super();
    /** The client whose status is shown. @type {StatusSource | undefined} */
    this.client = undefined;
    /** Wording; what is left out stays English. @type {Partial<Labels> | undefined} */
    this.labels = undefined;
    /** The state of the last status, reflected as an attribute. @type {string | undefined} */
    this.state = undefined;
    /** @type {Status | undefined} */
    this._status = undefined;
    this._announcement = '';
    /** @type {StatusSource | undefined} */
    this._source = undefined;
    /** @type {(() => void) | undefined} */
    this._unsubscribe = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._announceTimer = undefined;
    this._announcedAtMs = -Infinity;
  }

  connectedCallback() {
    super.connectedCallback();
    this._attach();
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this._detach();
  }

  /** @param {Map<PropertyKey, unknown>} changed */
  willUpdate(changed) {
    if (changed.has('client') && this.client !== this._source) {
      this._detach();
      this._attach();
    }
  }

  /** @param {Map<PropertyKey, unknown>} _changed */
  updated(_changed) {
    const bar = /** @type {HTMLElement | null} */ (this.renderRoot.querySelector('.bar'));
    bar?.style.setProperty('--_fraction', String(fractionDone(this._status)));
  }

  /** Follows the client. Its present status is asked for once; a status that comes as an event is newer and wins. */
  _attach() {
    const source = this.client;
    if (!source || !this.isConnected || this._source === source) return;
    this._source = source;
    let heard = false;
    this._unsubscribe = source.subscribe((event) => {
      if (event.type !== 'status' || !event.status) return;
      heard = true;
      this._show(event.status);
    });
    Promise.resolve(source.status()).then(
      (status) => { if (!heard && this._source === source) this._show(status); },
      ({ status }) => { if (status && !heard && this._source === source) this._show({ ...status, currentProgress: { totalItems: 0, completedItems: 0, failedItems: 0 } }); },   // without a core it says why; else a client that cannot answer yet will report by event
    );
  }

  _detach() {
    this._unsubscribe?.();
    this._unsubscribe = undefined;
    this._source = undefined;
    this._status = undefined;
    this.state = undefined;
    clearTimeout(this._announceTimer);
    this._announceTimer = undefined;
  }

  /** @param {Status | undefined} status */
  _show(status) {
    if (!status) return;
    this._status = status;
    this.state = status.state;
    this._announceSoon();
  }

  /** Puts the present sentence into the live region now, or when the interval since the last announcement is over. */
  _announceSoon() {
    if (this._announceTimer !== undefined) return;
    const wait = this._announcedAtMs + kAnnounceIntervalMs - performance.now();
    if (wait <= 0) this._announce();
    else this._announceTimer = setTimeout(() => this._announce(), wait);
  }

  _announce() {
    this._announceTimer = undefined;
    const status = this._status;
    if (!status) return;
    const say = this._wording();
    const sentence = [say.state(status), say.count(status), say.failed(status), say.reason(status)].filter(Boolean).join('. ');
    if (sentence === this._announcement) return;
    this._announcement = sentence;
    this._announcedAtMs = performance.now();
  }

  /** @returns {Labels} */
  _wording() {
    return { ...englishLabels(formatLanguage(this.closest('[lang]')?.getAttribute('lang'))), ...this.labels };
  }

  render() {
    const status = this._status;
    if (!status) return nothing;
    const say = this._wording();
    const counts = [say.count(status), say.failed(status)].filter(Boolean).join(', ');
    const reason = say.reason(status);
    const operation = say.operation(status);
    const times = [
      [say.eta(status), 'eta'],
      [say.nextSync(status), 'next'],
      [say.lastSync(status), 'last'],
    ].filter(([text]) => text);
    const error = say.error(status);
    return html`
      <div class="line">
        <span class="state" part="state"><span class="dot" aria-hidden="true"></span>${say.state(status)}</span>
        ${counts ? html`<span class="small" part="count">${counts}</span>` : nothing}
      </div>
      ${this._track(status, say, counts)}
      ${reason ? html`<p class="small" part="reason">${reason}</p>` : nothing}
      ${operation ? html`<p class="small" part="operation">${operation}</p>` : nothing}
      ${times.length ? html`<p class="small times">${times.map(([text, part]) => html`<span part=${part}>${text}</span>`)}</p>` : nothing}
      ${error ? html`<p class="small error" part="error">${error}</p>` : nothing}
      <span class="spoken" role="status" aria-live="polite">${this._announcement}</span>
    `;
  }

  /**
   * The bar, only where a session has something to be a part of: a queue that waits is no progress.
   * @param {Status} status
   * @param {Labels} say
   * @param {string} counts
   */
  _track(status, say, counts) {
    const { totalItems, completedItems, failedItems } = status.currentProgress;
    if (!(totalItems > 0) || !(status.isActive || completedItems + failedItems > 0)) return nothing;
    return html`
      <div class="track" part="track" role="progressbar" aria-label=${say.progressName} aria-valuemin="0"
        aria-valuemax=${totalItems} aria-valuenow=${Math.min(totalItems, completedItems + failedItems)} aria-valuetext=${counts || nothing}>
        <div class="bar" part="bar"></div>
      </div>`;
  }
}

/**
 * The part of the session's items that has an outcome, 0 to 1; 0 when there are none.
 * @param {Status | undefined} status
 */
function fractionDone(status) {
  if (!status || !(status.currentProgress.totalItems > 0)) return 0;
  const { totalItems, completedItems, failedItems } = status.currentProgress;
  return Math.min(1, Math.max(0, (completedItems + failedItems) / totalItems));
}

/**
 * The language numbers and times are written in: the page's, in the person's own regional form where the browser names one ("en" → "en-GB").
 * @param {string | null | undefined} language
 */
function formatLanguage(language) {
  if (!language) return undefined;
  return navigator.languages.find((one) => one === language || one.startsWith(`${language}-`)) ?? language;
}

/** Registers the element. Calling it again, or loading a second copy of the module, changes nothing. */
export function defineProgress() {
  if (!customElements.get('tidegate-progress')) customElements.define('tidegate-progress', TidegateProgress);
}
