// Encryption at rest, at the store: the same contract as without, with the same things readable and nothing else.
import 'fake-indexeddb/auto';
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { clock } from '../../sw/clock.js';
import { encryption, secretKeys } from '../../sw/encryption.js';
import { openSqliteStore } from '../../sw/sqlite-store.js';
import { openStore } from '../../sw/store.js';
import { bytes, item, kLimits, storeContract } from './store.contract.js';

const secret = (n) => new Uint8Array(32).fill(n);
const sealing = (keys = secretKeys({ secret: secret(1) })) => encryption({ keys: () => keys });
const drop = (name) => new Promise((resolve, reject) => {
  const request = indexedDB.deleteDatabase(name);
  request.onsuccess = resolve;
  request.onerror = () => reject(request.error);
});

let count = 0;
const around = (open) => async () => sealing()(await open(), { publish: () => {} });
const indexed = () => openStore({ clock, name: `sealed-${count}` });
storeContract('IndexedDB, sealed', { fresh: around(() => { count += 1; return indexed(); }), again: around(indexed), remove: () => drop(`sealed-${count}`) });

const directory = mkdtempSync(join(tmpdir(), 'tidegate-sealed-'));
process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
let files = 0;
const sqlite = () => openSqliteStore({ path: join(directory, `${files}.db`) });
storeContract('SQLite, sealed', { fresh: around(() => { files += 1; return sqlite(); }), again: around(sqlite), remove: async () => {} });

test('tickets go on rising when a database is sealed', async () => {
  files += 1;
  const plain = await sqlite();
  const store = sealing()(plain, { publish: () => {} });
  assert.equal(await store.ticket(5000), 5000);
  await store.acquireLease({ holder: 'a', nowMs: 0, ttlMs: 1000, codeVersion: '1' });
  assert.ok(await plain.get('state', 'sealed'));
  assert.equal(await store.ticket(0), 5001);
  await store.close();
});
