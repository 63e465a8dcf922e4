// The store contract (docs/architecture.md), kept by sw/store.js on IndexedDB and sw/sqlite-store.js on SQLite.
import type { OpRow } from '../wasm/protocol.js';

export type KeyedStore = 'payloads' | 'bases' | 'docs' | 'state' | 'history';

/** A row before the store gave it its sequence; "save" becomes create or update inside the transaction. */
type Always = 'id' | 'lane' | 'owner' | 'entity' | 'entityId' | 'priority' | 'schemaVersion' | 'createdAt' | 'contentType' | 'sizeBytes';
export type NewRow = Required<Pick<OpRow, Always>> & {
  action: 'save' | 'create' | 'update' | 'delete';
  fields?: Record<string, unknown>;
  dependsOn?: string[];
  refs?: Record<string, string>;
  group?: string;
  noFold?: boolean;
  expiresAt?: number;
  /** Its bytes lie in pieces (sw/uploads.js). */
  upload?: 'new';
  state: 'queued';
};
/** bytes: or a record of them, as sw/sealed-store.js makes it. */
export interface AcceptItem {
  row: NewRow;
  bytes: Uint8Array | null;
  /** Of an upload, in place of `bytes`: what is cut into pieces. No store looks at it. */
  source?: Blob | Uint8Array;
}
export interface AcceptLimits { maxOps: number; maxBytes: number }
/** install: the id of the first op ever stored here; lastSeq: the highest sequence number ever given. */
export interface Totals { ops: number; bytes: number; install?: string; lastSeq?: number }
/** What is there, and what should be: one consistent reading. */
export interface Census { rows: number; totals: Totals }
/** `codeVersion` decides nothing: it tells whoever looks into a database that two releases share which of them drained last. */
export interface Lease { token: number; holder: string | null; untilMs: number; ttlMs: number; codeVersion: string; abandoned: boolean }

export interface Write {
  store: string;
  key?: string | number;
  prefix?: string;
  value?: any;
  bytes?: Uint8Array;
  from?: { store: string; key: string };
  remove?: boolean;
}

export interface Granted {
  token: number;
  /** The holder before did not give the lease back. */
  abandoned: boolean;
  /** Its bytes, or {…, bytes}. */
  snapshot: any;
  core: any;
  settings: any;
  rules: any;
  /** The mark of a step (sw/step-mark.js), there while and after a drain ended abnormally. */
  step: any;
}

export interface Store {
  /** One strict transaction: rows, payloads, docs. Resolves on complete. */
  accept(items: AcceptItem[], limits: AcceptLimits): Promise<number[]>;
  /** One strict transaction under no lease: puts a payload that belongs to no op yet (sw/uploads.js), or removes those of a prefix. */
  stage(write: Write): Promise<void>;
  census(): Promise<Census>;
  /** A number higher than every one it gave before: the time, where that is higher. */
  ticket(nowMs: number): Promise<number>;
  rows(afterSeq: number, limit: number): Promise<OpRow[]>;
  rowById(id: string): Promise<OpRow | undefined>;
  get(store: 'ops', key: number): Promise<OpRow | undefined>;
  get(store: KeyedStore, key: string): Promise<any>;
  getMany(store: string, keys: (string | number)[]): Promise<any[]>;
  /** In the order of keys. `loose`: any order that stays the same will do. */
  list(store: KeyedStore, options?: { prefix?: string; after?: string; limit?: number; loose?: boolean }): Promise<{ key: string; value: any }[]>;
  acquireLease(ask: { holder: string; nowMs: number; ttlMs: number; codeVersion: string; takeover?: boolean | null }): Promise<Granted | null>;
  renewLease(ask: { token: number; nowMs: number; ttlMs: number }): Promise<boolean>;
  releaseLease(ask: { token: number }): Promise<void>;
  commit(commit: { token: number; knownSeq: number; lanes: string[]; writes: Write[] }): Promise<'ok' | 'fenced' | 'stale'>;
  close(): Promise<void>;
}
