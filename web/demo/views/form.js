/** The form for a new or a changed assessment. The browser's own validation names what is missing. */
import { html, nothing } from 'lit';
import { kNeeds, kSeverities, today } from '../model.js';
import { icon } from './parts.js';

/** @typedef {import('../app.js').App} App */

/** @param {App} app @param {import('../records.js').AssessmentItem | undefined} record */
export function formView(app, record) {
  const doc = record?.doc;
  return html`
    <section class="sheet" aria-labelledby="form-title">
      <a class="back" href=${record ? `#/a/${record.id}` : '#/'}>${icon('back')}${record ? 'Back to the assessment' : 'All assessments'}</a>
      <h2 id="form-title" tabindex="-1">${record ? `Edit ${doc.site}` : 'New assessment'}</h2>
      <form class="form" @submit=${(/** @type {SubmitEvent} */ event) => app.submitAssessment(event, record)}>
        <label class="wide">Site
          <input name="site" required maxlength="120" autocomplete="off" dir="auto" placeholder="Village, camp or street" .value=${doc?.site ?? ''}>
        </label>
        <label>Date
          <input name="date" type="date" required .value=${doc?.date ?? today()}>
        </label>
        <label>People affected
          <input name="population" type="number" inputmode="numeric" required min="0" max="10000000" step="1" .value=${String(doc?.population ?? '')}>
        </label>
        <fieldset class="wide">
          <legend>Severity</legend>
          <div class="scale">
            ${[1, 2, 3, 4, 5].map((level) => html`
              <label class="scale-step" data-severity=${level}>
                <input type="radio" name="severity" required .value=${String(level)} .checked=${(doc?.severity ?? 3) === level}>
                <span><b>${level}</b> ${kSeverities[level]}</span>
              </label>`)}
          </div>
          <p class="hint">4 is sent before routine records, 5 before everything else.</p>
        </fieldset>
        <fieldset class="wide">
          <legend>Needs</legend>
          <div class="checks">
            ${kNeeds.map((need) => html`
              <label class="check"><input type="checkbox" name="needs" .value=${need} .checked=${doc?.needs?.includes(need) ?? false}><span>${need}</span></label>`)}
          </div>
        </fieldset>
        <div class="wide with-button">
          <label>Position
            <input name="gps" maxlength="80" autocomplete="off" placeholder="Latitude, longitude" .value=${doc?.gps ?? ''}>
          </label>
          ${'geolocation' in navigator
            ? html`<button type="button" @click=${(/** @type {Event} */ event) => app.fillPosition(event)}>${icon('pin')}Use mine</button>`
            : nothing}
        </div>
        <label class="wide">Notes
          <textarea name="notes" rows="5" maxlength="4000" dir="auto" .value=${doc?.notes ?? ''}></textarea>
        </label>
        <div class="wide actions">
          <button class="primary" type="submit">Save</button>
          <a class="button" href=${record ? `#/a/${record.id}` : '#/'}>Cancel</a>
        </div>
      </form>
    </section>`;
}
