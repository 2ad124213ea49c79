/** Types of evidence.mjs, for its tests. */
import type { Judged } from "./goals.mjs";
export interface MachineFacts {
  readonly processor: {
    readonly name: string;
    readonly cores: number;
    readonly generation?: string;
    readonly features?: readonly string[];
  };
  readonly node: string;
  readonly forced?: string;
  readonly readLimit?: number;
}
export interface Column {
  readonly date: string;
  readonly cores: number;
  readonly node: string;
  readonly readLimit?: number;
  readonly values: Readonly<Record<string, Partial<Judged>>>;
}
export function kindName(facts: MachineFacts): string;
export function withRun(
  results: Readonly<Record<string, Column>>,
  facts: MachineFacts,
  goals: readonly Judged[],
  date: string,
): Record<string, Column>;
export function evidenceTable(
  results: Readonly<Record<string, Column>>,
  labels: readonly string[],
  missed: string,
): string;
export function withTable(
  page: string,
  table: string,
  marks?: { readonly begin: string; readonly end: string },
): string;
