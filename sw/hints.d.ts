import type { HintSource } from './index.js';

/** `path` is below the endpoint; default "hints". */
export function sseHints(path?: string): HintSource;
/** Cookies only: a WebSocket carries no headers. Throws where the engine has none. */
export function webSocketHints(path?: string): HintSource;
