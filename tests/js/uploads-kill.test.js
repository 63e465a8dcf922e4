// The kill sweep of an upload: the process dies at every await of a drain, before and after every request and every transaction. Nothing is lost, and one effect comes of it.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { buildRow } from '../../sw/accept.js';
import { clock } from '../../sw/clock.js';
import { random } from '../../sw/random.js';
import { uploads } from '../../sw/uploads.js';
import { dying, everyKill, killSweep, kStores } from './mortal.js';
import { sealed } from './sealed-lines.js';

const kSizes = { maxOpBytes: 1000, maxUploadBytes: 1e9 };
const kLimits = { maxOps: 1000, maxBytes: 1e9 };
const kSize = 600_000;
const up = uploads();
const seals = sealed(1);
const keep = (store, items, limits) => up.keeping(store, items, limits, (kept) => store.accept(kept, limits));

for (const [name, around] of [['', (store) => store], [', sealed', (store) => seals(store, { publish: () => {} })]]) {
  const film = randomBytes(kSize);
  killSweep(`killed at every await of an upload${name}: it arrives byte for byte, once, with another op beside it, and no piece stays`, {
    least: 30, context: kSizes, keep, shell: { around, tasks: (transport, realm) => up.around(transport, realm) },
    begin: async ({ accept }) => [await accept('film', film), await accept('note', { n: 1 })],
    expect: async ({ ids, effects, get, when }) => {
      assert.deepEqual(effects.sort(), [...ids].sort(), when);
      assert.ok((await get('film')).bytes.equals(film), `${when}: byte for byte`);
    },
  });
}

for (const [name, fresh] of Object.entries(kStores))
  test(`${name}: killed at every await of a save: the blob is accepted whole or not at all, and what is left of one that was not is taken away a day later`, async () => {
    let accepted = 0;
    const points = await everyKill(fresh, async ({ store, kill, mayDie }) => {
      const item = await buildRow({ entity: 'MEDIA', entityId: 'film', doc: randomBytes(kSize) }, { owner: '', schemaVersion: 0, fieldNames: () => [], clock, random, ...kSizes }, '');
      await mayDie((point) => keep(dying(store, point), [item], kLimits)).catch(() => {});
      const row = await store.rowById(item.row.id);
      const pieces = async () => (await store.list('payloads', { prefix: 'up:' })).map(({ value }) => value.length).reduce((sum, size) => sum + size, 0);
      if (row) assert.equal(await pieces(), kSize, `kill ${kill}`);
      await up.tidy(store, Date.now() + 25 * 3600 * 1000);
      assert.equal(await pieces(), row ? kSize : 0, `kill ${kill}`);
      accepted += row ? 1 : 0;
    });
    assert.ok(points >= 10 && accepted >= 1, `${points} points, ${accepted} accepted`);
  });
