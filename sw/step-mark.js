// A poison op can end its worker, not just the core's instance: a loop that the browser kills, memory that runs out. So where the last drain ended abnormally,
// each step is preceded by a mark of the ops it is about to look at, and followed by word that it returned. A mark without it says that its step did not. When one
// range has done so twice it is halved, and again at each further time, until one op is alone; that one is quarantined at the fourth, and everything else goes. Pure;
// sw/turn.js stores what is said here.

/**
 * @typedef {object} StepMark
 * @property {number[]} seqs    the ops the step looks at: those whose rows, and those whose payloads it is given
 * @property {number} limit     how many ops a step may look at
 * @property {number} deaths    how often steps over these ops did not return
 * @property {boolean} [over]   the step returned
 */

/** So many steps over one range that did not return cast suspicion on it. A single one may have been anything: most workers are stopped for other reasons. */
const kDeaths = 2;
/** And so many convict an op that is alone: two come together by chance where workers are stopped every other second, and who is convicted waits for a person. */
const kDeathsAlone = 4;

/**
 * What the next drain does about the mark it finds.
 * @param {StepMark} mark @param {number} window  how many ops a step looks at when nothing is suspected
 * @returns {StepMark & {guilty: number[]}}  `guilty`: to be quarantined; several only where they cannot be divided, as an atomic group
 */
export function afterMark({ limit, seqs, deaths, over }, window) {
  if (!over && ++deaths >= kDeaths && seqs.length > 1 && limit > 1) {
    limit = Math.ceil(Math.min(seqs.length, limit) / 2);
    deaths = 1;   // what is known of the range is known of its halves
  }
  return deaths < kDeathsAlone ? { seqs, limit, deaths, guilty: [] } : { seqs: [], limit: window, deaths: 0, guilty: seqs };
}

/** The mark of the step that comes: where it looks at suspects again, of these only, with what is known against them. @param {number[]} seqs @param {StepMark} suspect @returns {StepMark} */
export function markOf(seqs, suspect) {
  const again = seqs.filter((seq) => suspect.seqs.includes(seq));
  return again.length > 0 ? { ...suspect, seqs: again } : { ...suspect, seqs, deaths: 0 };
}
