/**
 * What a query sees while a model learns: a function from its place in the sample to ranges of earlier places, for each set
 * of KV heads. Unlike a policy of inference a pattern frees nothing, so what was invisible may be seen again by later
 * queries. Distances count as in the text.
 */
import type { ContextPolicy } from "../../context/policy.js";
import { parsePolicy } from "../../context/policy-text.js";
import { ArgumentError, PolicyError } from "../../util/errors.js";
import type { AttentionPattern, PatternDefinition } from "./pattern-definition.js";
import { shiftedGroups } from "./shifted-groups.js";

const DEFINITIONS: readonly PatternDefinition[] = [shiftedGroups];

/** The texts that a pattern may have, one a line. */
export function patternHelp(): string {
  return [
    "full | recent:N | sinks:S,recent:N   as the policies of inference",
    "bigbird:N,seed=M   blocks of N, a multiple of 16: as the policy of inference (BigBird, causal)",
    ...DEFINITIONS.map(({ help }) => help),
  ].join("\n");
}

/** Reads `full`, `recent:256`, `sinks:4,recent:252`, `bigbird:64,seed=1`, `shifted:256`. @throws ArgumentError */
export function parsePattern(text: string): AttentionPattern {
  const [name, ...rest] = text.trim().split(":");
  const definition = DEFINITIONS.find((candidate) => candidate.name === name);
  if (!definition) return policyPattern(text);
  const numbers = rest.join(":").split(",").map(Number);
  if (numbers.length === definition.numbers && numbers.every((n) => Number.isSafeInteger(n) && n > 0)) {
    return definition.create(numbers, text.trim());
  }
  throw new ArgumentError(`Expected a pattern of the form "${definition.help.split("  ")[0]}"; found "${text}".`);
}

function policyPattern(text: string): AttentionPattern {
  const policy = readPolicy(text);
  if (policy.recompute) {
    throw new ArgumentError(`"${text}" is a way to run a model; to train one with a window write "recent:N".`);
  }
  if (policy.wholePrompts) {
    throw new ArgumentError(`"${text}" is a way to run a model; to train one that sees all of a sample write "full".`);
  }
  if (policy.reading) {
    throw new ArgumentError(`"${text}": while a model learns, it reads all that it sees; leave read= and dense= out.`);
  }
  if (/distance\s*=/.test(text)) {
    throw new ArgumentError(`"${text}": while a model learns, distances count as in the text; leave distance= out.`);
  }
  return policy;
}

function readPolicy(text: string): ContextPolicy {
  try {
    return parsePolicy(text, { gates: new Map() });
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    throw new ArgumentError(`Cannot read the attention pattern "${text}". Expected one of:\n${patternHelp()}`);
  }
}
