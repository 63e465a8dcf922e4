// A request as IndexedDB can keep it, in the format of workbox 7.4.1: its records are ours and ours are its.
import { assertType } from './workbox-errors.js';

/** @typedef {{url: string, headers: Record<string, string>, body?: ArrayBuffer, [property: string]: any}} RequestData */

/** What of a request is kept besides address, headers and body. */
const kProperties = /** @type {const} */ (['method', 'referrer', 'referrerPolicy', 'mode', 'credentials', 'cache', 'redirect', 'integrity', 'keepalive']);
const kWithoutBody = ['GET', 'HEAD'];

export class StorableRequest {
  /** @param {Request} request its body is read from a clone @returns {Promise<StorableRequest>} */
  static async fromRequest(request) {
    /** @type {RequestData} */
    const data = { url: request.url, headers: {} };
    // Bytes, never a Blob: Safari cannot keep one in IndexedDB in some cases.
    if (request.method !== 'GET') data.body = await request.clone().arrayBuffer();
    request.headers.forEach((value, name) => { data.headers[name] = value; });
    for (const name of kProperties) if (request[name] !== undefined) data[name] = request[name];
    return new StorableRequest(data);
  }

  /** @param {RequestData} requestData */
  constructor(requestData) {
    assertType(requestData, 'object', 'StorableRequest.constructor(requestData)');
    assertType(requestData.url, 'string', 'StorableRequest.constructor(requestData.url)');
    if (requestData.mode === 'navigate') requestData.mode = 'same-origin';   // no script may make a navigation
    this._requestData = requestData;
  }

  /** A deep copy of what is kept. @returns {RequestData} */
  toObject() {
    const { headers, body, ...rest } = this._requestData;
    return { ...rest, headers: { ...headers }, ...(body ? { body: body.slice(0) } : {}) };
  }

  /** workbox keeps an empty body with a HEAD request, and no engine makes such a request again: here it is left out. */
  toRequest() {
    const { body, ...rest } = this._requestData;
    return new Request(this._requestData.url, /** @type {RequestInit} */ (kWithoutBody.includes(rest.method ?? 'GET') ? rest : this._requestData));
  }

  clone() {
    return new StorableRequest(this.toObject());
  }
}
