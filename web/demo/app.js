/**
 * The sample app: one state, one render function, and the actions of a person. Everything about sync is asked of the
 * Tidegate client; the app saves and shows.
 */
import { html, nothing, render } from 'lit';
import { guard } from 'lit/directives/guard.js';
import { keyed } from 'lit/directives/keyed.js';
import { connect } from 'tidegate';
import '../elements/index.js';
import { kAssessment, kMedia, kResponse, assessmentFrom, priorityFor, responseFrom, sampleRecords } from './model.js';
import { shrinkPhoto } from './photo.js';
import { loadClashes, loadRecords } from './records.js';
import { detailView } from './views/detail.js';
import { formView } from './views/form.js';
import { listView } from './views/list.js';
import { overviewView } from './views/overview.js';
import { labelsFor, panelView } from './views/panel.js';
import { icon } from './views/parts.js';

/** @typedef {import('./records.js').AssessmentItem} AssessmentItem */
/** @typedef {import('./records.js').Item} Item */
/** @typedef {{view: 'overview' | 'new' | 'detail' | 'edit', id?: string}} Route */

const kToastMs = 6_000;
/** Where this device remembers which clashes a person has seen. */
const kSettledName = 'settled-clashes';

export class App {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    /** @type {any} */
    this.client = undefined;
    /** @type {any} */
    this.status = undefined;
    /** @type {AssessmentItem[]} */
    this.records = [];
    this.loaded = false;
    /** @type {Map<string, import('./records.js').Clash[]>} */
    this.clashes = new Map();
    /** What sync has done on this device so far. @type {any} */
    this.totals = undefined;
    this.online = navigator.onLine;
    this.route = parseRoute(location.hash);
    this.message = '';
    this.labels = labelsFor(this);
    /** @type {Event & {prompt?: () => Promise<void>} | undefined} */
    this.installOffer = undefined;
    /** Object URLs of the photos in view, by media id. @type {Map<string, string>} */
    this.photoUrls = new Map();
    this.refreshing = false;
    this.refreshAgain = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.toastTimer = undefined;
  }

  async start() {
    addEventListener('hashchange', () => this.navigate());
    addEventListener('online', () => this.setOnline(true));
    addEventListener('offline', () => this.setOnline(false));
    addEventListener('beforeinstallprompt', (event) => {
      event.preventDefault();
      this.installOffer = event;
      this.paint();
    });
    this.paint();
    try {
      this.client = await connect({
        worker: new URL('sw.js', document.baseURI), endpoint: new URL('api/v1/', document.baseURI), wasm: new URL(DEMO_CORE['tidegate.wasm'], document.baseURI),
      });
    } catch (error) {
      this.say(`Sync could not be started: ${messageOf(error)}`);
      return;
    }
    this.client.subscribe((/** @type {any} */ event) => this.hear(event));
    navigator.storage?.persist?.();   // so that the browser does not clear records away; it may ask the person, and nothing waits for the answer
    await this.refresh();
    await this.attempt(async () => {
      this.status ??= await this.client.status();
      await this.lookBack();
    });
  }

  /** @param {any} event */
  async hear(event) {
    if (event.type === 'status') this.status = event.status;
    if (event.type === 'sync.completed' || event.type === 'sync.failed') await this.attempt(() => this.lookBack());
    else await this.refresh();
  }

  // ---- actions ----

  /** @param {SubmitEvent} event @param {AssessmentItem | undefined} record */
  async submitAssessment(event, record) {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.target));
    const doc = assessmentFrom(form, record?.doc);
    await this.attempt(async () => {
      const { entityId } = await this.client.save(kAssessment, record?.id ?? null, doc, { priority: priorityFor(doc.severity) });
      location.hash = `#/a/${entityId}`;
    });
  }

  /** @param {SubmitEvent} event @param {AssessmentItem} record */
  async submitResponse(event, record) {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (event.target);
    const doc = responseFrom(new FormData(form), record.id);
    await this.attempt(async () => {
      await this.client.save(kResponse, null, doc, { priority: priorityFor(record.doc.severity) });
      form.reset();
    });
  }

  /** @param {Item} response @param {string} status */
  async setResponseStatus(response, status) {
    await this.attempt(() => this.client.save(kResponse, response.id, { ...response.doc, status }, {}));
  }

  /** @param {Event} event @param {AssessmentItem} record */
  async addPhoto(event, record) {
    const input = /** @type {HTMLInputElement} */ (event.target);
    const file = input.files?.[0];
    input.value = '';
    if (!file) return;
    await this.attempt(async () => {
      const photo = await shrinkPhoto(file);
      const { entityId } = await this.client.save(kMedia, null, photo, { priority: 'low' });
      const doc = { ...record.doc, photos: [...(record.doc.photos ?? []), entityId] };
      await this.client.save(kAssessment, record.id, doc, { priority: priorityFor(doc.severity) });
    });
  }

  /** Takes the assessment with everything attached to it. @param {AssessmentItem} record */
  async remove(record) {
    if (!confirm(`Delete the assessment of ${record.doc.site}?`)) return;
    await this.attempt(async () => {
      for (const { id } of record.responses) await this.client.delete(kResponse, id);
      for (const { id } of record.photos) await this.client.delete(kMedia, id);
      await this.client.delete(kAssessment, record.id);
      location.hash = '#/';
    });
  }

  async addSamples() {
    await this.attempt(async () => {
      for (const { assessment, response } of sampleRecords()) {
        const priority = priorityFor(assessment.severity);
        const { entityId } = await this.client.save(kAssessment, null, assessment, { priority });
        if (response) await this.client.save(kResponse, null, { assessmentId: entityId, ...response }, { priority });
      }
    });
  }

  /** The losing value becomes the value: an edit like any other. @param {Item} item @param {import('./records.js').Clash} clash */
  async takeOther(item, clash) {
    const doc = { ...item.doc, [clash.field]: clash.winner === 'ours' ? clash.theirs : clash.ours };
    await this.attempt(() => this.client.save(item.entity, item.id, doc, { priority: priorityFor(doc.severity) }));
    await this.settle(item, clash);
  }

  /** A person has seen the clash (all of the record's when none is named) and is content. @param {Item} item @param {import('./records.js').Clash} [clash] */
  async settle(item, clash) {
    const settled = readSettled();
    for (const { key, field } of clash ? [clash] : item.clashes) settled.add(`${key} ${field}`);
    localStorage.setItem(kSettledName, JSON.stringify([...settled]));
    await this.lookBack();
    await this.refresh();
  }

  syncNow() {
    return this.attempt(() => this.client.sync());
  }

  togglePause() {
    return this.attempt(() => (this.status?.state === 'paused' ? this.client.resume() : this.client.pause()));
  }

  /** @param {Event} event */
  fillPosition(event) {
    const form = /** @type {HTMLElement} */ (event.currentTarget).closest('form');
    const field = /** @type {HTMLInputElement} */ (form?.elements.namedItem('gps'));
    navigator.geolocation.getCurrentPosition(
      ({ coords }) => { field.value = `${coords.latitude.toFixed(5)}, ${coords.longitude.toFixed(5)}`; },
      (error) => this.say(`The position is not known: ${error.message}`),
      { enableHighAccuracy: true, timeout: 20_000 },
    );
  }

  async install() {
    await this.installOffer?.prompt?.();
    this.installOffer = undefined;
    this.paint();
  }

  /** Runs an action; what goes wrong is said, never swallowed. @param {() => Promise<unknown>} action */
  async attempt(action) {
    try {
      await action();
    } catch (error) {
      this.say(messageOf(error));
    }
    await this.refresh();
  }

  // ---- state ----

  /** Reads everything anew. Calls that come while it reads lead to one more round, not to many. */
  async refresh() {
    if (!this.client) return;
    if (this.refreshing) {
      this.refreshAgain = true;
      return;
    }
    this.refreshing = true;
    try {
      do {
        this.refreshAgain = false;
        this.records = await loadRecords(this.client, this.clashes);
        this.loaded = true;
        await this.loadPhotos();
        this.paint();
      } while (this.refreshAgain);
    } catch (error) {
      this.say(`The records could not be read: ${messageOf(error)}`);
    } finally {
      this.refreshing = false;
    }
  }

  /** What past sessions left behind: totals, and clashes nobody has looked at. */
  async lookBack() {
    const settled = readSettled();
    [this.totals, this.clashes] = await Promise.all([
      this.client.metrics().then((/** @type {any} */ metrics) => metrics.totals),
      loadClashes(this.client, (key, field) => settled.has(`${key} ${field}`)),
    ]);
  }

  /** Holds object URLs for the photos of the open assessment and for no others. */
  async loadPhotos() {
    const wanted = new Set(this.selected()?.photos.map(({ id }) => id));
    for (const [id, url] of this.photoUrls) {
      if (wanted.has(id)) continue;
      URL.revokeObjectURL(url);
      this.photoUrls.delete(id);
    }
    for (const id of wanted) {
      if (this.photoUrls.has(id)) continue;
      const photo = await this.client.get(kMedia, id);
      if (photo) this.photoUrls.set(id, URL.createObjectURL(photo));
    }
  }

  /** @param {string} id */
  photoUrl(id) {
    return this.photoUrls.get(id);
  }

  /** @returns {AssessmentItem | undefined} */
  selected() {
    return this.records.find(({ id }) => id === this.route.id);
  }

  /** What a record is called on screen. @param {string} entityId */
  nameOf(entityId) {
    for (const { id, doc, responses, photos } of this.records) {
      if (id === entityId) return doc.site;
      const response = responses.find((item) => item.id === entityId);
      if (response) return response.doc.action;
      if (photos.some((item) => item.id === entityId)) return `a photo of ${doc.site}`;
    }
    return 'a record';
  }

  /** @param {boolean} online */
  setOnline(online) {
    this.online = online;
    this.paint();
  }

  navigate() {
    this.route = parseRoute(location.hash);
    this.paint();
    this.refresh();
    const heading = /** @type {HTMLElement | null} */ (this.root.querySelector('.main h2[tabindex]'));
    heading?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }

  /** @param {string} message */
  say(message) {
    this.message = message;
    clearTimeout(this.toastTimer);
    this.toastTimer = setTimeout(() => this.say(''), kToastMs);
    if (message === '') clearTimeout(this.toastTimer);
    this.paint();
  }

  // ---- view ----

  paint() {
    document.title = this.selected() ? `${this.selected()?.doc.site} · Field assessment` : 'Field assessment';
    render(this.view(), this.root);
  }

  view() {
    return html`
      <a class="skip" href="#main" @click=${(/** @type {Event} */ event) => this.skipToMain(event)}>Skip to content</a>
      <header class="top">
        <a class="brand" href="#/"><img src="icons/logo.svg" alt="" width="36" height="36"><h1>Field assessment</h1></a>
        ${this.installOffer ? html`<button type="button" @click=${() => this.install()}>Install</button>` : nothing}
        <span class="link" data-online=${this.online ? 'true' : 'false'}>${this.online ? 'Online' : 'Offline'}</span>
      </header>
      <div class="banners" role="status">
        ${this.online ? nothing : html`<p class="banner">${icon('cloudOff')}You are offline. What you save is kept on this device and sent when the connection returns.</p>`}
        ${this.status?.state === 'paused' ? html`<p class="banner">${icon('pause')}Sync paused. Nothing is sent until you resume it.</p>` : nothing}
      </div>
      <div class="columns" data-view=${this.route.view}>
        ${listView(this)}
        <main class="main" id="main" tabindex="-1">${this.mainView()}</main>
        ${panelView(this)}
      </div>
      <div class="toast" role="alert">${this.message ? html`<p>${this.message}</p>` : nothing}</div>`;
  }

  mainView() {
    const { view, id } = this.route;
    const record = this.selected();
    if (view === 'overview') return overviewView(this);
    if (view === 'new') return keyed('new', formView(this, undefined));
    if (!record) return this.loaded ? html`<p class="sheet">This assessment is not on this device. <a href="#/">All assessments</a></p>` : nothing;
    // A form keeps what the person has typed: it is drawn once, whatever a sync changes below it.
    if (view === 'edit') return keyed(`edit ${id}`, guard([id], () => formView(this, record)));
    return keyed(`detail ${id}`, detailView(this, record));
  }

  /** @param {Event} event a fragment link would be taken for a route */
  skipToMain(event) {
    event.preventDefault();
    /** @type {HTMLElement} */ (this.root.querySelector('#main')).focus();
  }
}

/** @param {string} hash @returns {Route} */
function parseRoute(hash) {
  const [, first, id, last] = hash.split('/');
  if (first === 'new') return { view: 'new' };
  if (first === 'a' && id) return { view: last === 'edit' ? 'edit' : 'detail', id: decodeURIComponent(id) };
  return { view: 'overview' };
}

/** @returns {Set<string>} */
function readSettled() {
  return new Set(JSON.parse(localStorage.getItem(kSettledName) ?? '[]'));
}

/** @param {unknown} error */
function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}

new App(document.body).start();
