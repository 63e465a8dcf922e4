// Sync as a background process: the hands on it, what it did, and what it wrote down. The calls of the client under the names of a process.

/** @import { Background, Client } from './index.d.ts' */

/** @param {Client} client @returns {Background} */
export function backgroundOf({ start, pause, resume, cancelSync, metrics, history }) {
  const list = async (/** @type {{after?: string, limit?: number}} */ { after, limit } = {}) => {
    const past = (await history({ prefix: 'session/', after, limit })).map(({ value }) => value);
    const { current } = await metrics();
    return current?.startTime > 0 && past.length < (limit ?? Infinity) ? [...past, current] : past;
  };

  return {
    start, pause, resume, terminate: cancelSync, list,

    logs: async (sessionId) => {
      const entries = [];
      for (let after, page; (page = await history({ prefix: 'audit/', after })).length > 0;) {
        entries.push(...page);
        after = page.at(-1)?.key;
      }
      if (sessionId === undefined) return entries;
      const session = (await list()).find((one) => one.sessionId === sessionId);
      return entries.filter(({ value }) => session && value.at >= session.startTime && value.at <= (session.endTime ?? Infinity));
    },
  };
}
