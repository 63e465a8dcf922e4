/**
 * What the app records: an assessment of a site, the responses to it and its photos. A document becomes a body as it is;
 * nothing in here knows about sync except the priority an assessment deserves.
 */

export const kAssessment = 'ASSESSMENT';
export const kResponse = 'RESPONSE';
export const kMedia = 'MEDIA';

/** @typedef {{site: string, date: string, population: number, severity: number, needs: string[], gps: string, notes: string, photos: string[]}} Assessment */
/** @typedef {{assessmentId: string, action: string, quantity: number, status: string}} Response */

export const kNeeds = ['Water', 'Food', 'Shelter', 'Health', 'Sanitation', 'Protection'];

/** Index = severity. */
export const kSeverities = ['', 'Minor', 'Moderate', 'Serious', 'Severe', 'Critical'];

export const kResponseStatus = ['Planned', 'Under way', 'Delivered'];

/** Names of the fields, for a person. @type {Record<string, string>} */
export const kFieldNames = {
  site: 'Site', date: 'Date', population: 'People affected', severity: 'Severity', needs: 'Needs', gps: 'Position', notes: 'Notes',
  photos: 'Photos', action: 'Action', quantity: 'Quantity', status: 'Status',
};

/** A life-threatening finding overtakes everything, a severe one goes before routine. @param {number} severity */
export function priorityFor(severity) {
  return severity >= 5 ? 'critical' : severity === 4 ? 'high' : 'normal';
}

/**
 * The document a filled-in form describes. Fields the form does not show (photos, anything a newer app wrote) are kept.
 * @param {FormData} form
 * @param {Partial<Assessment>} [before]
 * @returns {Assessment}
 */
export function assessmentFrom(form, before) {
  return {
    photos: [],
    ...before,
    site: text(form, 'site'),
    date: text(form, 'date'),
    population: Number(form.get('population')),
    severity: Number(form.get('severity')),
    needs: kNeeds.filter((need) => form.getAll('needs').includes(need)),
    gps: text(form, 'gps'),
    notes: text(form, 'notes'),
  };
}

/**
 * @param {FormData} form
 * @param {string} assessmentId
 * @returns {Response}
 */
export function responseFrom(form, assessmentId) {
  return { assessmentId, action: text(form, 'action'), quantity: Number(form.get('quantity')), status: text(form, 'status') };
}

/** Today in the person's own time zone, as a date field wants it. @param {Date} [now] */
export function today(now = new Date()) {
  const local = new Date(now.getTime() - now.getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 10);
}

/** Invented places, so that there is something to look at. @returns {{assessment: Assessment, response?: Omit<Response, 'assessmentId'>}[]} */
export function sampleRecords() {
  const date = today();
  return [
    {
      assessment: {
        site: 'Marisol landing', date, population: 1_240, severity: 5, needs: ['Water', 'Shelter', 'Health'], gps: '-8.5412, 39.2208', photos: [],
        notes: 'Seawall breached on the north side. The school is used as a shelter; two wells are salted. Road passable by truck until dusk.',
      },
      response: { action: 'Water trucking', quantity: 18_000, status: 'Under way' },
    },
    {
      assessment: {
        site: 'Upper Kesta', date, population: 460, severity: 4, needs: ['Food', 'Sanitation'], gps: '-8.5120, 39.1877', photos: [],
        notes: 'Market closed, stocks for about four days. Latrines flooded.',
      },
    },
    {
      assessment: {
        site: 'Ndara ferry village', date, population: 215, severity: 2, needs: ['Shelter'], gps: '-8.5733, 39.2541', photos: [],
        notes: 'Roofs damaged, families stay with neighbours.',
      },
    },
  ];
}

/** @param {FormData} form @param {string} name */
function text(form, name) {
  return String(form.get(name) ?? '').trim();
}
