/** Steps of a tokenizer.json: one, or sequences of them in any depth that a file may have. */
import { FormatError } from "../../util/errors.js";
import { type Fields, fieldsOf, listOf } from "../json-fields.js";

const DEEPEST = 32;
const MOST_STEPS = 1024;

/** The steps of a normalizer, pre-tokenizer, decoder or post-processor, sequences flattened. `list`: the field that holds a sequence. */
export function flattenSteps(
  value: unknown,
  list: "normalizers" | "pretokenizers" | "decoders" | "processors",
): readonly Fields[] {
  const steps: Fields[] = [];
  collect(value, list, steps, 0);
  return steps;
}

function collect(value: unknown, list: string, steps: Fields[], depth: number): void {
  if (value === undefined || value === null) return;
  const fields = fieldsOf(value, `tokenizer.json: ${list}`);
  if (fields.type !== "Sequence") {
    steps.push(fields);
    if (steps.length > MOST_STEPS) throw new FormatError(`tokenizer.json: more than ${MOST_STEPS} ${list}.`);
    return;
  }
  if (depth >= DEEPEST) throw new FormatError(`tokenizer.json: ${list} within ${list}, more than ${DEEPEST} deep.`);
  for (const step of listOf(fields[list], `tokenizer.json: ${list}`)) collect(step, list, steps, depth + 1);
}
