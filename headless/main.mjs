// The headless client, started by `npm start -- --headless …`. docs/headless.md is the manual.
//
// Exit codes: 0 everything arrived, once, and both sides agree; 1 it did not, or an asked fault never happened; 2 the command
// line or the input cannot be used.

import { writeFile } from 'node:fs/promises';

import { InputError } from './input.mjs';
import { parseOptions, USAGE, UsageError } from './options.mjs';
import { run } from './run.mjs';
import { formatTable } from './table.mjs';

const EXIT_FAILED = 1;
const EXIT_UNUSABLE = 2;
/** Findings printed; the rest is counted. */
const SHOWN_PROBLEMS = 20;

/** @param {string[]} args @returns {Promise<number>} the exit code */
async function main(args) {
  if (args.includes('--help')) {
    console.log(USAGE);
    return 0;
  }
  const options = parseOptions(args);
  const { result, report, problems, entities, bytesBack } = await run(options);

  console.log(`tidegate headless: ${options.inputs.length === 1 ? options.inputs[0] : `${options.inputs.length} files`}, seed ${options.seed}\n`);
  console.log(formatTable(result, { entities, bytesBack, report }));
  if (problems.length > 0) {
    console.log(`\n${problems.slice(0, SHOWN_PROBLEMS).map((line) => `  ${line}`).join('\n')}`);
    if (problems.length > SHOWN_PROBLEMS) console.log(`  … and ${problems.length - SHOWN_PROBLEMS} more`);
  }
  const line = JSON.stringify(result);
  if (options.json !== undefined) await writeFile(options.json, `${line}\n`);
  console.log(`\n${line}`);
  return problems.length === 0 ? 0 : EXIT_FAILED;
}

// Should everything end without a word, that is a failure too.
process.exitCode = EXIT_FAILED;
main(process.argv.slice(2)).then((code) => { process.exitCode = code; }, (error) => {
  if (error instanceof UsageError) console.error(`tidegate: ${error.message}\n\n${USAGE}`);
  else if (error instanceof InputError || error.refused) console.error(`tidegate: ${error.message}`);
  else console.error(`tidegate: the run did not come to an end: ${error.stack ?? error}`);
  process.exitCode = error instanceof UsageError || error instanceof InputError || error.refused ? EXIT_UNUSABLE : EXIT_FAILED;
});
