/**
 * Turns what the client knows into what the views show: every assessment with its responses, its photos and how far each
 * of them has come. Reads only; writing goes straight to the client.
 */
import { kAssessment, kMedia, kResponse } from './model.js';

/** @typedef {'synced' | 'pending' | 'syncing' | 'conflict' | 'failed'} Mark */
/**
 * A field that two people changed: the engine kept one value and stored the other. `restorable`: the other can be put back as it was.
 * @typedef {{key: string, field: string, ours: any, theirs: any, winner: 'ours' | 'theirs', restorable: boolean}} Clash
 */
/** @typedef {{entity: string, id: string, doc: any, mark: Mark, clashes: Clash[], op?: any}} Item */
/** @typedef {Item & {whole: Mark, responses: Item[], photos: Item[]}} AssessmentItem */

/**
 * What a person is told about an op's state. `unknown` (sent, no answer) is still waiting: it goes again under the same key.
 * @type {Record<string, Mark>}
 */
const kMarkOf = {
  queued: 'pending', blocked: 'pending', waiting: 'pending', unknown: 'pending', sending: 'syncing', conflict: 'conflict',
  dead: 'failed', expired: 'failed', quarantined: 'failed', done: 'synced', folded: 'synced', cancelled: 'synced',
};

/** From harmless to what needs a person. */
const kGravity = /** @type {Mark[]} */ (['synced', 'pending', 'syncing', 'conflict', 'failed']);

const kOpsPage = 500;

/**
 * @param {any} client
 * @param {Map<string, Clash[]>} clashes  by "entity/id"
 * @returns {Promise<AssessmentItem[]>} the gravest finding first, then the newest date
 */
export async function loadRecords(client, clashes) {
  const [assessments, responses, ops] = await Promise.all([client.list(kAssessment), client.list(kResponse), allOps(client)]);
  const latest = new Map();
  for (const op of ops) {
    const lane = `${op.entity}/${op.entityId}`;
    const known = latest.get(lane);
    if (!known || rank(op) >= rank(known)) latest.set(lane, op);
  }
  /** @param {string} entity @param {string} id @param {any} doc @returns {Item} */
  const item = (entity, id, doc) => {
    const op = latest.get(`${entity}/${id}`);
    const open = clashes.get(`${entity}/${id}`) ?? [];
    const own = op ? markOf(op) : 'synced';
    return { entity, id, doc, op, clashes: open, mark: own === 'synced' && open.length ? 'conflict' : own };
  };

  const shownResponses = responses.map((/** @type {any} */ { entityId, doc }) => item(kResponse, entityId, doc));
  return assessments
    .map((/** @type {any} */ { entityId, doc }) => {
      const own = item(kAssessment, entityId, doc);
      const answers = shownResponses.filter((/** @type {Item} */ response) => response.doc.assessmentId === entityId);
      const photos = (doc.photos ?? []).map((/** @type {string} */ id) => item(kMedia, id, null));
      return { ...own, responses: answers, photos, whole: gravest([own, ...answers, ...photos]) };
    })
    .sort(byImportance);
}

/**
 * The clashes of the audit trail that no person has looked at yet, by "entity/id". Losing values that were too large to keep whole are shown as
 * they were cut, and cannot be put back.
 * @param {any} client
 * @param {(key: string, field: string) => boolean} isSettled
 * @returns {Promise<Map<string, Clash[]>>}
 */
export async function loadClashes(client, isSettled) {
  const found = new Map();
  for (const { key, value } of await client.history({ prefix: 'audit/' })) {
    if (value.kind !== 'conflict') continue;
    const name = `${value.entity}/${value.entityId}`;
    const clashes = value.clashes
      .map((/** @type {any} */ clash) => clashOf(key, clash))
      .filter((/** @type {Clash} */ { field }) => !isSettled(key, field));
    if (clashes.length) found.set(name, [...(found.get(name) ?? []), ...clashes]);
  }
  return found;
}

/** @param {string} key @param {{path: string, ours: string | null, theirs: string | null, winner: 'ours' | 'theirs'}} clash @returns {Clash} */
function clashOf(key, { path, ours, theirs, winner }) {
  const [mine, other] = [ours, theirs].map(valueOf);
  const loser = winner === 'ours' ? other : mine;
  const field = path.slice(1);
  return { key, field, ours: mine.value, theirs: other.value, winner, restorable: loser.whole && field !== '' && !field.includes('/') };
}

/** @param {string | null} text */
function valueOf(text) {
  if (text === null) return { value: undefined, whole: true };
  try {
    return { value: JSON.parse(text), whole: true };
  } catch {
    return { value: text, whole: false };
  }
}

/** @param {any} client */
async function allOps(client) {
  /** @type {any[]} */
  const all = [];
  for (let after = 0; ;) {
    /** @type {any[]} */
    const page = await client.ops({ limit: kOpsPage, after });
    all.push(...page);
    if (page.length < kOpsPage) return all;
    after = page[page.length - 1].seq;
  }
}

/** @param {{state?: string}} op @returns {Mark} */
function markOf(op) {
  return kMarkOf[op.state ?? 'queued'] ?? 'pending';
}

/** @param {{state?: string}} op */
function rank(op) {
  return kGravity.indexOf(markOf(op));
}

/** @param {Item[]} items @returns {Mark} */
function gravest(items) {
  return kGravity[Math.max(...items.map(({ mark }) => kGravity.indexOf(mark)))];
}

/** @param {AssessmentItem} a @param {AssessmentItem} b */
function byImportance(a, b) {
  return b.doc.severity - a.doc.severity
    || String(b.doc.date).localeCompare(String(a.doc.date))
    || String(a.doc.site).localeCompare(String(b.doc.site))
    || (a.id < b.id ? -1 : 1);
}
