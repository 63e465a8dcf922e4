import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import Database from 'libsql';
import { openSqliteStore } from '../../server/store-sqlite.js';
import { makeOp, storeContract } from './server-store.contract.js';
import { rowsOf, temporaryDirectory } from './server-harness.js';

storeContract('SQLite', async (t) => {
  const file = join(temporaryDirectory(t), 'store.db');
  let store = await openSqliteStore({ file });
  t.after(() => store.close());
  return {
    store,
    reopen: async () => {
      await store.close();
      store = await openSqliteStore({ file });
      return store;
    },
    effects: () => rowsOf(file, 'SELECT * FROM effects ORDER BY n'),
  };
});

test('SQLite: a file that is no database, of a newer schema, or in no directory is refused by its name', async (t) => {
  const directory = temporaryDirectory(t);
  const garbage = join(directory, 'garbage.db');
  writeFileSync(garbage, 'neither a database nor empty. '.repeat(500));
  await assert.rejects(openSqliteStore({ file: garbage }), { message: /^cannot open the database .*garbage\.db: .*not a database/ });

  const newer = join(directory, 'newer.db');
  const db = new Database(newer);
  db.exec('PRAGMA user_version = 99');
  db.close();
  await assert.rejects(openSqliteStore({ file: newer }), { message: /newer\.db: its schema has version 99/ });

  await assert.rejects(openSqliteStore({ file: join(directory, 'absent', 'x.db') }), { message: /^cannot open the database .*absent/ });
});

test('SQLite: two stores on one file, as two processes have it, keep out of each other\'s way', async (t) => {
  const file = join(temporaryDirectory(t), 'store.db');
  const [one, two] = [await openSqliteStore({ file }), await openSqliteStore({ file })];
  t.after(() => Promise.all([one.close(), two.close()]));
  const decide = (op, { bound }) => (bound ? { status: bound.status, replayed: true } : { status: 200, effect: { action: 'update', contentType: 'x/y', body: op.body } });
  const op = makeOp();
  const [[first], [second]] = await Promise.all([one.apply([[op]], { nowMs: 1, decide }), two.apply([[op]], { nowMs: 1, decide })]);
  assert.deepEqual([first.replayed, second.replayed], [undefined, true]);
  assert.equal(rowsOf(file, 'SELECT * FROM effects').length, 1);
});
