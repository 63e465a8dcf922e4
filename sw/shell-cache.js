// The offline shell: the app's own files and the core's Wasm file, in one cache per version. Filled on install (all or nothing), older ones removed on
// activate, answers of the API never in it.

/** @import { ShellOptions } from './index.d.ts' */

const kPrefix = 'tidegate-shell-';

export class ShellCache {
  #asked = false;

  /**
   * @param {{caches: CacheStorage, scope: string, options: ShellOptions | undefined, wasm: URL, fetchAsset: (what: Request) => Promise<Response>}} deps
   */
  constructor({ caches, scope, options, wasm, fetchAsset }) {
    this.caches = caches;
    this.fetchAsset = fetchAsset;
    this.name = kPrefix + (options?.version ?? 'core');
    this.wasm = wasm.href;
    const assets = (options?.assets ?? []).map((asset) => new URL(asset, scope).href);
    this.navigate = options?.navigate === undefined ? null : new URL(options.navigate, scope).href;
    this.urls = new Set([...assets, ...(this.navigate ? [this.navigate] : []), this.wasm]);
  }

  /** Past the HTTP cache, so that a version holds the files of that version. @param {Iterable<string>} [urls] */
  async fill(urls = this.urls) {
    const cache = await this.caches.open(this.name);
    await cache.addAll([...urls].map((url) => new Request(url, { cache: 'reload' })));
  }

  async dropOlder() {
    const names = await this.caches.keys();
    await Promise.all(names.filter((name) => name.startsWith(kPrefix) && name !== this.name).map((name) => this.caches.delete(name)));
  }

  /** The file that answers this request, or null when it is not part of the shell. @param {Request} request */
  match(request) {
    if (request.method !== 'GET') return null;
    const url = new URL(request.url);
    url.hash = '';
    if (this.urls.has(url.href)) return url.href;
    return request.mode === 'navigate' ? this.navigate : null;
  }

  /** From the cache; from the network where the browser threw the cache away. @param {string} url @param {Request} [request] */
  async answer(url, request) {
    const cached = await this.caches.match(url, { cacheName: this.name, ignoreVary: true });
    return cached ?? this.fetchAsset(request ?? new Request(url));
  }

  /**
   * The Wasm file, for WebAssembly.compileStreaming. Who asks again could not compile it: what is no Wasm, as where the server once answered half of the file, is
   * replaced, because no other would come before the next version of the worker.
   */
  async core() {
    const file = await this.answer(this.wasm);
    const again = this.#asked;
    this.#asked = true;
    if (!again || !file.ok || !globalThis.WebAssembly || WebAssembly.validate(await file.clone().arrayBuffer())) return file;
    await this.fill([this.wasm]).catch(() => {});   // offline, or gone
    return this.answer(this.wasm);
  }
}
