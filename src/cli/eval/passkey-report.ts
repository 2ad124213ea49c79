/** What `sluice eval passkey` found: gathered by policy and length, as a table for people and JSON for programs. */
import type { ModelInfo } from "../../engine/api.js";
import { type Accuracy, accuracyByDepth, accuracyOf, type PasskeyOutcome } from "../../eval/tasks/passkey-run.js";
import { counted, formatCount, formatDuration } from "../figures.js";
import { type Column, tableLines } from "../table.js";

const DEPTH_PARTS = 5;

export class PasskeyResult {
  readonly outcomes: PasskeyOutcome[] = [];
  error: string | null = null;
  elapsedMs = 0;

  constructor(
    readonly context: string,
    readonly length: number,
    readonly trials: number,
  ) {}

  /** @param elapsedMs since the first trial began */
  add(outcome: PasskeyOutcome, elapsedMs: number): void {
    this.outcomes.push(outcome);
    this.elapsedMs = elapsedMs;
  }

  get accuracy(): Accuracy {
    return accuracyOf(this.outcomes);
  }

  get complete(): boolean {
    return this.outcomes.length === this.trials;
  }

  /** How many of the newest tokens the policy could recall; null = all; undefined before the first answer. */
  get horizon(): number | null | undefined {
    return this.outcomes.at(-1)?.horizon;
  }
}

const COLUMNS: readonly Column[] = [
  { header: "context", align: "left" },
  { header: "length", align: "right" },
  { header: "right", align: "right" },
  { header: "accuracy", align: "right" },
  ...Array.from({ length: DEPTH_PARTS }, (_, part): Column => {
    const edge = (at: number) => Math.round((100 * at) / DEPTH_PARTS);
    return { header: `${edge(part)}-${edge(part + 1)}%`, align: "right" };
  }),
  { header: "horizon", align: "right" },
  { header: "time", align: "right" },
];

/** One row for each policy and length; lines without newline. The columns of per cents are depths. */
export function passkeyTable(results: readonly PasskeyResult[], emphasise: (header: string) => string): string[] {
  const rows = results.map((result) => {
    const { context, length, accuracy, outcomes, elapsedMs } = result;
    return [
      context,
      formatCount(length),
      `${formatCount(accuracy.correct)}/${formatCount(accuracy.trials)}`,
      percent(accuracy),
      ...accuracyByDepth(outcomes, DEPTH_PARTS).map(percent),
      horizonText(result),
      formatDuration(elapsedMs),
    ];
  });
  const stopped = results.filter(({ complete }) => !complete);
  const notes = stopped.map(({ context, length, error, outcomes }) => {
    const why = error ?? `interrupted after ${counted(outcomes.length, "trial")}`;
    return `${context}, ${counted(length, "token")}: ${why}`;
  });
  return [...tableLines(COLUMNS, rows, emphasise), ...notes];
}

export function percent({ correct, trials }: Accuracy): string {
  return trials > 0 ? `${Math.round((100 * correct) / trials)}%` : "-";
}

function horizonText({ horizon }: PasskeyResult): string {
  if (horizon === undefined) return "-";
  return horizon === null ? "all" : formatCount(horizon);
}

export interface PasskeyReport {
  readonly model: ModelInfo;
  readonly sluiceVersion: string;
  readonly seed: number;
  /** The file; null for the package's own text. */
  readonly filler: string | null;
  readonly kv: string | null;
  readonly interrupted: boolean;
  readonly results: readonly PasskeyResult[];
}

/** Each result with its figures and every answer. */
export function passkeyJson(report: PasskeyReport): string {
  const results = report.results.map((result) => {
    const { context, length, trials, complete, error, accuracy, outcomes, elapsedMs } = result;
    const byDepth = accuracyByDepth(outcomes, DEPTH_PARTS).map((part, at) => ({
      from: at / DEPTH_PARTS,
      to: (at + 1) / DEPTH_PARTS,
      ...part,
    }));
    return {
      context,
      length,
      trials,
      complete,
      error,
      correct: accuracy.correct,
      accuracy: accuracy.trials > 0 ? accuracy.correct / accuracy.trials : null,
      byDepth,
      horizon: result.horizon ?? null,
      elapsedMs,
      answers: outcomes,
    };
  });
  return `${JSON.stringify({ format: "sluice-passkey", version: 1, ...report, results }, null, 2)}\n`;
}
