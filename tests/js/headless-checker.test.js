import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { check, documentHash, readAcceptanceLog } from '../../headless/checker.mjs';

/** The text of version n of any document. @param {number} n */
const text = (n) => `{"n":${n}}`;

/** @param {number} n @param {string | null} opId @param {string} [entityId] */
const save = (n, opId, entityId = 'a') => ({ n, opId, entity: 'T', entityId, action: 'update', sha256: documentHash(text(n)) });

/** @param {number} seq @param {string} opId @param {number} n @param {string} [entityId] */
const effect = (seq, opId, n, entityId = 'a') => ({ seq, opId, entity: 'T', entityId, action: 'update', content: `bytes of ${n}` });

/** @param {number} n @param {string} [entityId] */
const document = (n, entityId = 'a') => ({ entity: 'T', entityId, deleted: false, text: text(n) });

/** A right run: three saves of T/a, the first folded into the second, the others applied. */
function rightRun() {
  return {
    saves: [save(1, 'op1'), save(2, 'op2'), save(3, 'op3')],
    effects: [effect(1, 'op2', 2), effect(2, 'op3', 3)],
    documents: [document(3)],
    client: { ops: /** @type {any[]} */ ([]), records: [{ opId: 'op1', kind: 'folded', by: 'op2' }], documents: [document(3)] },
  };
}

/** @param {(run: ReturnType<typeof rightRun>) => void} change */
function checked(change) {
  const run = rightRun();
  change(run);
  const { lost, duplicated, unconverged, misordered } = check(/** @type {any} */ (run));
  return { lost, duplicated, unconverged, misordered };
}

const CLEAN = { lost: [], duplicated: [], unconverged: [], misordered: [] };

test('a right run has no finding', () => {
  assert.deepEqual(checked(() => {}), CLEAN);
  const report = check(rightRun());
  assert.deepEqual([report.accepted, report.effects, report.folded, report.dead, report.unlogged], [3, 2, 1, 0, 0]);
});

test('an accepted op without any trace is lost', () => {
  const { lost } = checked((run) => { run.client.records = []; });
  assert.deepEqual(lost, ['op1: no effect, no fold or cancel record, no dead letter']);
});

test('an op that the client calls done but the server never saw is lost', () => {
  const { lost } = checked((run) => {
    run.effects.pop();
    run.client.ops = [{ id: 'op3', state: 'done' }];
  });
  assert.equal(lost.length, 1);
  assert.match(lost[0], /^op3: no effect/);
});

test('a fold record is followed to the end: every op folded into a lost one is lost', () => {
  const { lost } = checked((run) => { run.effects.shift(); });
  assert.deepEqual(lost.map((line) => line.split(':')[0]), ['op1 → op2', 'op2']);
});

test('fold records that name nobody, or each other, save nothing', () => {
  assert.match(checked((run) => { run.client.records[0].by = /** @type {any} */ (null); }).lost[0], /names no successor/);
  assert.match(checked((run) => {
    run.effects.shift();
    run.client.records.push({ opId: 'op2', kind: 'folded', by: 'op1' });
  }).lost[0], /name each other/);
});

test('an op folded into an op of another entity is lost', () => {
  const { lost } = checked((run) => {
    run.saves.push(save(4, 'op4', 'b'));
    run.effects.push(effect(3, 'op4', 4, 'b'));
    run.client.records[0].by = 'op4';
  });
  assert.match(lost[0], /folded into an op of another entity, T\/b/);
});

test('a visible dead letter is not lost, and neither is what was folded into it', () => {
  const { lost } = checked((run) => {
    run.effects.shift();
    run.client.ops = [{ id: 'op2', state: 'dead' }];
  });
  assert.deepEqual(lost, []);
});

test('an op that is still queued is not lost, but the run did not converge', () => {
  const { lost, unconverged } = checked((run) => {
    run.effects.pop();
    run.client.ops = [{ id: 'op3', state: 'waiting' }];
  });
  assert.deepEqual(lost, []);
  assert.ok(unconverged.includes('op3: still waiting'));
});

test('a second effect of one op is a duplicate, whatever its content', () => {
  const { duplicated } = checked((run) => { run.effects.push(effect(3, 'op2', 9)); });
  assert.equal(duplicated.length, 1);
  assert.match(duplicated[0], /^op2: a second effect on T\/a, number 3/);
});

test('the document of one op applied again under the id of another is a duplicate', () => {
  const { duplicated } = checked((run) => {
    run.saves.push(save(4, 'op4'));
    run.effects.push(effect(3, 'op4', 3));
  });
  assert.deepEqual(duplicated, ['op4: made the document of op3 on T/a again']);
});

test('the same document saved twice may have two effects', () => {
  assert.deepEqual(checked((run) => {
    run.saves.push(save(3, 'op4'));
    run.effects.push(effect(3, 'op4', 3));
  }), CLEAN);
});

test('an effect of an op that nobody accepted is a duplicate', () => {
  const { duplicated } = checked((run) => { run.effects.push(effect(3, 'stranger', 3)); });
  assert.ok(duplicated.some((line) => /stranger: an effect on T\/a of an op that nobody accepted/.test(line)), duplicated.join());
});

test('a save cut off by a kill may have one effect or none, for its own entity only', () => {
  const cutOff = (/** @type {ReturnType<typeof rightRun>} */ run) => run.saves.splice(2, 0, save(3, null));
  assert.deepEqual(checked(cutOff), CLEAN);
  assert.deepEqual(checked((run) => {
    cutOff(run);
    run.effects.splice(1, 0, effect(2, 'unlogged', 3));
  }), CLEAN);
  assert.equal(checked((run) => {
    cutOff(run);
    run.effects.push(effect(3, 'unlogged', 3), effect(4, 'another', 5));
  }).duplicated.length, 1);
  assert.equal(checked((run) => {
    cutOff(run);
    run.effects.push(effect(3, 'unlogged', 3, 'b'));
  }).duplicated.length, 1);
});

test('server, client and last accepted version must be the same document', () => {
  assert.match(checked((run) => { run.documents = [document(2)]; }).unconverged[0], /T\/a: the server's document is not version 3/);
  assert.match(checked((run) => { run.documents = []; }).unconverged[0], /T\/a: the server's document is not version 3/);
  assert.match(checked((run) => { run.client.documents = [document(2)]; }).unconverged[0], /T\/a: the client shows another document/);
  assert.match(checked((run) => { run.documents.push(document(1, 'z')); }).unconverged[0], /T\/z: the server has an entity that was never saved/);
});

test('documents that differ by one unit beyond 2^53 have not converged', () => {
  const { unconverged } = checked((run) => {
    run.saves[2].sha256 = documentHash('{"n":9007199254740993}');
    run.documents[0].text = '{"n":9007199254740992}';
    run.client.documents[0].text = '{"n":9007199254740993}';
  });
  assert.equal(unconverged.length, 1);
});

test('members in another order and 1.0 for 1 are the same document', () => {
  assert.equal(documentHash('{"a":1,"b":[2.50]}'), documentHash('{ "b": [25e-1], "a": 1.0 }'));
});

test('effects in another order than the ops were accepted are found', () => {
  const { misordered } = checked((run) => { run.effects = [effect(1, 'op3', 3), effect(2, 'op2', 2)]; });
  assert.deepEqual(misordered, ['op2: took effect on T/a after a later op']);
});

const folder = mkdtempSync(join(tmpdir(), 'tidegate-checker-'));
after(() => rmSync(folder, { recursive: true }));

test('the acceptance log is read with saves cut off and a torn last line', () => {
  const file = join(folder, 'acceptance.jsonl');
  const lines = [
    { saving: 1, entity: 'T', entityId: 'a', action: 'create', sha256: 'x' },
    { accepted: 1, opId: 'op1', entity: 'T', entityId: 'a', action: 'create', sha256: 'x' },
    { saving: 2, entity: 'T', entityId: 'a', action: 'update', sha256: 'y' },
    { saving: 2, entity: 'T', entityId: 'a', action: 'update', sha256: 'y' },
  ].map((line) => `${JSON.stringify(line)}\n`).join('');
  writeFileSync(file, `${lines}{"accepted":2,"op`);
  assert.deepEqual(readAcceptanceLog(file).map(({ n, opId }) => [n, opId]), [[1, 'op1'], [2, null], [2, null]]);
});

test('a damaged line inside the acceptance log is an error, never skipped', () => {
  const file = join(folder, 'damaged.jsonl');
  writeFileSync(file, '{"saving":1}\nnot json\n{"saving":2}\n');
  assert.throws(() => readAcceptanceLog(file), /damaged\.jsonl:2: not JSON/);
});

test('the checker imports nothing of the code it judges', () => {
  for (const name of ['checker.mjs', 'json-text.mjs']) {
    const source = readFileSync(new URL(`../../headless/${name}`, import.meta.url), 'utf8');
    const imports = [...source.matchAll(/(?:from|import\(|require\()\s*['"]([^'"]+)['"]/g)].map((match) => match[1]);
    for (const target of imports) assert.match(target, /^(node:[a-z/]+|libsql|\.\/json-text\.mjs)$/, `${name} imports ${target}`);
  }
});
