// What a person in the field does, drawn from a seed: forms of several kinds, each edited several times, with mixed priority.
import { createRandom } from '../../../headless/random.mjs';

const kEntities = ['ASSESSMENT', 'RESPONSE', 'NOTE'];
const kPriorities = ['critical', 'high', 'normal', 'normal', 'low'];

/**
 * `count` edits over `entities` entities, every entity at least once. `fold` says how many of them may be folded into a later one.
 * @param {{count: number, entities: number, seed: number, fold?: number}} options
 */
export function makeEdits({ count, entities, seed, fold = 1 }) {
  const random = createRandom(seed, 'edits');
  return Array.from({ length: count }, (_, n) => {
    const which = n < entities ? n : random.integer(0, entities - 1);
    return {
      entity: kEntities[which % kEntities.length], entityId: `e${which}`,
      doc: { edit: n, title: `Visit ${which}`, severity: random.integer(1, 5), answers: Array.from({ length: 4 }, () => random.integer(0, 999)), note: 'Größe ≥ 4 — «ok»' },
      options: { priority: kPriorities[random.integer(0, kPriorities.length - 1)], coalesce: random.next() < fold },
    };
  });
}
