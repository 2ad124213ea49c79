/** Types of goals.mjs, for its tests. */
export interface Facts {
  readonly bits?: number;
  readonly forced?: string;
  readonly processor?: { readonly features?: readonly string[] };
}
export interface Judged {
  readonly label: string;
  readonly part: string;
  readonly value: number | undefined;
  readonly must: number | undefined;
  readonly aim: number | undefined;
  readonly verdict: string;
  readonly disturbed: boolean;
}
export const GOAL_MISSED: string;
export const GOALS: readonly {
  readonly label: string;
  readonly part: string;
  readonly must?: number;
  readonly aim?: number;
}[];
export function kindOf(facts: Facts | undefined): "table" | "bits" | "none";
export function judge(figures: Readonly<Record<string, object>>): Judged[];
