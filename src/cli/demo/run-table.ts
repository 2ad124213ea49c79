/** The policies side by side: the same table while they are measured and at the end. 76 columns, for any terminal. */
import { formatBytes, formatCount, formatPerplexity, formatSignificant } from "../figures.js";
import { type Column, tableLines } from "../table.js";
import type { PolicyRun } from "./policy-run.js";

const right = (header: string): Column => ({ header, align: "right" });

/**
 * A row for each run; lines without newline.
 * @param window tokens of the newer perplexity
 */
export function runTable(
  runs: readonly PolicyRun[],
  window: number,
  emphasise: (header: string) => string = (header) => header,
): string[] {
  const columns: Column[] = [
    { header: "policy", align: "left" },
    right("tokens"),
    right("perplexity"),
    right(`last ${formatCount(window)}`),
    right("ms/token"),
    right("kept"),
    right("cache"),
  ];
  const rows = runs.map((run) => cells(run, window));
  return tableLines(columns, rows, emphasise);
}

function cells(run: PolicyRun, window: number): string[] {
  const { measurement, name } = run;
  if (!measurement || measurement.tokens === 0)
    return [name, run.error === null ? "waiting" : "failed", "", "", "", "", ""];
  const { usage, recentRate } = measurement;
  const msPerToken =
    run.ending === undefined ? 1000 / (recentRate ?? Number.NaN) : (run.result?.msPerTokenEnd ?? Number.NaN);
  return [
    name,
    formatCount(measurement.tokens),
    formatPerplexity(measurement.perplexity),
    // The newest of the samples lie all over the text.
    run.plan.sampled ? "-" : formatPerplexity(measurement.perplexityOfLast(window)),
    formatSignificant(msPerToken),
    formatCount(usage?.kept ?? 0),
    formatBytes(usage?.cacheBytes ?? 0),
  ];
}
