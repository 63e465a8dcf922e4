// What one would write without Tidegate: one PUT with the whole body for each saved version, as soon as it is saved. It is given
// a perfect network and no errors, because only its bytes and requests are wanted, and those are the server's counts.

import { randomUUID } from 'node:crypto';

/**
 * @param {string} url of the server's API
 * @param {AsyncIterable<{entity: string, entityId: string, doc: string}>} versions
 */
export async function sendNaively(url, versions) {
  /** @type {Map<string, string>} */
  const etags = new Map();
  for await (const { entity, entityId, doc } of versions) {
    const path = `/entities/${encodeURIComponent(entity)}/${encodeURIComponent(entityId)}`;
    const etag = etags.get(path);
    const response = await fetch(url + path, {
      method: 'PUT',
      headers: {
        'content-type': 'application/json',
        'idempotency-key': `"${randomUUID()}"`,
        ...(etag === undefined ? { 'if-none-match': '*' } : { 'if-match': etag }),
      },
      body: doc,
    });
    await response.arrayBuffer();
    if (!response.ok) throw new Error(`the naive client got ${response.status} for PUT ${path}`);
    etags.set(path, response.headers.get('etag') ?? '');
  }
}
