// JSON as it is written, not as a double reads it.
//
// JSON.parse turns 9007199254740993 into 9007199254740992, so a comparison of parsed values would call a changed document
// equal. This file reads JSON text into one canonical text in which object members are sorted by name and every number is
// its exact decimal value. Two documents are equal exactly when their canonical texts are.
//
// Rules, each deliberate: 1, 1.0 and 10e-1 are the same number; -0 is 0; of members with the same name the last one counts
// (as in JSON.parse); strings are compared by UTF-16 code units, so a lone surrogate equals only itself.
//
// tests/js/headless-json-text.test.js

/** Deepest nesting read. DESIGN: JSON depth 256. */
export const MAX_DEPTH = 256;

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const SPACE = /[ \t\r\n]*/y;

export class JsonTextError extends Error {
  /** @param {string} message @param {number} offset in UTF-16 code units */
  constructor(message, offset) {
    super(`${message} at character ${offset + 1}`);
    this.name = 'JsonTextError';
    this.offset = offset;
  }
}

/**
 * The canonical text of a JSON text. Throws JsonTextError when it is not JSON or nested deeper than MAX_DEPTH.
 * @param {string} text
 */
export function canonical(text) {
  const reader = new Reader(text);
  const value = reader.value(1);
  reader.end();
  return value;
}

/**
 * The members of a JSON object with the exact text each value was written with. Throws JsonTextError when `text` is not one
 * JSON object.
 * @param {string} text
 * @returns {Map<string, string>}
 */
export function memberTexts(text) {
  const reader = new Reader(text);
  const members = new Map();
  reader.space();
  if (text[reader.at] !== '{') reader.fail('expected a JSON object');
  reader.object((name) => {
    const start = reader.at;
    reader.value(2);
    members.set(name, text.slice(start, reader.at).trimEnd());
  });
  reader.end();
  return members;
}

/**
 * A JSON number as exact decimal: digits without leading or trailing zeros, then its power of ten.
 * @param {string} written
 */
export function canonicalNumber(written) {
  const [mantissa, exponent = '0'] = written.toLowerCase().split('e');
  const negative = mantissa.startsWith('-');
  const [whole, fraction = ''] = mantissa.replace('-', '').split('.');
  const digits = (whole + fraction).replace(/^0+/, '');
  if (digits === '') return '0';
  const significant = digits.replace(/0+$/, '');
  const power = BigInt(exponent) - BigInt(fraction.length) + BigInt(digits.length - significant.length);
  return `${negative ? '-' : ''}${significant}${power === 0n ? '' : `e${power}`}`;
}

class Reader {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  /** @param {string} message @returns {never} */
  fail(message) {
    const found = this.at < this.text.length ? `, found ${JSON.stringify(this.text[this.at])}` : ', found the end';
    throw new JsonTextError(message + found, this.at);
  }

  /** @param {RegExp} token a sticky expression @returns {string | null} */
  take(token) {
    token.lastIndex = this.at;
    const match = token.exec(this.text);
    if (match === null) return null;
    this.at = token.lastIndex;
    return match[0];
  }

  space() {
    this.take(SPACE);
  }

  end() {
    this.space();
    if (this.at < this.text.length) this.fail('expected nothing more after the JSON value');
  }

  /** @param {string} character */
  expect(character) {
    if (this.text[this.at] !== character) this.fail(`expected ${JSON.stringify(character)}`);
    this.at += 1;
  }

  /** @param {number} depth @returns {string} the canonical text of the value read */
  value(depth) {
    if (depth > MAX_DEPTH) this.fail(`nested deeper than ${MAX_DEPTH} levels`);
    this.space();
    switch (this.text[this.at]) {
      case '{': return this.canonicalObject(depth);
      case '[': return this.canonicalArray(depth);
      case '"': return JSON.stringify(this.string());
      case 't': return this.word('true');
      case 'f': return this.word('false');
      case 'n': return this.word('null');
    }
    const number = this.take(NUMBER);
    if (number === null) this.fail('expected a JSON value');
    return canonicalNumber(number);
  }

  /** @param {string} word */
  word(word) {
    if (!this.text.startsWith(word, this.at)) this.fail(`expected ${word}`);
    this.at += word.length;
    return word;
  }

  /** The closing quote is found here; JSON.parse judges escapes and control characters, which takes no stack however long. */
  string() {
    const start = this.at;
    this.expect('"');
    while (this.at < this.text.length && this.text[this.at] !== '"') this.at += this.text[this.at] === '\\' ? 2 : 1;
    this.expect('"');
    try {
      return JSON.parse(this.text.slice(start, this.at));
    } catch {
      this.at = start;
      this.fail('expected a JSON string (an escape or control character in it is not legal)');
    }
  }

  /** Reads an object and hands each member's name to `member`, which reads the value. @param {(name: string) => void} member */
  object(member) {
    this.expect('{');
    this.space();
    if (this.text[this.at] !== '}') {
      for (;;) {
        this.space();
        const name = this.string();
        this.space();
        this.expect(':');
        this.space();
        member(name);
        this.space();
        if (this.text[this.at] !== ',') break;
        this.at += 1;
      }
    }
    this.expect('}');
  }

  /** @param {number} depth */
  canonicalObject(depth) {
    /** @type {Map<string, string>} */
    const members = new Map();
    this.object((name) => members.set(name, this.value(depth + 1)));
    const names = [...members.keys()].sort();
    return `{${names.map((name) => `${JSON.stringify(name)}:${members.get(name)}`).join(',')}}`;
  }

  /** @param {number} depth */
  canonicalArray(depth) {
    const items = [];
    this.expect('[');
    this.space();
    if (this.text[this.at] !== ']') {
      for (;;) {
        items.push(this.value(depth + 1));
        this.space();
        if (this.text[this.at] !== ',') break;
        this.at += 1;
      }
    }
    this.expect(']');
    return `[${items.join(',')}]`;
  }
}
