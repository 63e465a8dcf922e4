import type { BlobDeltas } from './index.js';

/** `wasm`: the folder of delta.wasm and delta.simd.wasm, a whole URL. Default: beside the package's own files. Node needs none. */
export function blobDeltas(options?: { wasm?: string | URL }): BlobDeltas;
