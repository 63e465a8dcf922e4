/** The list of assessments, gravest first. */
import { html, nothing } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { chip, icon, number, severityBadge, shortDate } from './parts.js';

/** @typedef {import('../app.js').App} App */

/** @param {App} app */
export function listView(app) {
  return html`
    <section class="list" aria-labelledby="list-title">
      <div class="list-head">
        <h2 id="list-title">Assessments${app.records.length ? html` <span class="tally">${number(app.records.length)}</span>` : nothing}</h2>
        <a class="button primary" href="#/new">${icon('plus')}New</a>
      </div>
      ${app.records.length
        ? html`<ul class="cards">${repeat(app.records, ({ id }) => id, (record) => row(record, app.route.id === record.id))}</ul>`
        : app.loaded ? html`<p class="empty">Nothing recorded on this device yet.</p>` : nothing}
    </section>`;
}

/** @param {import('../records.js').AssessmentItem} record @param {boolean} selected */
function row(record, selected) {
  const { id, doc, whole, photos, responses } = record;
  return html`
    <li>
      <a class="card" href="#/a/${id}" aria-current=${selected ? 'page' : nothing}>
        ${severityBadge(doc.severity)}
        <span class="card-main">
          <span class="card-title" dir="auto">${doc.site}</span>
          <span class="card-sub">
            <span>${count(doc.population, 'person', 'people')}</span> <span>${shortDate(doc.date)}</span>
            ${responses.length ? html`<span>${count(responses.length, 'response', 'responses')}</span>` : nothing}
            ${photos.length ? html`<span>${count(photos.length, 'photo', 'photos')}</span>` : nothing}
          </span>
        </span>
        ${chip(whole)}
      </a>
    </li>`;
}

/** @param {number} value @param {string} one @param {string} many */
function count(value, one, many) {
  return `${number(value)} ${value === 1 ? one : many}`;
}
