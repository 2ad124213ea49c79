/** Command-line options of the benchmarks: parsed strictly, wrong ones end with a usage line and exit code 2. */
import { parseArgs } from "node:util";

/** Ends the process with a message for a wrong command line. */
export function usageError(message) {
  process.stderr.write(`${message}\n`);
  process.exit(2);
}

/**
 * @param {string} help printed for --help
 * @param {import("node:util").ParseArgsConfig["options"]} options beside --help and --json FILE
 */
export function readOptions(help, options) {
  let values;
  try {
    ({ values } = parseArgs({
      options: { help: { type: "boolean", short: "h" }, json: { type: "string" }, ...options },
    }));
  } catch (error) {
    usageError(`${error.message}\n\n${help}`);
  }
  if (values.help) {
    process.stdout.write(help);
    process.exit(0);
  }
  return values;
}

/** A whole number of at least `least`. */
export function wholeNumber(name, text, least = 1) {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < least) {
    usageError(`--${name}: expected a whole number from ${least} on, found '${text}'`);
  }
  return value;
}

/** Whole numbers between commas. */
export function wholeNumbers(name, text) {
  return text.split(",").map((part) => wholeNumber(name, part));
}
