// What is run under faults, each behind the same few calls: what must be up, how its ops are queued, what it left, and the evidence for the checker.
import { request as forward, Agent } from 'node:http';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { documentHash, readServer } from '../../headless/checker.mjs';
import { startServer } from '../browser/harness/server.js';
import { createLedger } from './ledger.js';

/** Waits are shortened for every library alike where they have a setting: Tidegate's own between attempts, the browser's between sync events by its flag. */
const kQuick = { baseDelay: 20, maxDelay: 200 };
const kEntity = 'NOTE';

/** One op a request, so that faults meet the same units as with workbox; and the batches Tidegate really sends. */
const kModes = { tidegate: { settings: { ...kQuick, mode: 'rest' }, killAfter: [3, 14] }, 'tidegate-batch': { settings: { ...kQuick, maxBatchOps: 10 }, killAfter: [1, 1] } };
export const kLibraries = [...Object.keys(kModes), 'workbox', 'drop-in'];

/** @param {string} name @returns {Promise<any>} */
export const openLibrary = (name) => (Object.hasOwn(kModes, name) ? openTidegate(kModes[name]) : openQueue(name));
/** With settings of one's own, for the bench. @param {object} settings */
export const openTidegateWith = (settings) => openTidegate({ settings, killAfter: [1, 1] });

async function openTidegate({ settings, killAfter }) {
  const folder = mkdtempSync(join(tmpdir(), 'tidegate-faults-'));
  const server = await startServer(join(folder, 'server.db'));
  const agent = new Agent({ keepAlive: true });
  return {
    path: '/?library=tidegate', killAfter, store: { database: 'tidegate', name: 'ops' },
    async upstream({ method, url, headers, body }) {
      const { connection, 'transfer-encoding': _, ...rest } = headers;
      const asking = forward({ port: server.port, host: '127.0.0.1', agent, method, path: url, headers: { ...rest, 'content-length': body.length } });
      asking.end(body);
      const [answer] = await once(asking, 'response');
      const chunks = [];
      for await (const chunk of answer) chunks.push(chunk);
      const { connection: __, 'transfer-encoding': ___, 'keep-alive': ____, ...kept } = answer.headers;
      return { status: answer.statusCode, headers: kept, body: Buffer.concat(chunks) };
    },
    opsOf({ url, headers, body }) {
      if (!url.endsWith('/batch')) return [String(headers['idempotency-key']).replaceAll('"', '').split('.')[0]];
      const lines = body.toString().split('\n').slice(1, -1);   // without the head, and what follows the last line's end
      const ops = [];
      for (let at = 0; at < lines.length; at += 1) {
        const op = JSON.parse(lines[at]);
        ops.push(op.id);
        if (op.body) at += 1;
      }
      return ops;
    },
    ready: async (page) => { await page.run(async (settings) => { const open = await client; if (open.isSupported().serviceWorker) await navigator.serviceWorker.ready; await open.settings(settings); }, settings); },
    queue: (page, docs) => page.run(async (docs, entity) => {
      const open = await client;
      const ids = [];
      for (const doc of docs) ids.push((await open.save(entity, `e${doc.n}`, doc)).id);
      return ids;
    }, docs, kEntity),
    accept: (page, docs, together) => page.run(async (docs, entity, together) => {
      const open = await client;
      const startedAt = performance.now();
      if (together) await Promise.all(docs.map((doc) => open.save(entity, `e${doc.n}`, doc)));
      else for (const doc of docs) await open.save(entity, `e${doc.n}`, doc);
      return performance.now() - startedAt;
    }, docs, kEntity, together),
    async evidence(page, docs, ids) {
      const client_ = await page.run(async (entity) => {
        const open = await client;
        const ops = await open.ops({ limit: 500 });
        const history = await open.history({ limit: 1000 });
        const documents = await open.list(entity, { limit: 500 });
        return {
          ops: ops.map(({ id, state }) => ({ id, state })),
          records: history.map(({ value }) => value).filter(({ kind }) => kind === 'folded' || kind === 'cancelled').map(({ opId, kind, into, by }) => ({ opId, kind, by: into ?? by ?? null })),
          documents: documents.map(({ entity, entityId, doc }) => ({ entity, entityId, deleted: false, text: JSON.stringify(doc) })),
        };
      }, kEntity);
      await server.stop();
      return { saves: saves(docs, ids), ...readServer(server.database), client: client_ };
    },
    async close() {
      agent.destroy();
      await server.stop().catch(() => {});
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** workbox-background-sync, or tidegate/workbox in its place. @param {string} library */
async function openQueue(library) {
  const ledger = createLedger();
  return {
    path: `/?library=${library}`, killAfter: [3, 14], store: { database: 'workbox-background-sync', name: 'requests' },
    upstream: ledger.upstream,
    opsOf: ({ url }) => [new URL(url, 'http://ledger').searchParams.get('op')],
    ready: (page) => page.run(async () => { await navigator.serviceWorker.ready; }),
    async queue(page, docs) {
      await page.run((list) => push(list), docs.map((doc) => ({ id: `e${doc.n}`, body: JSON.stringify(doc) })));
      return docs.map(({ n }) => `e${n}`);
    },
    accept: async (page, docs, together) => (await page.run((list, together) => push(list, together), docs.map((doc) => ({ id: `e${doc.n}`, body: JSON.stringify(doc) })), together)).ms,
    async evidence(page, docs, ids) {
      const queued = await page.run(async () => {
        const db = await new Promise((resolve) => { const asked = indexedDB.open('workbox-background-sync'); asked.onsuccess = () => resolve(asked.result); });
        const all = await new Promise((resolve) => { const asked = db.transaction('requests').objectStore('requests').getAll(); asked.onsuccess = () => resolve(asked.result); });
        db.close();
        return all.map(({ requestData }) => new URL(requestData.url).searchParams.get('op'));
      });
      const text = new Map(docs.map((doc) => [`e${doc.n}`, JSON.stringify(doc)]));
      const done = new Map(ledger.effects.map(({ op, body }) => [op, body]));
      return {
        saves: saves(docs, ids),
        effects: ledger.effects.map(({ op, body }, i) => ({ seq: i + 1, opId: op, entity: kEntity, entityId: op, action: 'create', content: documentHash(body) })),
        documents: [...done].map(([op, body]) => ({ entity: kEntity, entityId: op, deleted: false, text: body })),
        client: { ops: queued.map((id) => ({ id, state: 'queued' })), records: [], documents: [...text].map(([entityId, body]) => ({ entity: kEntity, entityId, deleted: false, text: body })) },
      };
    },
    async close() {},
  };
}

const saves = (docs, ids) => docs.map((doc, n) => ({ n, entity: kEntity, entityId: `e${doc.n}`, action: 'save', sha256: documentHash(JSON.stringify(doc)), opId: ids[n] }));
