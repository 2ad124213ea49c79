/** How much of what is kept a row reads that the model wrote: the pages that promise most, up to a budget (Quest, 2406.10774). */
import { PAGE_TOKENS } from "../tensor/kv.js";
import type { ValueForm } from "./policy-values.js";

/** How heads choose what they read of what is kept. */
export interface PageReading {
  readonly kind: "quest";
  /** Most tokens that a row reads, rounded down to whole pages. */
  readonly tokens: number;
}

/** Pages that a row reads at most. */
export function pagesRead({ tokens }: PageReading): number {
  return Math.floor(tokens / PAGE_TOKENS);
}

/** Pages that must be left for a choice: the one that is being filled and another. */
export const LEAST_CHOICE = 2;

/** The value of `read=`. */
export const pageReading: ValueForm<PageReading> = {
  sign: "quest:N",
  needs: () => `quest:N with a whole number N of at least ${LEAST_CHOICE * PAGE_TOKENS}, such as quest:1024`,
  read(text) {
    const tokens = Number(/^quest:(\d{1,15})$/.exec(text)?.[1] ?? Number.NaN);
    return tokens >= LEAST_CHOICE * PAGE_TOKENS ? { kind: "quest", tokens } : undefined;
  },
};
