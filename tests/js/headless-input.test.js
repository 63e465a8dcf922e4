import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gzipSync } from 'node:zlib';

import { InputError, MAX_LINE_BYTES, readVersions } from '../../headless/input.mjs';

const folder = mkdtempSync(join(tmpdir(), 'tidegate-input-'));
after(() => rmSync(folder, { recursive: true }));

/** @param {string} name @param {string | Uint8Array} content */
function file(name, content) {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** @param {string[]} files @param {{ops?: number}} [options] */
async function read(files, options) {
  const versions = [];
  for await (const version of readVersions(files, options)) versions.push(version);
  return versions;
}

/** @param {string} path @param {number} line @param {RegExp} what */
async function refused(path, line, what) {
  await assert.rejects(read([path]), (error) => {
    assert.ok(error instanceof InputError, String(error));
    assert.equal(error.line, line, error.message);
    assert.ok(error.message.startsWith(line > 0 ? `${path}:${line}: ` : `${path}: `), error.message);
    assert.match(error.message, what);
    return true;
  });
}

test('a line with type and id names its entity, its priority in either letter case', async () => {
  const path = file('typed.jsonl', '{"type":"ASSESSMENT","id":"a1","doc":{"n":1},"priority":"HIGH"}\n{"commit":"x","type":"R.1","id":"é","doc":[]}\n');
  assert.deepEqual(await read([path]), [
    { entity: 'ASSESSMENT', entityId: 'a1', doc: '{"n":1}', place: `${path}:1`, priority: 'high' },
    { entity: 'R.1', entityId: 'é', doc: '[]', place: `${path}:2` },
  ]);
});

test('a line with only a document belongs to the entity named by the file', async () => {
  const line = '{"commit":"c","doc":{"n":1}}\n';
  for (const path of [file('site.v1.jsonl', line), file('site.v1.jsonl.gz', gzipSync(line))]) {
    assert.deepEqual(await read([path]), [{ entity: 'DOCUMENT', entityId: 'site.v1', doc: '{"n":1}', place: `${path}:1` }]);
  }
});

test('a document keeps the text it was written with', async () => {
  const doc = '{"big": 9007199254740993, "one": 1.0, "dup": 1, "s": "\\ud800"}';
  assert.equal((await read([file('exact.jsonl', `{"doc": ${doc} }`)]))[0].doc, doc);
});

test('byte order mark, CRLF, blank lines and a last line without line end are read', async () => {
  const path = file('windows.jsonl', '\ufeff{"doc":1}\r\n\r\n{"doc":2}\r\n{"doc":3}');
  assert.deepEqual((await read([path])).map((version) => version.doc), ['1', '2', '3']);
});

test('lines longer than a read chunk are put together', async () => {
  const long = `{"doc":"${'x'.repeat(300_000)}"}`;
  const text = `${long}\n${long}\n{"doc":1}\n`;
  for (const path of [file('long.jsonl', text), file('long.jsonl.gz', gzipSync(text))]) {
    assert.deepEqual((await read([path])).map((version) => version.doc.length), [300_002, 300_002, 1]);
  }
});

test('gzip is recognised by content, and several members make one file', async () => {
  const path = file('really-gzip.jsonl', Buffer.concat([gzipSync('{"doc":1}\n'), gzipSync('{"doc":2}\n')]));
  assert.deepEqual((await read([path])).map((version) => version.doc), ['1', '2']);
});

test('ops cuts the input or repeats it with fresh entity ids', async () => {
  const path = file('two.jsonl', '{"type":"T","id":"a","doc":1}\n{"type":"T","id":"a","doc":2}\n');
  assert.deepEqual((await read([path], { ops: 1 })).map(({ entityId, doc }) => entityId + doc), ['a1']);
  assert.deepEqual((await read([path], { ops: 5 })).map(({ entityId, doc }) => entityId + doc), ['a1', 'a2', 'a~21', 'a~22', 'a~31']);
});

test('several files are read one after the other', async () => {
  const files = [file('one.jsonl', '{"doc":1}\n'), file('other.jsonl', '{"doc":2}\n')];
  assert.deepEqual((await read(files)).map(({ entityId }) => entityId), ['one', 'other']);
});

test('a missing file, a directory and an empty file are refused by name', async () => {
  await refused(join(folder, 'nowhere.jsonl'), 0, /no such file/);
  await refused(folder, 0, /a directory/);
  await refused(file('empty.jsonl', ''), 0, /empty/);
  await refused(file('blank.jsonl', '\n \r\n\n'), 0, /empty/);
  await refused(file('empty.jsonl.gz', gzipSync('')), 0, /empty/);
  await refused(file('nothing.jsonl.gz', ''), 0, /empty/);
});

test('a malformed line is refused by number', async () => {
  const good = '{"doc":1}\n';
  await refused(file('cut.jsonl', `${good}{"doc":{"a":1}\n`), 2, /not a JSON object: expected "}"/);
  await refused(file('array.jsonl', `${good}\n[1]\n`), 3, /expected a JSON object, found "\["/);
  await refused(file('tail.jsonl', '{"doc":1} x\n'), 1, /expected nothing more/);
  await refused(file('deep.jsonl', `{"doc":${'['.repeat(300)}${']'.repeat(300)}}`), 1, /nested deeper than 256/);
  await refused(file('csv.jsonl', 'id,name\n1,x\n'), 1, /not a JSON object/);
});

test('a line without a document, or with members of the wrong kind, is refused by field', async () => {
  await refused(file('f1.jsonl', '{"type":"T","id":"a"}'), 1, /"doc" is missing/);
  await refused(file('f2.jsonl', '{"type":"T","doc":1}'), 1, /"id" is missing/);
  await refused(file('f3.jsonl', '{"id":"a","doc":1}'), 1, /"type" is missing/);
  await refused(file('f4.jsonl', '{"type":5,"id":"a","doc":1}'), 1, /"type" is 5, expected a string/);
  await refused(file('f5.jsonl', '{"type":"9x","id":"a","doc":1}'), 1, /"type" is "9x"/);
  await refused(file('f6.jsonl', '{"type":"T","id":"a/b","doc":1}'), 1, /"id" is "a\/b"/);
  await refused(file('f7.jsonl', '{"type":"T","id":"","doc":1}'), 1, /"id" is ""/);
  await refused(file('f8.jsonl', '{"doc":1,"priority":"urgent"}'), 1, /"priority" is "urgent", expected one of critical, high, normal, low/);
});

test('a binary file is refused, whether by NUL, by encoding or by endless line', async () => {
  await refused(file('png.jsonl', Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 0])), 1, /NUL byte/);
  await refused(file('latin1.jsonl', Buffer.from('{"doc":1}\n{"doc":"\xe9"}\n', 'latin1')), 2, /not UTF-8/);
  await refused(file('endless.jsonl', Buffer.alloc(MAX_LINE_BYTES + 1, 0x20)), 1, /longer than/);
});

test('gzip that is cut off, damaged, fake or followed by garbage is refused', async () => {
  const gzip = gzipSync('{"doc":1}\n'.repeat(1000));
  await assert.rejects(read([file('cutoff.jsonl.gz', gzip.subarray(0, -10))]), /cutoff\.jsonl\.gz:\d+: the gzip data ends early/);
  const damaged = Buffer.from(gzip);
  damaged[20] ^= 0xff;
  await assert.rejects(read([file('damaged.jsonl.gz', damaged)]), /damaged/);
  await refused(file('fake.jsonl.gz', '{"doc":1}\n'), 0, /not gzip/);
  // Node reports some garbage by itself and passes over other; neither may go unseen.
  for (const garbage of ['garbage', '\0\0\0\0', '\x1f']) {
    const path = file('garbage.jsonl.gz', Buffer.concat([gzip, Buffer.from(garbage, 'latin1')]));
    await assert.rejects(read([path]), /garbage\.jsonl\.gz:.* (the gzip data|bytes after the end)/, JSON.stringify(garbage));
  }
});
