// A Wasm module as what rewrites its code needs it: sections, functions, and where instructions name functions and locals. What each instruction is followed by: WebAssembly
// Core Specification 2.0, section 5.4.

export const kSection = { type: 1, import: 2, function: 3, export: 7, start: 8, element: 9, code: 10 };
/** By opcode: l: a LEB128 number, f: that of a function, n: that of a local, b: a byte, 4 and 8: so many bytes, t: a vector of labels and one more, v: a vector of types. All others have none. */
const kImmediates = new Map([
  ...[0x02, 0x03, 0x04, 0x0c, 0x0d, 0x23, 0x24, 0x25, 0x26, 0x41, 0x42, 0xd0].map((code) => /** @type {[number, string]} */ ([code, 'l'])),
  [0x0e, 't'], [0x10, 'f'], [0x11, 'll'], [0x1c, 'v'], [0x20, 'n'], [0x21, 'n'], [0x22, 'n'], [0x3f, 'b'], [0x40, 'b'], [0x43, '4'], [0x44, '8'], [0xd2, 'f'],
  ...Array.from({ length: 0x3e - 0x28 + 1 }, (_, i) => /** @type {[number, string]} */ ([0x28 + i, 'll'])),
]);
/** The same behind the prefix 0xfc. */
const kAfterPrefix = ['', '', '', '', '', '', '', '', 'lb', 'l', 'bb', 'b', 'll', 'l', 'll', 'l', 'l', 'l'];
const kIsKnown = (/** @type {number} */ code) => kImmediates.has(code) || code <= 0x01 || [0x05, 0x0b, 0x0f, 0x1a, 0x1b, 0xd1].includes(code) || (code >= 0x45 && code <= 0xc4);

export class Reader {
  /** @param {Uint8Array} bytes @param {number} at */
  constructor(bytes, at) {
    this.bytes = bytes;
    this.at = at;
  }

  byte() {
    return this.bytes[this.at++];
  }

  /** Of 32 bits; longer ones are passed over as well. */
  number() {
    let value = 0, byte, shift = 0;
    do {
      byte = this.byte();
      value += (byte & 127) * 2 ** shift;
      shift += 7;
    } while (byte & 128);
    return value;
  }

  skip() {
    const size = this.number();
    this.at += size;
  }
}

/** @param {Uint8Array} module @returns {{id: number, start: number, from: number, to: number}[]} */
export function sectionsOf(module) {
  const found = [], reader = new Reader(module, 8);
  while (reader.at < module.length) {
    const start = reader.at, id = reader.byte(), size = reader.number();
    found.push({ id, start, from: reader.at, to: reader.at + size });
    reader.at += size;
  }
  return found;
}

/** Reads the section of that id; at the module's end where it has none. @param {Uint8Array} module @param {number} id */
export const readerOf = (module, id) => new Reader(module, sectionsOf(module).find((section) => section.id === id)?.from ?? module.length);

/** The entries of a vector, each passed over by `skip`. @param {Reader} reader @param {(reader: Reader) => void} skip @returns {[number, number][]} from and to */
export function entries(reader, skip) {
  return Array.from({ length: reader.number() }, () => {
    const from = reader.at;
    skip(reader);
    return [from, reader.at];
  });
}

/**
 * A function of the code section. groups: how many locals of one type follow one another, beside its parameters; functions and locals: where its instructions name one.
 * @param {Uint8Array} module @param {number} from @param {number} to
 * @returns {{from: number, to: number, groups: number[], functions: number[], locals: number[]}} throws on what it does not know
 */
function codeAt(module, from, to) {
  const reader = new Reader(module, from), groups = [], functions = [], locals = [];
  reader.number();   // its size
  for (let left = reader.number(); left > 0; left--) { groups.push(reader.number()); reader.byte(); }
  while (reader.at < to) {
    const code = reader.byte();
    const kinds = code === 0xfc ? kAfterPrefix[reader.number()] : kIsKnown(code) ? kImmediates.get(code) ?? '' : undefined;
    if (kinds === undefined) throw new Error(`an instruction that this does not know: 0x${code.toString(16)} at ${reader.at - 1}`);
    for (const kind of kinds) {
      if (kind === 'f') functions.push(reader.at);
      if (kind === 'n') locals.push(reader.at);
      if (kind === 'l' || kind === 'f' || kind === 'n') reader.number();
      else if (kind === 't') { for (let left = reader.number() + 1; left > 0; left--) reader.number(); }
      else if (kind === 'v') { for (let left = reader.number(); left > 0; left--) reader.byte(); }
      else reader.at += kind === 'b' ? 1 : Number(kind);
    }
  }
  if (reader.at !== to) throw new Error(`a function that ends at ${reader.at} instead of ${to}`);
  return { from, to, groups, functions, locals };
}

/** The functions of a module that are not imported. @param {Uint8Array} module */
export const codesOf = (module) => entries(readerOf(module, kSection.code), (reader) => { reader.skip(); }).map(([from, to]) => codeAt(module, from, to));
