/** Patterns of tokenizer.json's steps, {"String": ...} or {"Regex": ...}, and what a step does with their matches. */
import { FormatError, UnsupportedError } from "../../util/errors.js";
import { isFields, nameOf } from "../json-fields.js";
import { compileExpression, compileText } from "./expression.js";
import type { Matcher } from "./expression-program.js";

/** A stretch of a text, matched or between matches. */
export interface Stretch {
  readonly start: number;
  readonly end: number;
  readonly matched: boolean;
}

/** @throws FormatError for broken patterns, UnsupportedError for other kinds */
export function patternOf(value: unknown, step: string): Matcher {
  if (isFields(value)) {
    if (typeof value.String === "string") return compileText(value.String);
    if (typeof value.Regex === "string") return compileExpression(value.Regex);
    throw new UnsupportedError(
      `tokenizer.json: ${step} has a pattern of the kind "${Object.keys(value)[0]}"; String and Regex are supported.`,
    );
  }
  throw new FormatError(`tokenizer.json: ${step} needs a pattern; found ${nameOf(value)}.`);
}

/** The whole text, cut into matches and what lies between them. */
export function stretches(matcher: Matcher, text: string, check?: () => void): Stretch[] {
  const all: Stretch[] = [];
  let last = 0;
  for (const [start, end] of matcher.matches(text, check)) {
    if (start > last) all.push({ start: last, end: start, matched: false });
    all.push({ start, end, matched: true });
    last = end;
  }
  if (last < text.length) all.push({ start: last, end: text.length, matched: false });
  return all;
}

const BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"] as const;
export type Behavior = (typeof BEHAVIORS)[number];

/** @throws UnsupportedError for others */
export function behaviorOf(value: unknown, step: string): Behavior {
  const known = BEHAVIORS.find((name) => name === value);
  if (known) return known;
  throw new UnsupportedError(
    `tokenizer.json: ${step} has the behavior ${JSON.stringify(value)}; ${BEHAVIORS.join(", ")} are supported.`,
  );
}

/** The words that stretches become; empty ones are none. */
export function arrange(all: readonly Stretch[], behavior: Behavior): readonly Stretch[] {
  switch (behavior) {
    case "Isolated":
      return all.filter(notEmpty);
    case "Removed":
      return all.filter((stretch) => !stretch.matched && notEmpty(stretch));
    case "Contiguous":
      return merged(all, (before, stretch) => before.matched === stretch.matched).filter(notEmpty);
    case "MergedWithPrevious":
      return merged(all, (before, stretch) => stretch.matched && !before.matched).filter(notEmpty);
    case "MergedWithNext":
      return merged(all, (before, stretch) => before.matched && !stretch.matched).filter(notEmpty);
  }
}

const notEmpty = ({ start, end }: Stretch): boolean => end > start;

/** Neighbours made one where `joins` says so of the original stretches. */
function merged(all: readonly Stretch[], joins: (before: Stretch, stretch: Stretch) => boolean): Stretch[] {
  const words: Stretch[] = [];
  all.forEach((stretch, i) => {
    const word = words.at(-1);
    if (word && joins(all[i - 1], stretch)) words[words.length - 1] = { ...word, end: stretch.end };
    else words.push(stretch);
  });
  return words;
}
