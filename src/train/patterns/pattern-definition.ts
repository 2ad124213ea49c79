/** What a pattern is, and an entry of the registry in pattern.ts. */
import type { HeadSets, Visibility } from "../../context/head-sets.js";

export interface AttentionPattern extends HeadSets<Visibility> {
  readonly text: string;
}

/** Makes a pattern of the numbers behind its name. */
export interface PatternDefinition {
  readonly name: string;
  readonly help: string;
  /** How many numbers there must be. */
  readonly numbers: number;
  create(numbers: readonly number[], text: string): AttentionPattern;
}
