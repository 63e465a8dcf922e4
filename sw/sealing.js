// Sealing: AES-GCM over what a record says, HMAC over the names in its key. A seal binds the place as well (as associated data): a record that was moved to another
// op, entity or owner does not open there. Nonces are 96 random bits, never a counter: a worker that dies before it stored a counter would use it twice. One key
// seals at most 2^32 records so (NIST SP 800-38D, section 8.3); an outbox that seals ten records per op reaches that after 400 million ops.
import { StoreError, TidegateError } from './errors.js';
import { randomBytes, subtle } from './random.js';

/** @import { EncryptionKeys, KeyProvider } from './encryption.d.ts' */

/** The schema of what is sealed (sw/records.js), which every seal is bound to. */
const kSchema = 1;
const kNonceBytes = 12;
const kNonceChars = 16;   // in base64
/** Names are 128 bits of HMAC-SHA-256 in base64url. */
const kNameBytes = 16;
/** How much of an owner's name says which HMAC key made it. */
const kTagChars = 5;
/** Names kept at hand; beyond that all are made anew. */
const kNamesKept = 20_000;
const kBase64 = /^[A-Za-z0-9+/]+={0,2}$/;
/** A text of up to so many bytes is opened in a room of its own kind. */
const kRoomBytes = 0x4000;
const kKeyId = /^[A-Za-z0-9_-]{1,32}$/;

/** Why a record cannot be opened. @typedef {'key-missing' | 'altered'} Cause */

export class Unreadable extends Error {
  /** @param {Cause} cause */
  constructor(cause) {
    super(cause === 'key-missing' ? 'It is sealed under a key that is not here' : 'Its record was altered, or belongs elsewhere');
    this.why = cause;
  }
}

/** @typedef {{id: string, key: CryptoKey, all: Map<string, CryptoKey>, names: CryptoKey, tag: string}} Ring */

/** The keys as they are known, and what they do. */
export class Keyring {
  /** @type {Promise<Ring> | null} */
  #ring = null;
  /** @type {Map<string, Promise<unknown>>} keys that a record names and that were not here: the provider is asked once for each */
  #asked = new Map();
  /** @type {Map<string, Promise<string>>} */
  #names = new Map();

  /** @param {KeyProvider} provider */
  constructor(provider) {
    this.provider = provider;
  }

  /** The keys. The provider is asked once, and again after it failed. @returns {Promise<Ring>} throws StoreError "locked" */
  ring() {
    if (!this.#ring) {
      const asking = this.#ask();
      this.#ring = asking;
      asking.catch(() => { if (this.#ring === asking) this.#ring = null; });
    }
    return this.#ring;
  }

  async #ask() {
    let given;
    try {
      given = await this.provider();
    } catch (error) {
      throw new StoreError('locked', `encryption: the keys cannot be had: ${/** @type {any} */ (error)?.message ?? error}`, error);
    }
    const { seal, open = [], names } = checkKeys(given);
    this.#names.clear();
    const ring = { id: seal.id, key: seal.key, all: new Map([...open, seal].map(({ id, key }) => [id, key])), names, tag: '' };
    ring.tag = (await nameOf(names, '')).slice(0, kTagChars);
    return ring;
  }

  /** Better the keys we have than none. */
  #askAgain() {
    const before = this.ring();
    this.#ring = this.#ask().catch(() => before);
    return this.#ring;
  }

  /** Asks the provider anew where a record named a key it did not have. @returns {Promise<boolean>} whether there are others now */
  async refresh() {
    if (this.#asked.size === 0) return false;
    this.#asked.clear();
    const before = await this.ids();
    await this.#askAgain();
    return (await this.ids()) !== before;
  }

  /** @param {string} id @returns {Promise<CryptoKey>} throws Unreadable */
  async #key(id) {
    const held = (await this.ring()).all.get(id);
    if (held) return held;
    let asked = this.#asked.get(id);
    if (!asked) this.#asked.set(id, (asked = this.#askAgain()));
    await asked;
    const key = (await this.ring()).all.get(id);
    if (!key) throw new Unreadable('key-missing');
    return key;
  }

  /** Which keys open records now. */
  async ids() {
    return [...(await this.ring()).all.keys()].sort().join();
  }

  /** @param {Ring} ring @param {Uint8Array} bytes @param {string[]} place */
  async seal(ring, bytes, place) {
    const nonce = randomBytes(kNonceBytes);
    const text = await subtle().encrypt({ name: 'AES-GCM', iv: nonce, additionalData: bound(place) }, ring.key, /** @type {BufferSource} */ (bytes));
    const sealed = new Uint8Array(kNonceBytes + text.byteLength);
    sealed.set(nonce);
    sealed.set(new Uint8Array(text), kNonceBytes);
    return sealed;
  }

  /** @param {string} id @param {Uint8Array} sealed @param {string[]} place @returns {Promise<Uint8Array>} throws Unreadable */
  async open(id, sealed, place) {
    const key = await this.#key(id);
    return new Uint8Array(await decrypt(key, sealed.subarray(0, kNonceBytes), sealed.subarray(kNonceBytes), place));
  }

  /** A value as text: the key's name, a dot, base64. Nothing after the dot: there is none. @param {Ring} ring @param {unknown} value @param {string[]} place */
  async sealText(ring, value, place) {
    if (value === undefined) return `${ring.id}.`;
    return `${ring.id}.${toText(await this.seal(ring, encoder.encode(JSON.stringify(value)), place))}`;
  }

  /** @param {string} text @param {string[]} place @returns {Promise<any>} throws Unreadable */
  async openText(text, place) {
    const [id, sealed = ' '] = text.split('.');
    if (sealed === '') return undefined;
    if (sealed.length % 4 !== 0 || !kBase64.test(sealed)) throw new Unreadable('altered');
    const key = await this.#key(id);   // before the rooms are filled: nothing is awaited between that and the cipher
    const opened = await decrypt(key, fromText(nonceRoom(kNonceBytes), sealed, 0), fromText(textRoom(bytesIn(sealed) - kNonceBytes), sealed, kNonceChars), place);
    const value = JSON.parse(decoder.decode(opened));
    /** @type {any} */ (opened).transfer?.(0);   // a browser keeps the buffer as well, so what is in it is let go
    return value;
  }

  /** What stands for a lane, or for the first parts of one, in a key. @param {string} lane */
  async laneKey(lane) {
    const [, owner, entity = '', id = ''] = /** @type {RegExpExecArray} */ (/^([^:]*):?(?:([^/]*)\/)?(.*)$/s.exec(lane));   // whatever lies in a row that was damaged
    const first = `${await this.ownerKey(owner)}:`;
    if (lane.length === owner.length + 1) return first;
    const second = `${first}${await this.#name(`${owner}:${entity}`)}/`;
    return id === '' ? second : second + await this.#name(lane);
  }

  /** @param {string} owner  as it stands in a lane */
  async ownerKey(owner) {
    const { tag } = await this.ring();
    return tag + await this.#name(`${owner}:`);
  }

  /** Whether the names in a key were made with our key. @param {string} key */
  async ours(key) {
    return key.startsWith((await this.ring()).tag);
  }

  /** @param {string} text */
  async #name(text) {
    const { names } = await this.ring();
    let name = this.#names.get(text);
    if (!name) {
      if (this.#names.size >= kNamesKept) this.#names.clear();
      this.#names.set(text, (name = nameOf(names, text)));
    }
    return name;
  }
}

/** @param {CryptoKey} key @param {string} text */
async function nameOf(key, text) {
  const mac = new Uint8Array(await subtle().sign('HMAC', key, encoder.encode(text)));
  return toText(mac.subarray(0, kNameBytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

/**
 * A cipher copies what it is given before it answers (Web Cryptography API, "a copy of the bytes"), so what is read for one may lie where the last one's lay. It should: a browser keeps
 * every array that it was once shown until its next full collection, and a long queue is a hundred thousand of them.
 * @returns {(length: number) => Uint8Array} so many bytes
 */
function openRoom() {
  const room = new Uint8Array(kRoomBytes);
  /** @type {Map<number, Uint8Array>} */
  const views = new Map();
  return (length) => {
    let view = views.get(length);
    if (!view) {
      if (length > kRoomBytes) return new Uint8Array(length);
      views.set(length, (view = room.subarray(0, length)));
    }
    return view;
  };
}
const nonceRoom = openRoom(), textRoom = openRoom(), placeRoom = openRoom();
/** The value of each digit of base64, by its code. */
const kDigits = new Uint8Array(128);
[...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'].forEach((char, value) => { kDigits[char.charCodeAt(0)] = value; });
const encoder = new TextEncoder(), decoder = new TextDecoder();

/** @param {CryptoKey} key @param {Uint8Array} nonce @param {Uint8Array} text @param {string[]} place @returns {Promise<ArrayBuffer>} throws Unreadable */
async function decrypt(key, nonce, text, place) {
  try {
    return await subtle().decrypt({ name: 'AES-GCM', iv: /** @type {BufferSource} */ (nonce), additionalData: bound(place) }, key, /** @type {BufferSource} */ (text));
  } catch {
    throw new Unreadable('altered');   // OperationError is all that a decrypt says
  }
}

/** The associated data: schema, and the place. @param {string[]} place @returns {BufferSource} */
function bound(place) {
  const text = JSON.stringify(['tidegate', kSchema, ...place]), room = placeRoom(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 127) return /** @type {BufferSource} */ (encoder.encode(text));
    room[i] = code;
  }
  return /** @type {BufferSource} */ (room);
}

/** @param {Uint8Array} bytes */
function toText(bytes) {
  let text = '';
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}

/** How many bytes a text of base64 stands for; not less than a nonce. @param {string} text */
const bytesIn = (text) => Math.max(kNonceBytes, (text.replace(/=+$/, '').length * 3) >> 2);

/**
 * Base64 from a place of the text on, until the room is full. Not atob(): a browser keeps the texts that it was shown as well.
 * @param {Uint8Array} room @param {string} text @param {number} at
 */
function fromText(room, text, at) {
  for (let i = 0; i < room.length; i += 3, at += 4) {
    const bits = (digitAt(text, at) << 18) | (digitAt(text, at + 1) << 12) | (digitAt(text, at + 2) << 6) | digitAt(text, at + 3);
    room[i] = bits >> 16;
    room[i + 1] = bits >> 8;   // what lies beyond the room is not written
    room[i + 2] = bits;
  }
  return room;
}
/** @param {string} text @param {number} at */
const digitAt = (text, at) => kDigits[text.charCodeAt(at)];

/** @param {any} given @returns {EncryptionKeys} throws TidegateError */
function checkKeys(given) {
  const { seal, open = [], names } = given ?? {};
  for (const [path, one] of [['seal', seal], ...(Array.isArray(open) ? open : []).map((one, i) => [`open/${i}`, one])]) {
    if (typeof one?.id !== 'string' || !kKeyId.test(one.id)) throw wrong(`${path}/id`, '1 to 32 letters, digits, "_" or "-"');
    if (one.key?.algorithm?.name !== 'AES-GCM' || !one.key.usages.includes('decrypt')) throw wrong(`${path}/key`, 'a CryptoKey for AES-GCM, to encrypt and decrypt');
  }
  if (names?.algorithm?.name !== 'HMAC' || !names.usages.includes('sign')) throw wrong('names', 'a CryptoKey for HMAC, to sign');
  return given;
}

/** @param {string} path @param {string} expected */
const wrong = (path, expected) => new TidegateError('wrong-type', `/keys/${path}`, `encryption, keys/${path}: expected ${expected}`);
