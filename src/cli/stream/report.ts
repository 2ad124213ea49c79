/** The results of `sluice stream` side by side: a table for people, JSON (docs/stream-json.md) for programs. */
import type { ModelInfo } from "../../engine/api.js";
import { groupText } from "../cache-group.js";
import { counted, formatBytes, formatCount, formatDuration, formatPerplexity, formatSignificant } from "../figures.js";
import { type Column, tableLines } from "../table.js";
import type { PolicyResult } from "./measurement.js";

export interface StreamResult extends PolicyResult {
  /** What the session said of its options when the text had been read, and of that what it did not say before. */
  readonly notes: readonly string[];
  readonly lateNotes: readonly string[];
}

export interface StreamReport {
  readonly model: ModelInfo;
  readonly sluiceVersion: string;
  readonly text: { readonly files: readonly string[]; readonly tokens: number };
  readonly kv: string | null;
  readonly batch: number;
  readonly interrupted: boolean;
  readonly policies: readonly StreamResult[];
}

const COLUMNS: readonly Column[] = [
  { header: "context", align: "left" },
  { header: "tokens", align: "right" },
  { header: "perplexity", align: "right" },
  { header: "last quarter", align: "right" },
  { header: "ms/token start", align: "right" },
  { header: "ms/token end", align: "right" },
  { header: "time", align: "right" },
  { header: "cache", align: "right" },
  { header: "kept", align: "right" },
  { header: "horizon", align: "right" },
];
const SPEED_UP: Column = { header: "vs recompute", align: "right" };

/** One row per policy; lines without newline. */
export function resultTable(
  results: readonly StreamResult[],
  emphasise: (header: string) => string = (header) => header,
): string[] {
  const baseline = recomputeBaseline(results);
  const columns = baseline ? [...COLUMNS, SPEED_UP] : COLUMNS;
  const rows = results.map((result) => {
    const cells = resultCells(result);
    return baseline ? [...cells, speedUpCell(speedUp(result, baseline))] : cells;
  });
  const stopped = results.filter((result) => !result.complete);
  const notes = stopped.map(
    (result) => `${result.context}: ${result.error ?? `interrupted after ${counted(result.tokens, "token")}`}`,
  );
  const told = results.flatMap(({ context, lateNotes }) =>
    lateNotes.map((note) => {
      const own = note.startsWith(`${context} `) || note.startsWith(`${context}:`);
      return own ? note : `${context}: ${note}`;
    }),
  );
  const apart = results.flatMap(({ context, groups }) =>
    groups.length > 1 ? groups.map((group) => `${context}: ${groupText(group)}`) : [],
  );
  return [...tableLines(columns, rows, emphasise), ...notes, ...apart, ...told];
}

function resultCells(result: PolicyResult): string[] {
  return [
    result.context,
    formatCount(result.tokens),
    formatPerplexity(result.perplexity),
    formatPerplexity(result.perplexityLastQuarter),
    formatSignificant(result.msPerTokenStart),
    formatSignificant(result.msPerTokenEnd),
    formatDuration(result.elapsedMs),
    formatBytes(result.cacheBytes),
    result.read > 0 && result.read < result.kept
      ? `${formatCount(result.kept)}, read ${formatCount(result.read)}`
      : formatCount(result.kept),
    result.horizon === null ? "all" : formatCount(result.horizon),
  ];
}

/** The policy that the others are compared with: the first that recomputes its window, if any. */
function recomputeBaseline(results: readonly PolicyResult[]): PolicyResult | undefined {
  return results.find((result) => result.context.startsWith("recompute") && Number.isFinite(result.msPerTokenEnd));
}

/** How many times faster a token is at the end of the text than with the baseline. */
function speedUp(result: PolicyResult, baseline: PolicyResult): number {
  return baseline.msPerTokenEnd / result.msPerTokenEnd;
}

function speedUpCell(factor: number): string {
  return Number.isFinite(factor) ? `${formatSignificant(factor)}x` : "-";
}

/** The document of docs/stream-json.md. Figures that are not finite become null. */
export function reportJson(report: StreamReport): string {
  const baseline = recomputeBaseline(report.policies);
  const policies = report.policies.map(({ curve, lateNotes, ...figures }) => ({
    ...figures,
    speedUpOverRecompute: baseline ? speedUp({ ...figures, curve }, baseline) : null,
    curve,
  }));
  return `${JSON.stringify({ format: "sluice-stream", version: 1, ...report, policies }, null, 2)}\n`;
}
