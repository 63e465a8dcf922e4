/** One assessment: what was found, what was done about it, its photos, and how far each of them has come. */
import { html, nothing } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { kResponseStatus } from '../model.js';
import { conflictView, failureView } from './trouble.js';
import { chip, icon, number, severityBadge, shortDate } from './parts.js';

/** @typedef {import('../app.js').App} App */
/** @typedef {import('../records.js').AssessmentItem} AssessmentItem */
/** @typedef {import('../records.js').Item} Item */

/** @param {App} app @param {AssessmentItem} record */
export function detailView(app, record) {
  const { id, doc, mark } = record;
  return html`
    <article class="sheet" aria-labelledby="detail-title">
      <a class="back" href="#/">${icon('back')}All assessments</a>
      <header class="sheet-head">
        ${severityBadge(doc.severity)}
        <h2 id="detail-title" tabindex="-1" dir="auto">${doc.site}</h2>
        ${chip(mark)}
      </header>
      ${conflictView(app, record)}
      ${failureView(app, record)}
      <dl class="facts">
        <div><dt>${icon('people')}People affected</dt><dd>${number(doc.population)}</dd></div>
        <div><dt>${icon('calendar')}Assessed</dt><dd>${shortDate(doc.date)}</dd></div>
        ${doc.gps ? html`<div><dt>${icon('pin')}Position</dt><dd>${doc.gps}</dd></div>` : nothing}
      </dl>
      ${doc.needs.length
        ? html`<ul class="needs" aria-label="Needs">${doc.needs.map((/** @type {string} */ need) => html`<li>${need}</li>`)}</ul>`
        : nothing}
      ${doc.notes ? html`<p class="notes" dir="auto">${doc.notes}</p>` : nothing}
      <div class="actions">
        <a class="button" href="#/a/${id}/edit">Edit</a>
        <button type="button" class="quiet-danger" @click=${() => app.remove(record)}>Delete</button>
      </div>
      ${photosView(app, record)}
      ${responsesView(app, record)}
    </article>`;
}

/** @param {App} app @param {AssessmentItem} record */
function photosView(app, record) {
  return html`
    <section aria-labelledby="photos-title">
      <h3 id="photos-title">Photos</h3>
      <ul class="photos">
        ${repeat(record.photos, ({ id }) => id, (photo, index) => html`
          <li>
            ${app.photoUrl(photo.id)
              ? html`<img src=${app.photoUrl(photo.id)} alt="Photo ${index + 1} of ${record.doc.site}">`
              : html`<span class="photo-missing">Not on this device</span>`}
            ${chip(photo.mark)}
          </li>`)}
        <li>
          <label class="add-photo">
            ${icon('camera')}Add photo
            <input class="visually-hidden" type="file" accept="image/*" @change=${(/** @type {Event} */ event) => app.addPhoto(event, record)}>
          </label>
        </li>
      </ul>
    </section>`;
}

/** @param {App} app @param {AssessmentItem} record */
function responsesView(app, record) {
  return html`
    <section aria-labelledby="responses-title">
      <h3 id="responses-title">Responses</h3>
      ${record.responses.length
        ? html`<ul class="responses">${repeat(record.responses, ({ id }) => id, (response) => responseRow(app, response))}</ul>`
        : html`<p class="hint">None recorded yet.</p>`}
      <form class="response-form" @submit=${(/** @type {SubmitEvent} */ event) => app.submitResponse(event, record)}>
        <label>Action taken<input name="action" required maxlength="120" autocomplete="off" dir="auto"></label>
        <label>Quantity<input name="quantity" type="number" inputmode="numeric" min="0" max="10000000" step="1" required></label>
        <label>Status<select name="status">${kResponseStatus.map((status) => html`<option>${status}</option>`)}</select></label>
        <button type="submit">${icon('plus')}Add<span class="visually-hidden"> response</span></button>
      </form>
    </section>`;
}

/** @param {App} app @param {Item} response */
function responseRow(app, response) {
  const { doc } = response;
  const change = (/** @type {Event} */ event) => app.setResponseStatus(response, /** @type {HTMLSelectElement} */ (event.target).value);
  return html`
    <li>
      <span class="response-main"><b dir="auto">${doc.action}</b><span>${number(doc.quantity)}</span></span>
      <select aria-label="Status of ${doc.action}" @change=${change}>
        ${kResponseStatus.map((status) => html`<option ?selected=${status === doc.status}>${status}</option>`)}
      </select>
      ${chip(response.mark)}
      ${failureView(app, response)}
    </li>`;
}
