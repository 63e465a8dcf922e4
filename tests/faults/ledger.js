// A server that does every POST it gets and writes it down. It knows Idempotency-Key, as our reference server does: who sends none gets no help.

export function createLedger() {
  /** @type {{op: string, body: string}[]} */
  const effects = [];
  const known = new Set();
  return {
    effects,
    /** @param {import('./gate.js').Asked} asked @returns {Promise<import('./gate.js').Answer>} */
    async upstream({ url, headers, body }) {
      const op = new URL(url, 'http://ledger').searchParams.get('op') ?? '';
      const key = headers['idempotency-key'];
      if (key === undefined || !known.has(key)) effects.push({ op, body: body.toString() });
      if (key !== undefined) known.add(key);
      return { status: 201, headers: { 'content-type': 'application/json' }, body: '{}' };
    },
  };
}
