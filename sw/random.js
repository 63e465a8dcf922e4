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
    const bytes = randomBytes(10);
    bytes[0] = 0x70 | (bytes[0] & 0x0f);
    bytes[2] = 0x80 | (bytes[2] & 0x3f);
    const time = Math.floor(nowMs).toString(16).padStart(12, '0');
    return [time, ...Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0'))].join('').replace(/(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  },
};
