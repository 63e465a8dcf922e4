// The types of `tidegate/delta` as users see them. The functions are in delta.js, which is checked against these (tests/types/delta.ts).

/** JSON text, its UTF-8 bytes, or a live value. */
export type Document = string | Uint8Array | ArrayBuffer | object | number | boolean | null;
/** The answer in the shape of a document: bytes for bytes, text for text, otherwise a live value. */
export type InShapeOf<D, Live> = D extends string ? string : D extends Uint8Array | ArrayBuffer ? Uint8Array : Live;

export type Operation =
  | { op: 'add' | 'replace' | 'test'; path: string; value: any }
  | { op: 'remove'; path: string }
  | { op: 'move' | 'copy'; from: string; path: string };
/** RFC 6902. */
export type JsonPatch = Operation[];

/** Why something was refused. Nothing was changed. */
export type DeltaErrorCode =
  | 'json-syntax' | 'json-depth' | 'json-size' | 'json-number' | 'json-surrogate' | 'duplicate-key' | 'not-json'
  | 'patch-syntax' | 'patch-path' | 'patch-test' | 'patch-limit'
  | 'delta-syntax' | 'delta-size' | 'delta-limit' | 'delta-checksum' | 'delta-unsupported'
  | 'memory' | 'trapped';
export class DeltaError extends Error {
  constructor(error: { code: DeltaErrorCode; path: string; message: string });
  name: 'DeltaError';
  code: DeltaErrorCode;
  /** "/3" names op 3 of a patch; "" is the document. */
  path: string;
}

export interface Trust {
  /** `base` is valid JSON without a key twice in one object: it is not checked again. */
  trustedBase?: boolean;
  /** What `seal(base)` gave: trusts exactly those bytes. */
  baseSeal?: string;
}
export interface Identity {
  /** Members by which elements of arrays are known, in order of preference, at most 16. Default id, _id, uuid, key. */
  idKeys?: readonly string[];
}
export interface DiffOptions extends Trust, Identity {
  /** A `test` before every op that takes something away. */
  tests?: boolean;
  format?: 'json-patch';
}
export interface MergePatchOptions extends Trust { tests?: boolean; format: 'merge-patch' }

/** The patch that makes `next` of `base`, in the shape of `next`. */
export function diff<N extends Document>(base: Document, next: N, options?: DiffOptions): InShapeOf<N, JsonPatch>;
/** The same as RFC 7396; null when that cannot say the change. */
export function diff<N extends Document>(base: Document, next: N, options: MergePatchOptions): InShapeOf<N, any> | null;

/** diff of many pairs. A pair that is refused has its error in its place. Patches that come as bytes are views of one buffer. */
export function diffMany<N extends Document>(pairs: Array<[base: Document, next: N]>, options?: Identity & { trustedBase?: boolean; tests?: boolean }):
  Array<InShapeOf<N, JsonPatch> | DeltaError>;

export interface ApplyOptions {
  format?: 'json-patch' | 'merge-patch';
  /** Larger results are refused. Default 64 MiB. */
  maxOutputBytes?: number;
  /** `document` is valid JSON without a key twice in one object: it is not checked again. */
  trustedDocument?: boolean;
}
/** What the patch makes of the document, in its shape. */
export function apply<D extends Document>(document: D, patch: Document, options?: ApplyOptions): InShapeOf<D, D>;

/** A place that both changed differently. A side that has nothing there is left out. */
export interface Clash { path: string; base?: any; ours?: any; theirs?: any; winner: 'ours' | 'theirs' }
export interface MergeOptions extends Identity { prefer?: 'ours' | 'theirs'; /** All three are valid JSON without a key twice in one object. */ trusted?: boolean }
/** Three-way merge; the document comes in the shape of `ours`. */
export function merge3<D extends Document>(base: Document, ours: D, theirs: Document, options?: MergeOptions): { document: InShapeOf<D, D>; clashes: Clash[] };

/** Words that both changed; `at`: where the winner's stand in the merged text. */
export interface TextClash { at: number; base: string; ours: string; theirs: string; winner: 'ours' | 'theirs' }
/** Three-way merge of plain text, by lines and then by words; the text comes in the shape of `ours`. */
export function mergeText<T extends string | Uint8Array>(base: string | Uint8Array, ours: T, theirs: string | Uint8Array, options?: { prefer?: 'ours' | 'theirs' }):
  { text: T extends string ? string : Uint8Array; clashes: TextClash[] };

/** Sixteen hex digits, equal for documents that mean the same. */
export function canonicalHash(document: Document): string;
/** The RFC 8785 form. */
export function canonicalize(document: Document): string;
/** Checks a document once, so that diff can trust the same bytes later (`baseSeal`). */
export function seal(document: Document): string;

/** A VCDIFF delta (RFC 3284). `checksum` (on) adds the Adler-32 of xdelta3, which strict readers of the RFC do not take. */
export function encodeDelta(base: Uint8Array, next: Uint8Array, options?: { checksum?: boolean }): Uint8Array;
/** What the delta makes of the base; with `into` a view of that buffer. */
export function applyDelta(base: Uint8Array, delta: Uint8Array, options?: { maxOutputBytes?: number; into?: Uint8Array }): Uint8Array;

/** The same with the delta in pieces and the result window by window; held are the base and one window. */
export function applyDeltaStream(base: Uint8Array, pieces: ReadableStream<Uint8Array> | AsyncIterable<Uint8Array> | Iterable<Uint8Array>, options?: { maxOutputBytes?: number }):
  AsyncGenerator<Uint8Array, void, void>;

export interface Form<Body> {
  codec: 'full' | 'json-patch' | 'merge-patch' | 'vcdiff';
  /** What goes over the wire; of `full` it is `next`. */
  body: Body;
  /** It is worth its time on that link. */
  compress: boolean;
}
export interface FormOptions {
  /** Both are bytes of any kind: whole or VCDIFF. Else both are JSON. */
  blob?: boolean;
  /** What the link carries. 0, the default: bytes alone count. */
  bytesPerSecond?: number;
}
/** The form in which the outbox would send `next` over what the server has (null: nothing). */
export function chooseForm<N extends Document>(base: Document | null, next: N, options?: FormOptions): Form<N extends Uint8Array | ArrayBuffer ? Uint8Array : string>;

/** In a browser, once: the Wasm file as a Response, bytes, a compiled module, or a promise of one. In Node nothing is needed. */
export function ready(source: WebAssembly.Module | BufferSource | Response | Promise<WebAssembly.Module | BufferSource | Response>): Promise<void>;
/** The file that this engine runs, below `dist/` of the package: `ready(fetch(folder + wasmFile()))`. */
export function wasmFile(): 'delta.simd.wasm' | 'delta.wasm';
