import type { Authorize } from './index.js';

/** `authorize` for a worker whose pages know the headers: asks an open page of the owner (the `authorize` of its `connect`). */
export function fromPages(): Authorize;
