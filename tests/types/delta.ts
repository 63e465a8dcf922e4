// `tidegate/delta` is typed: what a user writes is checked here by tsc (npm run types), what must be refused by @ts-expect-error. Nothing runs.
import { DeltaError, apply, applyDelta, applyDeltaStream, canonicalHash, chooseForm, diff, diffMany, encodeDelta, merge3, mergeText, ready, seal } from 'tidegate/delta';
import type { Clash, DeltaErrorCode, JsonPatch, Operation } from 'tidegate/delta';
import * as declared from 'tidegate/delta';
import * as written from '../../wasm/delta.js';

/** Fails to compile unless both are the same type, `any` included. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const is = <A, B>(_same: Same<A, B>) => {};

// The functions that are there are the ones that are declared, and take what is declared.
is<keyof typeof written, keyof typeof declared>(true);
written.diff satisfies typeof declared.diff;
written.diffMany satisfies typeof declared.diffMany;
written.apply satisfies typeof declared.apply;
written.chooseForm satisfies typeof declared.chooseForm;
written.merge3 satisfies typeof declared.merge3;
written.mergeText satisfies typeof declared.mergeText;
written.canonicalHash satisfies typeof declared.canonicalHash;
written.canonicalize satisfies typeof declared.canonicalize;
written.seal satisfies typeof declared.seal;
written.encodeDelta satisfies typeof declared.encodeDelta;
written.applyDelta satisfies typeof declared.applyDelta;
written.applyDeltaStream satisfies typeof declared.applyDeltaStream;
written.ready satisfies typeof declared.ready;
written.wasmFile satisfies typeof declared.wasmFile;

// The answer has the shape of what was asked about.
const bytes = new Uint8Array(), text: string = '{}', live = { id: 1, tags: ['a'] };
const fromBytes = diff(bytes, bytes), fromText = diff(bytes, text), fromLive = diff(text, live), merge = diff(live, live, { format: 'merge-patch' });
is<typeof fromBytes, Uint8Array>(true);
is<typeof fromText, string>(true);
is<typeof fromLive, JsonPatch>(true);
is<typeof merge, any>(true);
const mergeBytes = diff(bytes, bytes, { format: 'merge-patch', baseSeal: seal(bytes) });
is<typeof mergeBytes, Uint8Array | null>(true);
const many = diffMany([[bytes, bytes]], { trustedBase: true });
is<typeof many, Array<Uint8Array | DeltaError>>(true);

const applied = apply(live, fromLive), appliedBytes = apply(bytes, fromBytes, { maxOutputBytes: 1e6, trustedDocument: true });
is<typeof applied, { id: number; tags: string[] }>(true);
is<typeof appliedBytes, Uint8Array>(true);

const { document, clashes } = merge3(text, live, bytes, { prefer: 'theirs' });
is<typeof document, { id: number; tags: string[] }>(true);
is<typeof clashes, Clash[]>(true);
is<(typeof clashes)[0]['winner'], 'ours' | 'theirs'>(true);
const texts = mergeText('a', bytes, 'b');
is<typeof texts.text, Uint8Array>(true);
const form = chooseForm(null, live, { bytesPerSecond: 1e6 }), blobForm = chooseForm(bytes, bytes, { blob: true });
is<typeof form.body, string>(true);
is<typeof blobForm.body, Uint8Array>(true);
const hash: string = canonicalHash(live), blob: Uint8Array = applyDelta(bytes, encodeDelta(bytes, bytes, { checksum: false }), { into: bytes });
export const parts: AsyncGenerator<Uint8Array, void, void> = applyDeltaStream(bytes, [bytes], { maxOutputBytes: 1e6 });
const prepared: Promise<void> = ready(fetch('/delta.wasm'));

// An op is told apart by its name, an error by its code.
export const places = (op: Operation) => (op.op === 'move' || op.op === 'copy' ? [op.from, op.path] : [op.path]);
export function codeOf(error: unknown): DeltaErrorCode | undefined {
  return error instanceof DeltaError ? error.code : undefined;
}

// @ts-expect-error: undefined has no JSON text
diff(undefined, live);
// @ts-expect-error: there is no such format
diff(text, text, { format: 'json' });
// @ts-expect-error: a side is ours or theirs
merge3(text, text, text, { prefer: 'base' });
// @ts-expect-error: a blob is bytes
encodeDelta(text, text);
// @ts-expect-error: there is no such code
const wrong: DeltaErrorCode = 'json-error';
export const used = [hash, blob, prepared, wrong];
