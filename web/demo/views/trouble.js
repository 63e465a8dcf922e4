/** What needs a person: an answer that refused a change, and a field that two people changed. */
import { html, nothing } from 'lit';
import { kFieldNames } from '../model.js';

/** @typedef {import('../app.js').App} App */
/** @typedef {import('../records.js').Item} Item */
/** @typedef {import('../records.js').Clash} Clash */

/** @param {App} app @param {Item} item */
export function failureView(app, item) {
  if (item.mark !== 'failed' || !item.op) return nothing;
  const { id, error, reason } = item.op;
  return html`
    <div class="trouble" data-mark="failed">
      <p><b>The server did not accept this change.</b> ${error?.message ?? reason ?? ''} It is kept on this device.</p>
      <div class="actions">
        <button type="button" @click=${() => app.attempt(() => app.client.retry(id))}>Try again</button>
        <button type="button" class="quiet-danger" @click=${() => app.attempt(() => app.client.drop(id))}>Discard the change</button>
      </div>
    </div>`;
}

/**
 * Both values of every field that two people changed. The engine has decided already (the later write stands) and kept the other
 * value; the person may take it back, which is an edit like any other.
 * @param {App} app @param {Item} item
 */
export function conflictView(app, item) {
  if (item.clashes.length === 0) return nothing;
  return html`
    <section class="trouble" data-mark="conflict" aria-label="Conflict">
      <p><b>Someone else changed this record too.</b> What did not clash was merged; here are both values of what did.</p>
      <dl class="clashes">${item.clashes.map((clash) => clashRow(app, item, clash))}</dl>
      <div class="actions"><button type="button" @click=${() => app.settle(item)}>Keep it as it is now</button></div>
    </section>`;
}

/** @param {App} app @param {Item} item @param {Clash} clash */
function clashRow(app, item, clash) {
  const name = kFieldNames[clash.field] ?? clash.field;
  /** @param {string} where @param {any} value @param {boolean} stands */
  const side = (where, value, stands) => html`
    <dd class=${stands ? 'stands' : nothing}>
      <span class="side">${where}${stands ? ' · in use' : nothing}</span>
      <span class="value" dir="auto">${shown(value)}</span>
      ${stands || !clash.restorable ? nothing : html`<button type="button" @click=${() => app.takeOther(item, clash)}>Use this<span class="visually-hidden"> for ${name}</span></button>`}
    </dd>`;
  return html`
    <div>
      <dt>${name}</dt>
      ${side('This device', clash.ours, clash.winner === 'ours')}
      ${side('Server', clash.theirs, clash.winner === 'theirs')}
    </div>`;
}

/** @param {any} value */
function shown(value) {
  if (value === undefined) return html`<i>nothing</i>`;
  return Array.isArray(value) ? value.join(', ') : String(typeof value === 'object' ? JSON.stringify(value) : value);
}
