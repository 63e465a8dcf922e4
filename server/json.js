/**
 * JSON as bytes. Texts are checked, never re-serialised: 9007199254740993 and 1.0 leave the server as they came.
 */
import { isUtf8 } from 'node:buffer';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;

/**
 * Says why bytes are not one JSON text nested at most `maxDepth` deep; null when they are. The depth is counted before anything recursive sees them.
 * @param {Buffer} bytes
 * @param {number} maxDepth
 * @returns {string | null}
 */
export function jsonFault(bytes, maxDepth) {
  if (!isUtf8(bytes)) return 'the body is not UTF-8';
  if (depthOf(bytes) > maxDepth) return `the body is nested deeper than ${maxDepth} levels`;
  try {
    JSON.parse(bytes.toString('utf8'));
    return null;
  } catch (error) {
    return `the body is not JSON: ${/** @type {Error} */ (error).message}`;
  }
}

/**
 * Greatest nesting of brackets outside strings. In broken JSON the number means nothing, which does no harm: the parser refuses it next.
 * @param {Buffer} bytes
 * @returns {number}
 */
function depthOf(bytes) {
  let depth = 0;
  let deepest = 0;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      for (at += 1; at < bytes.length && bytes[at] !== QUOTE; at += 1) {
        if (bytes[at] === BACKSLASH) at += 1;
      }
    } else if (byte === 0x7b || byte === 0x5b) {
      depth += 1;
      if (depth > deepest) deepest = depth;
    } else if (byte === 0x7d || byte === 0x5d) {
      depth -= 1;
    }
  }
  return deepest;
}

/**
 * The same JSON text on one line, as the batch frame wants it. Legal JSON has raw line breaks only between tokens, so a space says the same.
 * @param {Buffer} bytes
 * @returns {Buffer} the argument itself when there was nothing to replace
 */
export function onOneLine(bytes) {
  if (!bytes.includes(LF) && !bytes.includes(CR)) return bytes;
  const line = Buffer.from(bytes);
  for (let at = 0; at < line.length; at += 1) {
    if (line[at] === LF || line[at] === CR) line[at] = SPACE;
  }
  return line;
}

/**
 * Is this a media type whose bodies are JSON (RFC 6839: the +json suffix counts)?
 * @param {string} contentType
 * @returns {boolean}
 */
export function isJsonType(contentType) {
  const type = mediaType(contentType);
  return type === 'application/json' || type.endsWith('+json');
}

/**
 * The media type without parameters, lower case.
 * @param {string} contentType
 * @returns {string}
 */
export function mediaType(contentType) {
  return contentType.split(';', 1)[0].trim().toLowerCase();
}
