// The documents of the delta bench: field-inspection forms of 1 to 20 kB with edits, 1 MB documents, blobs. One seed, one corpus.
const kWords = ('site access gate roof wall drain pump valve cable panel meter reading normal worn cracked leaking replaced cleaned tested sealed ' +
  'operator reports noise vibration under load since last visit north south side left right upper lower section photo taken follow up within days').split(' ');
const kScripts = ['Zoë', 'Łódź', 'São Paulo', '東京', '点検済み', 'Проверено', 'नमस्ते', 'مرحبا', '🙂', '≥ 3 mm', '37.5 °C', '½ turn'];
const kStates = ['open', 'checked', 'failed', 'skipped', 'unknown'];
const kKinds = ['choice', 'number', 'text', 'yesno', 'list'];

/** mulberry32 (Tommy Ettinger, public domain). @param {number} seed */
export function generator(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const below = (/** @type {number} */ n) => Math.floor(next() * n);
  const pick = (/** @type {any[]} */ list) => list[below(list.length)];
  const text = (/** @type {number} */ words) => {
    const out = Array.from({ length: words }, () => (next() < 0.05 ? pick(kScripts) : pick(kWords))).join(' ');
    return next() < 0.08 ? `${out}\n"quoted" \\ end` : out;
  };
  const hex = (/** @type {number} */ n) => Array.from({ length: n }, () => below(16).toString(16)).join('');
  const id = () => `${hex(8)}-${hex(4)}-4${hex(3)}-9${hex(3)}-${hex(12)}`;
  const time = () => new Date(1.7e12 + below(5e10)).toISOString();
  return { next, below, pick, text, hex, id, time };
}

/** @typedef {ReturnType<typeof generator>} Generator */

/** @param {Generator} g */
function answer(g, kind = g.pick(kKinds)) {
  if (kind === 'choice') return g.pick(kStates);
  if (kind === 'number') return Math.round(g.next() * 1e4) / 100;
  if (kind === 'yesno') return g.next() < 0.5;
  if (kind === 'list') return Array.from({ length: g.below(5) }, () => g.pick(kStates));
  return g.text(3 + g.below(22));
}

/** @param {Generator} g @param {number} number */
function question(g, number) {
  const kind = g.pick(kKinds);
  /** @type {any} */
  const out = { id: g.id(), code: `Q${number}`, kind, label: g.text(4 + g.below(5)), required: g.next() < 0.6, value: g.next() < 0.1 ? null : answer(g, kind), at: g.time() };
  if (g.next() < 0.25) out.note = g.text(2 + g.below(12));
  return out;
}

const measurement = (/** @type {Generator} */ g) => ({ id: g.id(), what: g.pick(['pressure', 'flow', 'level', 'temp']), value: Math.round(g.next() * 2000) / 10, unit: g.pick(['bar', 'l/s', 'm', '°C']), at: g.time(), device: { model: g.pick(['A1', 'B2']), ok: g.next() < 0.95 } });

/** A form of about this size. @param {Generator} g @param {number} bytes */
export function form(g, bytes) {
  const out = {
    id: g.id(), schema: 'inspection/2', version: 1 + g.below(40), state: g.pick(kStates), created: g.time(), updated: g.time(),
    inspector: { id: g.id(), name: g.text(2), team: g.pick(['a', 'b', 'c']) }, site: { id: g.id(), name: g.text(3), position: [g.next() * 180, g.next() * 90], contacts: [{ type: 'phone', value: `+44${g.below(1e9)}` }] },
    sections: /** @type {any[]} */ ([]), measurements: /** @type {any[]} */ ([]), log: /** @type {any[]} */ ([]), tags: Array.from({ length: g.below(5) }, () => g.pick(kWords)), flags: { urgent: g.next() < 0.1, offline: g.next() < 0.5 },
  };
  let size = JSON.stringify(out).length;
  for (let number = 0; size < bytes;) {
    const part = g.next(), last = out.sections.at(-1);
    let added;
    if (part < 0.7 && (!last || last.questions.length >= 4 + g.below(8))) out.sections.push((added = { id: g.id(), title: g.text(2), done: g.next() < 0.5, questions: [] }));
    else if (part < 0.7) last.questions.push((added = question(g, number++)));
    else if (part < 0.9) out.measurements.push((added = measurement(g)));
    else out.log.push((added = { v: out.log.length + 1, at: g.time(), by: g.id(), what: g.pick(['edit', 'sign', 'review']) }));
    size += JSON.stringify(added).length + 1;
  }
  return out;
}

/** @param {any} value @param {Array<[any, string]>} out @returns {Array<[any, string]>} */
function leaves(value, out = []) {
  for (const key of Object.keys(value)) {
    if (value[key] !== null && typeof value[key] === 'object') leaves(value[key], out);
    else if (!['id', 'code', 'schema'].includes(key)) out.push([value, key]);
  }
  return out;
}

/** @param {Generator} g @param {any} value */
function changed(g, value) {
  if (typeof value === 'number') return Number.isInteger(value) ? value + 1 + g.below(4) : Math.round((value + g.next() * 10) * 100) / 100 + 0.01;
  if (typeof value === 'boolean') return !value;
  if (value === null) return g.below(10);
  if (/^\d{4}-\d\d-\d\dT/.test(value)) return g.time();
  if (value.length < 12) return `${g.pick(kStates)}${g.below(10)}`;
  const words = value.split(' ');
  if (g.next() < 0.4) return `${value} ${g.text(1 + g.below(4))}`;
  words[g.below(words.length)] = `${g.pick(kScripts)}${g.below(10)}`;
  return words.join(' ');
}

/** The form after an edit: `share` of its leaves; with `structure` also elements inserted, removed, moved. @param {Generator} g @param {any} base @param {boolean} structure @param {number} share */
export function edited(g, base, structure, share = 0.01 + g.next() * 0.04) {
  const next = structuredClone(base), all = leaves(next);
  for (let n = Math.max(1, Math.round(all.length * share)); n > 0; n--) {
    const [owner, key] = g.pick(all);
    owner[key] = changed(g, owner[key]);
  }
  next.version++;
  next.updated = g.time();
  if (!structure) return next;
  const lists = [next.measurements, next.tags, ...next.sections.map((/** @type {any} */ s) => s.questions)].filter((list) => list.length > 1);
  for (let n = 1 + g.below(3); n > 0 && lists.length; n--) {
    const list = g.pick(lists), what = g.next();
    if (what < 0.4) list.splice(g.below(list.length + 1), 0, list === next.tags ? g.pick(kWords) : list === next.measurements ? measurement(g) : question(g, 900 + n));
    else if (what < 0.65) list.splice(g.below(list.length), 1);
    else if (list.length > 1) list.splice(g.below(list.length), 0, ...list.splice(g.below(list.length), 1));
  }
  next.log.push({ v: next.log.length + 1, at: g.time(), by: g.id(), what: 'edit' });
  return next;
}

const encoder = new TextEncoder();
const bytesOf = (/** @type {any} */ value) => encoder.encode(JSON.stringify(value));

/** Pairs of versions: 60 % field edits, 40 % with structure. Sizes log-uniform. @param {number} count @param {number} seed @param {number} low @param {number} high */
export function forms(count, seed, low = 1000, high = 20000) {
  const g = generator(seed);
  return Array.from({ length: count }, (_, i) => {
    const base = form(g, low * (high / low) ** g.next()), structure = i % 5 >= 3, next = edited(g, base, structure, high > 1e5 ? 0.015 : undefined);
    return { base, next, structure, baseBytes: bytesOf(base), nextBytes: bytesOf(next) };
  });
}

/** The same value with the keys of every object in another order. @param {Generator} g @param {any} value @returns {any} */
export function shuffled(g, value) {
  if (Array.isArray(value)) return value.map((element) => shuffled(g, element));
  if (value === null || typeof value !== 'object') return value;
  const keys = Object.keys(value);
  for (let i = keys.length - 1; i > 0; i--) {
    const j = g.below(i + 1);
    [keys[i], keys[j]] = [keys[j], keys[i]];
  }
  return Object.fromEntries(keys.map((key) => [key, shuffled(g, value[key])]));
}

/** Blobs with edits of 16 to 2000 bytes: random bytes, a log, fixed records. @param {number} seed */
export function blobs(seed) {
  const g = generator(seed);
  const make = (/** @type {string} */ kind, /** @type {number} */ size) => {
    const out = Buffer.alloc(size);
    for (let at = 0, n = 0; at < size; n++) {
      if (kind === 'random') at = out.writeUInt32LE((g.next() * 4294967296) >>> 0, Math.min(at, size - 4));
      else if (kind === 'log') at += out.write(`${g.time()} ${g.pick(['INFO', 'WARN'])} ${g.hex(8)} ${g.text(4 + g.below(10))}\n`, at);
      else {
        const record = Buffer.alloc(64);
        record.writeUInt32LE(n, 0);
        record.writeDoubleLE(Math.round(g.next() * 1e4) / 100, 8);
        record.writeUInt32LE(g.below(5000), 16);
        at += record.copy(out, at);
      }
    }
    return out;
  };
  return [['random', 1, 8], ['random', 5, 20], ['log', 2, 12], ['log', 5, 40], ['records', 3, 15]].map(([kind, megabytes, edits]) => {
    const base = make(String(kind), Number(megabytes) << 20), parts = [];
    let at = 0;
    for (const place of Array.from({ length: Number(edits) }, () => g.below(base.length - 4000)).sort((x, y) => x - y)) {
      if (place < at) continue;
      const fresh = Buffer.from(Array.from({ length: 16 + g.below(1985) }, () => g.below(256))), what = g.next();
      parts.push(base.subarray(at, place));
      if (what < 0.8) parts.push(fresh);
      at = place + (what < 0.4 || what >= 0.8 ? fresh.length : 0);
    }
    return { name: `${kind} ${megabytes} MB`, base: new Uint8Array(base), next: new Uint8Array(Buffer.concat([...parts, base.subarray(at)])) };
  });
}
