// What the runner prints for people. The last line, the JSON, is for programs.

const number = new Intl.NumberFormat('en-US');

/**
 * @param {import('./run.mjs').Result} result
 * @param {{entities: number, bytesBack: number, report: import('./checker.mjs').Report}} more
 */
export function formatTable(result, { entities, bytesBack, report }) {
  const { ops, bytes_naive: naive, bytes_sent: sent } = result;
  /** @type {[string, string][]} */
  const rows = [
    ['mode', result.mode],
    ['versions saved', `${number.format(ops)} of ${number.format(entities)} entities`],
    ['operations sent', number.format(result.sent_ops)],
    ['operations folded', number.format(report.folded)],
    ['requests', `${number.format(result.requests)} (${percent(result.requests, ops)} of versions)`],
    ['bytes, naive', number.format(naive)],
    ['bytes, sent', `${number.format(sent)} (${percent(sent, naive)} of naive)`],
    ['bytes, answered', number.format(bytesBack)],
    ['conflicts', number.format(result.conflicts)],
    ['dead letters', number.format(report.dead)],
    ...Object.entries(result.faults).map(([fault, times]) => /** @type {[string, string]} */ ([`fault: ${FAULT_NAMES[fault] ?? fault}`, `${times} times`])),
    ['lost', number.format(result.lost)],
    ['duplicated', number.format(result.duplicated)],
    ['converged', result.converged ? 'yes' : 'NO'],
    ['seconds', result.seconds.toFixed(1)],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`).join('\n');
}

/** @type {Record<string, string>} */
const FAULT_NAMES = {
  reset: 'connection reset',
  500: 'answer 500',
  kill: 'client killed in flight',
  kill_saving: 'client killed saving',
  kill_server: 'server killed',
  offline: 'line cut',
};

/** @param {number} part @param {number} whole */
function percent(part, whole) {
  return whole === 0 ? '–' : `${((100 * part) / whole).toFixed(1)} %`;
}
