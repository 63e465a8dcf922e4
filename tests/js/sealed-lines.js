// Clients whose store is sealed, in Node over SQLite and in a page with a service worker over IndexedDB, and what lies in their databases.
import 'fake-indexeddb/auto';
import { readFileSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';
import { clock } from '../../sw/clock.js';
import { encryption, secretKeys } from '../../sw/encryption.js';
import { openClient } from '../../sw/node.js';
import { openSqliteStore } from '../../sw/sqlite-store.js';
import { openStore } from '../../sw/store.js';
import { startServer, temporaryDirectory } from './server-harness.js';
import { openPage, origin, startWorker, wipe } from './sw-harness.js';

const kStores = ['payloads', 'bases', 'docs', 'state', 'history'];
const secret = (n) => new Uint8Array(32).fill(n);
/** A provider of keys derived from these secrets, the newest first. @param {...number} secrets */
export const keysOf = (...secrets) => { const [first, ...older] = secrets.map(secret); const keys = secretKeys({ secret: first, older }); return () => keys; };
export const sealed = (...secrets) => encryption({ keys: keysOf(...secrets) });

/** Everything a store holds, as one text in which a secret would be found. */
export async function contentOf(store) {
  const rows = await store.rows(0, 1e6);
  const parts = [JSON.stringify(rows)];
  for (const name of kStores)
    for (const { key, value } of await store.list(name, { limit: 1e6 })) {
      const bytes = [value, value?.bytes].find((part) => part instanceof Uint8Array);
      parts.push(key, JSON.stringify(value), bytes ? Buffer.from(bytes).toString('latin1') : '');
    }
  return parts.join('\n');
}

/** A client in Node over a file. */
async function overSqlite(t) {
  const path = join(temporaryDirectory(t), 'outbox.db');
  return {
    name: 'SQLite',
    open: async (options) => openClient({ path, autoSync: false, ...options }),
    raw: () => openSqliteStore({ path }),
    /** The bytes on the disk, log included. */
    bytes: async () => readdirSync(dirname(path)).filter((file) => file.startsWith(basename(path))).map((file) => readFileSync(join(dirname(path), file), 'latin1')).join('\n'),
  };
}

/** A page with a service worker, over IndexedDB. */
async function overIndexedDb(t, url) {
  await wipe();
  const world = origin(url);
  const { connect } = await import('../../web/client.js');
  t.after(wipe);
  return {
    name: 'IndexedDB',
    open: async (options) => {
      const worker = await startWorker(world, { endpoint: options.endpoint, encryption: options.encryption, allow: options.allow, blobDeltas: options.blobDeltas });
      await worker.fire('install');
      const page = openPage(world, { worker });
      const client = await connect({ worker: '/sw.js', wasm: '/tidegate.wasm', ...options });
      return { ...client, close: async () => { await client.close(); page.close(); } };
    },
    raw: () => openStore({ clock }),
    bytes: async () => { const store = await openStore({ clock }); try { return await contentOf(store); } finally { await store.close(); } },
  };
}

const kLines = { SQLite: overSqlite, IndexedDB: overIndexedDb };

/** The same test over both. @param {string} claim @param {(t: any, scene: any) => Promise<void>} body */
export function onBoth(claim, body) {
  for (const [name, over] of Object.entries(kLines))
    test(`${name}: ${claim}`, async (t) => {
      const world = await startServer(t);
      const line = await over(t, world.url);
      const opened = [];
      t.after(async () => { for (const client of opened) await client.close(); });
      const open = async (options = {}) => {
        const client = await line.open({ endpoint: world.api, encryption: sealed(1), ...options });
        opened.push(client);
        return client;
      };
      /** The store as it lies there. */
      const raw = async (use) => { const store = await line.raw(); try { return await use(store); } finally { await store.close(); } };
      /** Changes the store as it lies there. @param {(store: any) => Promise<any[]>} writesOf */
      const tamper = (writesOf) => raw(async (store) => {
        for (let result = ''; result !== 'ok';) {   // a drain that began before may come between
          const { token } = await store.acquireLease({ holder: 'thief', nowMs: Date.now(), ttlMs: 1_000, codeVersion: '1', takeover: true });
          result = await store.commit({ token, knownSeq: 0, lanes: [], writes: await writesOf(store) });
          await store.releaseLease({ token });
        }
      });
      await body(t, { ...world, ...line, open, raw, tamper });
    });
}

