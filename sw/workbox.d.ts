/** The types of tidegate/workbox: those of workbox-background-sync 7.4.1, and what Tidegate adds (marked "beyond workbox"). */
export interface QueueOptions {
  /** Never use Background Sync: replay at each start of the worker, and whenever it hears that the network is back. */
  forceSyncFallback?: boolean;
  /** Minutes; 0 means the default of 7 days, as in workbox. */
  maxRetentionTime?: number;
  onSync?: (options: { queue: Queue }) => void | Promise<void>;
  /** Beyond workbox: other origins that take an Idempotency-Key. It makes a CORS preflight necessary, so that only one's own origin gets it by itself. */
  idempotencyOrigins?: string[];
}

export interface QueueEntry {
  request: Request;
  timestamp?: number;
  metadata?: object;
}

export class Queue {
  constructor(name: string, options?: QueueOptions);
  readonly name: string;
  pushRequest(entry: QueueEntry): Promise<void>;
  unshiftRequest(entry: QueueEntry): Promise<void>;
  popRequest(): Promise<QueueEntry | undefined>;
  shiftRequest(): Promise<QueueEntry | undefined>;
  getAll(): Promise<QueueEntry[]>;
  size(): Promise<number>;
  replayRequests(): Promise<void>;
  registerSync(): Promise<void>;
}

export class BackgroundSyncPlugin {
  constructor(name: string, options?: QueueOptions);
  fetchDidFail(details: { request: Request; [key: string]: unknown }): Promise<void>;
}

export interface RequestData {
  url: string;
  headers: Record<string, string>;
  body?: ArrayBuffer;
  [property: string]: unknown;
}

export class StorableRequest {
  static fromRequest(request: Request): Promise<StorableRequest>;
  constructor(requestData: RequestData);
  toObject(): RequestData;
  toRequest(): Request;
  clone(): StorableRequest;
}

export interface UnidentifiedQueueStoreEntry {
  requestData: RequestData;
  timestamp: number;
  id?: number;
  queueName?: string;
  metadata?: object;
}

export interface QueueStoreEntry extends UnidentifiedQueueStoreEntry {
  id: number;
}

export class QueueStore {
  constructor(queueName: string);
  pushEntry(entry: UnidentifiedQueueStoreEntry): Promise<void>;
  unshiftEntry(entry: UnidentifiedQueueStoreEntry): Promise<void>;
  popEntry(): Promise<QueueStoreEntry | undefined>;
  shiftEntry(): Promise<QueueStoreEntry | undefined>;
  getAll(): Promise<QueueStoreEntry[]>;
  size(): Promise<number>;
  deleteEntry(id: number): Promise<void>;
}

/** What lies below QueueStore; internal in workbox, and named here because its tests reach for it. */
export class QueueDb {
  addEntry(entry: UnidentifiedQueueStoreEntry): Promise<void>;
  getFirstEntryId(): Promise<number | undefined>;
  getAllEntriesByQueueName(queueName: string): Promise<QueueStoreEntry[]>;
  getEntryCountByQueueName(queueName: string): Promise<number>;
  deleteEntry(id: number): Promise<void>;
  getFirstEntryByQueueName(queueName: string): Promise<QueueStoreEntry | undefined>;
  getLastEntryByQueueName(queueName: string): Promise<QueueStoreEntry | undefined>;
  getEndEntryFromIndex(query: IDBKeyRange, direction: IDBCursorDirection): Promise<QueueStoreEntry | undefined>;
}

export class WorkboxError extends Error {
  readonly details: object;
}

/** Beyond workbox: a request that left its queue undelivered. */
export interface DeadLetter {
  key: string;
  queueName: string;
  reason: 'refused' | 'expired' | 'unreadable';
  status?: number;
  attempts: number;
  diedAt: number;
  entry: QueueStoreEntry;
}

/** Beyond workbox: the newest 1 000 dead letters, oldest first. */
export function deadLetters(queueName?: string): Promise<DeadLetter[]>;
/** Beyond workbox: sends one again, under its own key. */
export function retryDeadLetter(key: string): Promise<boolean>;
/** Beyond workbox: forgets one. */
export function dropDeadLetter(key: string): Promise<boolean>;
/** Beyond workbox: replays every queue now; for a page's message, a push event, a start. Never rejects. */
export function replayAll(): Promise<void>;
