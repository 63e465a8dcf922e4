// node tests/js/histories/main.js --from 1 --count 50 [--hunt N] [--off crash,loss] [--trace]: runs histories of the real shell, as tg_sim runs those of its model. The last line is
// the result as JSON. With --hunt N it ends at the first violation of invariant N and says nothing of others.
import { History } from './history.js';

/** One history in so many runs twice: it has to make the same plans. */
const kTwice = 16;

/** @param {{from: number, count: number, hunt?: number, off?: string[], trace?: boolean, say?: (line: string) => void}} options */
export async function runHistories({ from, count, hunt = 0, off = [], trace = false, say = console.log }) {
  const result = { seeds: 0, violations: 0, byInvariant: /** @type {Record<string, number>} */ ({}), seconds: 0, hash: 0, events: /** @type {Record<string, number>} */ ({}) };
  const started = performance.now();
  for (let seed = from; seed < from + count; seed++) {
    const { violation, counts, classes, hash } = await new History(seed, { off, trace }).run();
    result.seeds += 1;
    result.hash = (Math.imul(result.hash, 31) + hash) >>> 0;
    for (const [name, times] of Object.entries(counts)) result.events[name] = (result.events[name] ?? 0) + times;
    let found = violation;
    if (!found && (hunt === 16 || (hunt === 0 && seed % kTwice === 0)) && (await new History(seed, { off }).run()).hash !== hash) found = { invariant: 16, text: 'the same history made other plans the second time', atMs: 0 };
    if (!found || (hunt && found.invariant !== hunt)) continue;
    result.violations += 1;
    result.byInvariant[found.invariant] = (result.byInvariant[found.invariant] ?? 0) + 1;
    say(`seed ${seed}: invariant ${found.invariant}: ${found.text} (at ${Math.round(found.atMs / 1000)} s, faults ${classes.join(',')})`);
    if (hunt) break;
  }
  result.seconds = (performance.now() - started) / 1000;
  return result;
}

if (import.meta.url === `file://${process.argv[1]}`) {
  const args = process.argv.slice(2);
  const option = (/** @type {string} */ name, /** @type {string} */ otherwise) => (args.includes(name) ? args[args.indexOf(name) + 1] : otherwise);
  const result = await runHistories({
    from: Number(option('--from', '1')), count: Number(option('--count', '20')), hunt: Number(option('--hunt', '0')), off: option('--off', '').split(',').filter(Boolean),
    trace: args.includes('--trace'),
  });
  console.log(JSON.stringify(result));
  process.exit(result.violations > 0 ? 1 : 0);
}
