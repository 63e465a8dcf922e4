/** The situation at a glance, shown where no single assessment is open. */
import { html, nothing } from 'lit';
import { kNeeds } from '../model.js';
import { icon, number, severityBadge } from './parts.js';

/** @typedef {import('../app.js').App} App */

const kUrgentShown = 3;

/** @param {App} app */
export function overviewView(app) {
  if (!app.loaded) return nothing;
  if (app.records.length === 0) return welcomeView(app);
  const docs = app.records.map(({ doc }) => doc);
  const people = docs.reduce((sum, { population }) => sum + population, 0);
  const severe = docs.filter(({ severity }) => severity >= 4).length;
  return html`
    <section class="overview" aria-labelledby="overview-title">
      <h2 id="overview-title" tabindex="-1">Situation</h2>
      <dl class="figures">
        <div><dt>Sites assessed</dt><dd>${number(docs.length)}</dd></div>
        <div><dt>People affected</dt><dd>${number(people)}</dd></div>
        <div><dt>Severe or critical</dt><dd>${number(severe)}</dd></div>
      </dl>
      ${needsChart(docs, people)}
      ${urgentView(app.records.filter(({ doc }) => doc.severity >= 4).slice(0, kUrgentShown))}
    </section>`;
}

/** @param {App} app */
function welcomeView(app) {
  return html`
    <section class="overview welcome" aria-labelledby="overview-title">
      <h2 id="overview-title" tabindex="-1">Write it down where it happens</h2>
      <ol>
        <li><b>Record.</b> What you save is on this device at once, with or without a network.</li>
        <li><b>Go offline.</b> The app opens and works all the same; changes wait behind the gate.</li>
        <li><b>Come back.</b> The gate opens by itself, the gravest findings go first, and nothing goes twice.</li>
      </ol>
      <div class="actions">
        <a class="button primary" href="#/new">${icon('plus')}New assessment</a>
        <button type="button" @click=${() => app.addSamples()}>Add three sample assessments</button>
      </div>
    </section>`;
}

/**
 * People at the sites that name each need.
 * @param {import('../model.js').Assessment[]} docs
 * @param {number} people
 */
function needsChart(docs, people) {
  const rows = kNeeds
    .map((need) => ({ need, people: docs.filter(({ needs }) => needs.includes(need)).reduce((sum, { population }) => sum + population, 0) }))
    .filter((row) => row.people > 0)
    .sort((a, b) => b.people - a.people || kNeeds.indexOf(a.need) - kNeeds.indexOf(b.need));
  if (rows.length === 0) return nothing;
  return html`
    <h3>Needs, by people at the sites</h3>
    <table class="needs-chart">
      <tbody>${rows.map((row) => html`
        <tr>
          <th scope="row">${row.need}</th>
          <td class="plot"><svg width="100%" height="12" aria-hidden="true"><rect width="100%" height="12" rx="6" class="rest"/><rect width="${(100 * row.people) / people}%" height="12" rx="6" class="value"/></svg></td>
          <td>${number(row.people)}</td>
        </tr>`)}
      </tbody>
    </table>`;
}

/** @param {import('../records.js').AssessmentItem[]} records gravest first */
function urgentView(records) {
  if (records.length === 0) return nothing;
  return html`
    <h3>Most urgent</h3>
    <ul class="urgent">
      ${records.map(({ id, doc }) => html`
        <li>${severityBadge(doc.severity)}
          <div><a href="#/a/${id}" dir="auto">${doc.site}</a><p dir="auto">${doc.notes || doc.needs.join(', ')}</p></div>
        </li>`)}
    </ul>`;
}
