/** Registers every Tidegate element. Importing it twice is harmless. */
import { defineProgress, TidegateProgress } from './progress.js';

defineProgress();

export { TidegateProgress };
