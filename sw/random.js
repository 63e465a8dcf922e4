// The only file that draws random numbers. Ids and idempotency keys come from here, so they come from the platform's cryptographic source.

/** WebCrypto, for the entries that encrypt. */
export const subtle = () => crypto.subtle;

/** @param {number} count */
export const randomBytes = (count) => crypto.getRandomValues(new Uint8Array(count));

/** @typedef {{seed(): number, uuid(nowMs: number): string}} Random */

/** @type {Random} */
export const random = {
  /** A fresh whole number below 2^53: the seed of one step of the core. */
  seed() {
    const [high, low] = crypto.getRandomValues(new Uint32Array(2));
    return (high & 0x1fffff) * 2 ** 32 + low;
  },

  /** UUID version 7 (RFC 9562, section 5.7): 48 bits of time, 74 random bits. Order within a millisecond is left to the store's sequence. */
  uuid(nowMs) {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    let time = Math.floor(nowMs);
    for (let i = 5; i >= 0; i--) {
      bytes[i] = time % 256;
      time = Math.floor(time / 256);
    }
    bytes[6] = 0x70 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  },
};
