// The types users see.
import type { AcceptItem, AcceptLimits, Store } from './store-contract.js';
import type { ConnectivityShown, OpError, OpState, Status as CoreStatus, Settings } from '../wasm/protocol.js';

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json | undefined };
export type Priority = 'critical' | 'high' | 'normal' | 'low';
export type Document = unknown | Blob | ArrayBuffer | ArrayBufferView;
/** What both sides wrote, and what they started from; undefined where there is nothing. */
export interface Conflict { opId: string; owner: string; entity: string; entityId: string; base?: any; ours?: any; theirs?: any }
/** The document to keep. Undefined, or a failure: the default merge decides. */
export type ResolveConflict = (conflict: Conflict) => any;
/**
 * An op's document in the form of the present `schemaVersion`, or a promise of it, within 30 s. `from` is the version that saved it, and lower. Asked before the op is
 * sent for the first time, never after; perhaps more than once. What throws, answers nothing or no JSON value leaves the op waiting, with the reason in explain(id).
 */
export type Migrate = (op: { opId: string; owner: string; entity: string; entityId: string; doc: any }, from: number) => unknown;
export type Headers = Record<string, string>;
/** `expiresAt` (ms since 1970): kept in memory and used until it would not outlive the next request; without it the provider is asked before every request. */
export interface Credentials { headers: Headers; expiresAt?: number }
/**
 * The headers that make a request this owner's. `refresh`: those it answered last were refused (401) or are running out, so others are wanted. `pages`: in a
 * worker, its open pages. A failure means that there are none: the owner's ops wait for a sign-in, without an attempt.
 */
export type Authorize = (owner: string, about: { refresh: boolean; pages?: () => Promise<any[]> }) => Headers | Credentials | Promise<Headers | Credentials>;

export interface SaveOptions {
  /** Default: decided by whether the entity is there. */
  action?: 'save' | 'create' | 'update' | 'delete';
  priority?: Priority;
  /** Ids of ops that must be done before; each was saved before this one. Refused ("orphan") when there never was such an op. */
  dependsOn?: string[];
  /**
   * Where a server gives entities ids of its own: {JSON Pointer into the document: type of the entity whose id stands there}. That entity was saved before; this op waits
   * until it is on the server, and is sent with the id it has there. At most 32 pointers of 512 characters and 32 levels; JSON documents only.
   */
  refs?: Record<string, string>;
  /** Not sent by this time (ms since 1970): it leaves the outbox, with a record of kind "expired". What may have been applied stays. */
  expiresAt?: number;
  /** For bytes and Blobs; JSON needs none. */
  contentType?: string;
  /** False: this write is sent as it is, never folded with another. */
  coalesce?: boolean;
  /** Of this document, where it is not the client's. */
  schemaVersion?: number;
}
export interface SaveItem extends SaveOptions { entity: string; entityId?: string; doc?: Document }
/** A save that is on the disk. `id` is the op's id and its first idempotency key. */
export interface Saved { id: string; entityId: string; seq: number }
export interface Listed {
  entity: string; entityId: string; contentType: string; opId: string; seq: number;
  /** As get() answers it. Undefined for a large blob that is on its way (option `uploads`): get() reads its bytes. */
  doc: any;
  /** Of a large blob that is on its way. */
  sizeBytes?: number;
}

export interface Op {
  id: string; seq: number; entity: string; entityId: string; action: string; priority: string; score?: number; state: OpState;
  localVersion: number; createdAt: number; lastAttempt?: number; nextAttempt?: number; attempts: number; sizeBytes: number; reason?: string; error?: OpError;
  /** It is kept and cannot be read: its key is not here, or its record was altered. Of what it says nothing is shown: entity is "?". */
  unreadable?: 'key-missing' | 'altered';
  /** Of an upload: how many of `sizeBytes` the server said it has. */
  sentBytes?: number;
}
export type Status = CoreStatus & { supported: Record<string, boolean>; storage: StorageLoss | null };
/** The browser emptied or cut the database behind our back; found when this client opened. */
export interface StorageLoss {
  kind: 'emptied' | 'truncated';
  /** How many unsent ops may be gone with it. */
  lostOps: number;
  lastSeenMs: number;
  foundMs: number;
}
/** `sync.documents` tells what the app should read anew: {owner, documents: [{entity, entityId, deleted?}]}, changed by the server or by another page. */
export type SyncEvent = { type: 'status'; status: CoreStatus } | { type: 'sync.documents'; detail: Documents } | { type: 'sync.lost-write'; detail: LostWrite } | { type: string; detail: any };
/** The server has version `etag` ('' for none) of what it acknowledged as `expected`. restore(key) saves the lost document again. */
export interface LostWrite { owner: string; entity: string; entityId: string; etag: string; expected: string; key: string }
export interface Documents { owner: string; documents: { entity: string; entityId: string; deleted?: true }[] }
export type Listener = (event: any) => void;

/** How everybody opens a client. */
/** One drain, as it ended. No payload, no entity id. */
export interface Session {
  sessionId: string;
  trigger: string;
  startTime: number;
  endTime: number;
  itemsProcessed: number;
  itemsSucceeded: number;
  itemsFailed: number;
  itemsPulled: number;
  conflicts: number;
  requests: number;
  totalDataSynced: number;
  networkUsage: number;
  batteryUsed: number | null;
  errors: string[];
}

/**
 * Keeps one connection to the server's hints open until `signal` aborts (tidegate/hints). One that throws or rejects before is told as `sync.hints-failed`, once, and called
 * again at the pace of a lost connection; one that resolves is done.
 */
export type HintSource = (context: HintContext) => Promise<void>;
export interface HintContext {
  endpoint: URL;
  owner: string;
  authorize?: Authorize;
  hint: () => void;
  signal: AbortSignal;
  clock: { now(): number; sleep(ms: number, signal?: AbortSignal): Promise<void>; timer(ms: number, run: () => void): () => void };
  random: { seed(): number };
}
/** Stands between the core and its store, and makes the deltas that the core asks the store for. */
export type BlobDeltas = (store: Store) => Store;
/** Stands between everything and the store, and seals what is kept (tidegate/encryption). */
export type Encryption = (store: Store, context: { owner?: string; publish: (type: string, detail: any) => void }) => Store;
/** Functions around a drain and its requests. One that throws or takes longer than 5 s is counted, told as `sync.plugin-failed`, and skipped. */
export interface Plugin {
  name?: string;
  /** Told when a session begins. It does not hold the drain up: what a request needs belongs into beforeSend. */
  beforeSync?(session: Session): void | Promise<void>;
  afterSync?(session: Session): void | Promise<void>;
  /** For conflict strategy "custom", where there is no option `resolveConflict`: the first plugin that answers a document decides. */
  resolveConflict?: ResolveConflict;
  /** May answer headers to add. They lie under those of the protocol. */
  beforeSend?(request: RequestShown): void | Record<string, string> | Promise<void | Record<string, string>>;
  onOutcome?(outcome: RequestShown & { status?: number; failure?: string; ms: number }): void | Promise<void>;
}
export interface RequestShown { method: string; url: string; owner: string; bytes: number }
export interface NotifyOptions {
  title?: string;
  body?: (op: { id: string; entity: string; entityId: string; reason: string }) => string;
}
export interface SyncOptions {
  /** Default: push, and pull where this owner pulls at all. */
  direction?: 'push' | 'pull' | 'both';
  /** full: pulls everything anew, from the start. */
  operation?: 'delta' | 'full';
  /** The lowest priority that this drain sends. What lies below goes later by itself, as ever. */
  minPriority?: Priority;
}
export type Trigger = 'periodic' | 'connectivity' | 'data-change' | 'manual' | 'push' | 'start';
/** One attempt of one run. `runId` stays the same for all of its attempts; `signal` aborts when its time is over. */
export interface TaskRun { taskId: string; runId: string; owner: string; input: any; signal: AbortSignal }
/** False, or a failure, is one attempt: it is repeated after a wait, and given up after `maxRetryAttempts`. Anything else: it is done. It may run more than once. */
export interface Task { taskId: string; execute: (run: TaskRun) => unknown }
/** Stands around the transport of whoever drains, and executes runs. Made by tasks() of tidegate/tasks. */
export type TaskRunner = (transport: any, realm: { clock: any; publish: (type: string, detail: any) => void }) => any;
/** Large blobs in pieces: stands around the transport of whoever drains, and around what a client accepts. Made by uploads() of tidegate/uploads. */
export interface Uploads {
  maxBytes: number;
  around(transport: any, realm: { store: Store; clock: any; publish: (type: string, detail: any) => void }): any;
  keeping(store: Store, items: AcceptItem[], limits: AcceptLimits, append: (items: AcceptItem[]) => Promise<number[]>): Promise<number[]>;
  shown(store: Store, doc: any): Promise<Blob | undefined>;
  tidy(store: Store, nowMs: number): Promise<void>;
}
/** The way to the server, tested by one small request, and what is known of the network after it. */
export interface Reached extends Partial<ConnectivityShown> { reachable: boolean; ms: number; status?: number }
/** Sync as a background process: the same calls under the names of a process. */
export interface Background {
  start(options?: SyncOptions): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  terminate(sessionId?: string): Promise<void>;
  /** Sessions, oldest first; the one under way is the last, without an `endTime`. `after` is a sessionId. */
  list(options?: { after?: string; limit?: number }): Promise<Session[]>;
  /** The records of the audit trail; with a sessionId those of its time. */
  logs(sessionId?: string): Promise<{ key: string; value: any }[]>;
}
export type Synced = Partial<Session> & { reject: boolean; wakeAtMs: number | null };

export interface ClientOptions {
  /** Where the API lives, "/api/v1" or a whole URL. */
  endpoint: string | URL;
  /** The account whose ops these are. Opening a client signs it in; ops of other owners are neither sent nor shown meanwhile. Default "". */
  owner?: string;
  /** Pull what changes on the server, from now on by itself. Default false: until pull() is called. */
  pull?: boolean;
  /** Where hints come from: sseHints() or webSocketHints() of tidegate/hints. Without it the interval decides. Implies `pull`. */
  hints?: HintSource;
  /** Headers for an owner's requests. In a page with a service worker give it to createSyncWorker(): the worker sends. Or give fromPages() of
   * tidegate/page-credentials to the worker, and it asks this one of an open page. */
  authorize?: Authorize;
  /** For conflict strategy "custom". Like `authorize`, it belongs to whoever drains. */
  resolveConflict?: ResolveConflict;
  /** In a page with a service worker give them to createSyncWorker(). */
  plugins?: Plugin[];
  /**
   * blobDeltas() of tidegate/blob-deltas: a changed blob goes as a VCDIFF delta, where the server takes one. Without it blobs go whole. In a page with a
   * service worker give it to createSyncWorker().
   */
  blobDeltas?: BlobDeltas;
  /** tasks([…]) of tidegate/tasks: the app's own jobs. In a page with a service worker give them to createSyncWorker(). */
  tasks?: TaskRunner;
  /**
   * uploads() of tidegate/uploads: blobs larger than `maxOpBytes` are kept in pieces and go by tus 1.0.0. In a page with a service worker give it to both.
   */
  uploads?: Uploads;
  /** encryption() of tidegate/encryption: what is kept is sealed. In a page with a service worker give the same to both. */
  encryption?: Encryption;
  /** Further origins that may be spoken to. */
  allow?: string[];
  /** Per entity, the fields that rules look at (dotted names or JSON Pointers), besides those the stored rules name. */
  fields?: Record<string, string[]>;
  /**
   * The app's own version of its documents, a whole number from 0. Each save carries it. Give it to whoever drains, too (createSyncWorker()): what was saved by another
   * version then waits for `migrate` before it is sent for the first time. Not given to whoever drains, everything is sent as it was saved.
   */
  schemaVersion?: number;
  /** Makes a document of an older version into one of this. In a page with a service worker give it to createSyncWorker(). */
  migrate?: Migrate;
  /** Default 1 MiB, at most 16 MiB. */
  maxOpBytes?: number;
  /** Default and at most 100 000. */
  maxQueuedOps?: number;
  /** Default and at most 256 MiB. */
  maxQueuedBytes?: number;
  /** Where the core's Wasm file lies. Default: beside the package's own files. */
  wasm?: string | URL;
}
export interface ConnectOptions extends ClientOptions {
  /** The app's module service worker, which calls createSyncWorker(). Without one the page drains. */
  worker?: string | URL;
  /** False: the browser is not asked to keep the storage (navigator.storage.persist()). Default true; Firefox asks the user. */
  persist?: boolean;
  scope?: string | URL;
}
export interface NodeOptions extends ClientOptions {
  /** The SQLite file. */
  path: string;
  /** False: only sync() drains; neither saves nor timers do. Default true. */
  autoSync?: boolean;
}
export interface ShellOptions {
  /** Changes whenever an asset does; a cache belongs to one version. */
  version: string;
  /** Relative to the worker's scope. */
  assets: string[];
  /** The asset that answers navigations, for example "./index.html". */
  navigate?: string;
}
export interface WorkerOptions extends Pick<ClientOptions, 'endpoint' | 'authorize' | 'allow' | 'wasm' | 'resolveConflict' | 'schemaVersion' | 'migrate' | 'plugins' | 'blobDeltas' | 'encryption' | 'tasks' | 'uploads'> {
  /** The app's badge shows what waits; a change that was refused for good is told in a notification, where that was permitted. Default false. */
  notify?: boolean | NotifyOptions;
  shell?: ShellOptions;
  /** Take over from an older worker at once. Default false. */
  skipWaiting?: boolean;
  /** How long a drain in a sync event may last. Default 165 000: Chromium ends the event after 180 000. */
  syncEventMs?: number;
}
/** A service worker's half. What it has besides `subscribe` is for tidegate/worker-client. */
export interface SyncWorker {
  /** Every event that this worker publishes, of whichever owner, as clients get them. Returns what unsubscribes. */
  subscribe(listener: Listener): () => void;
  readonly options: WorkerOptions;
  readonly endpoint: URL;
  open(): Promise<any>;
  hear(source: { postMessage(message: any): void }, message: any): Promise<unknown>;
}

export interface Client {
  /** Resolves when the write is on the disk; it is sent later. No id: a new UUID. */
  save(entity: string, entityId: string | null | undefined, doc: Document, options?: SaveOptions): Promise<Saved>;
  /** One transaction for all. `atomic`: the server applies all or none (at most 50, JSON only; refused while the setting `mode` is `rest`). */
  saveAll(items: SaveItem[], options?: { atomic?: boolean }): Promise<Saved[]>;
  delete(entity: string, entityId: string, options?: SaveOptions): Promise<Saved>;
  /** The document as the app last saved or received it: JSON parsed, anything else a Blob. Of an upload: until the server has it. */
  get(entity: string, entityId: string): Promise<any>;
  /** In the order of ids; `after` is the last entityId of the page before. Of an upload: until the server has it, without its bytes. */
  list(entity: string, options?: { after?: string; limit?: number }): Promise<Listed[]>;
  /** This owner's outbox as a file (NDJSON, documents in base64). What was sent and not answered is in it too. */
  exportQueue(): Promise<Blob>;
  /** Takes a file of exportQueue() in; ops that are here already are left alone. Refuses another owner's, and a damaged file as a whole. */
  importQueue(file: Blob | string | ArrayBuffer | ArrayBufferView): Promise<{ imported: number }>;
  /**
   * This client's owner is signed in: his ops go, those of others wait. Opening a client does the same. One owner is signed in at a time; the others hear of it by
   * the event `sync.owner` {signedIn}, and their clients show nothing (calls reject with code "signed-out") until they sign in again. What they save is kept.
   */
  signIn(): Promise<void>;
  /** Nobody is signed in any more. Resolves when that is stored and the last request of this owner has ended: then take the session (the cookie) away. */
  signOut(): Promise<void>;
  /** Everything that is kept of this client's owner, as a file (NDJSON, bytes in base64). */
  exportData(owner?: string): Promise<Blob>;
  /** Signs the owner out and takes everything of him away, also what was not sent. Cut off in the middle, it is carried on when the next client opens. */
  erase(owner?: string): Promise<void>;
  /** Unfinished ops in accept order; `after` is the last `seq` of the page before. Default limit 100. */
  ops(options?: { state?: OpState; limit?: number; after?: number }): Promise<Op[]>;
  op(id: string): Promise<Op | undefined>;
  /** What is no longer in the outbox: done, folded, cancelled; sessions; audit. */
  history(options?: { prefix?: string; after?: string; limit?: number }): Promise<{ key: string; value: any }[]>;
  cancel(id: string): Promise<void>;
  retry(id: string): Promise<void>;
  /** Puts the losing values of a conflict back in, on top of what is there now: a new save. `key` is that of the audit record. */
  restore(key: string): Promise<Saved>;
  /** Gives a dead letter up. */
  drop(id: string): Promise<void>;
  setPriority(id: string, priority: Priority): Promise<void>;
  /** The first thing that keeps an op from going. */
  explain(id: string): Promise<{ id: string; state: OpState; reason: string; sentence: string; untilMs?: number }>;
  /** What would be sent, in which order and form, and when by what is known now; sends nothing. `since`: only what was saved at or after that time. */
  preview(options?: { since?: number }): Promise<{
    items: { id: string; entity: string; entityId: string; action: string; form: string; bytes: number; folded: number; startMs: number | null }[];
    bytes: number; seconds: number; closedBy?: string; sentence?: string;
    /** Ops of the queue that are in no item: behind the first 1 000, older than `since`, or not to be sent now (explain() says why). */
    others: number;
  }>;
  /** Whether the link as it is now suits that much traffic. */
  isSyncRecommended(weight: 'light' | 'medium' | 'heavy'): Promise<boolean>;
  /** Drains now and resolves when the drain is over; `wakeAtMs` says when the core wants to look again. */
  sync(options?: SyncOptions): Promise<Synced>;
  /** sync({direction: "pull"}). From the first time on, this owner also pulls by itself: after a drain, when online, on a hint, at the interval. */
  pull(options?: SyncOptions): Promise<Synced>;
  /** sync() that does not wait for the end. */
  start(options?: SyncOptions): Promise<void>;
  /**
   * Asks for a session like those that begin by themselves: it keeps to the settings (interval, threshold, idle), sends what is of `priority` (default low) or above,
   * and is written down with `trigger` (default data-change). Resolves when that is taken.
   */
  scheduleSync(options?: SyncOptions, trigger?: Trigger, priority?: Priority): Promise<void>;
  /** Ends the session under way (code "unknown-session" where it is another, or none): nothing more is begun, what is on its way is heard to its end. */
  cancelSync(sessionId?: string): Promise<void>;
  /** Executes runs of this task where this client drains; a service worker has its own (option `tasks`). Returns what takes it away again. */
  registerTask(task: Task): () => void;
  /** Stores one run of a task, with its input (JSON): an op like any other, under the same rules. */
  runTask(taskId: string, input?: unknown, options?: Pick<SaveOptions, 'priority' | 'dependsOn' | 'expiresAt'>): Promise<Saved>;
  /** Whether the server can be reached, by one small request. Where it can, waits that only guessed at the network are over. */
  connectivityTest(): Promise<Reached>;
  /** What fetch("…/sync/background/" + name) answers where a worker controls the page: here also before. */
  manage(name: string, init?: RequestInit): Promise<Response>;
  readonly background: Background;
  pause(): Promise<void>;
  resume(): Promise<void>;
  status(): Promise<Status>;
  metrics(): Promise<any>;
  /** Reads, or changes what is named and then reads. */
  settings(changes?: Partial<Settings>): Promise<Settings>;
  rules(): Promise<any[]>;
  setRules(rules: any[]): Promise<void>;
  /** Returns what unsubscribes. */
  subscribe(listener: Listener): () => void;
  /** What this realm can do, under the same names in each. `core`: false when the core's file could not be loaded by whoever needed it last. */
  isSupported(): Record<string, boolean>;
  /** Leaves no timer, listener, lock or connection. What is queued stays. */
  close(): Promise<void>;
}

export function connect(options: ConnectOptions): Promise<Client>;
export function openClient(options: NodeOptions): Promise<Client>;
export function createSyncWorker(options: WorkerOptions): SyncWorker;
/** The one tag background sync is asked for. */
export const kSyncTag: 'tidegate';
export class TidegateError extends Error {
  code: string;
  path: string;
  /** Of one by which status() rejects with code "core-unavailable": what can be said without the core. `queueSize` is then all that is kept, of every owner. */
  status?: Partial<Status>;
}
export class StoreError extends Error { code: 'quota' | 'closed' | 'blocked' | 'newer-schema' | 'corrupt' | 'full' | 'locked' | 'hung' | 'internal' }
