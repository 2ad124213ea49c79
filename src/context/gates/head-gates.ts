/**
 * Gates of attention heads (DuoAttention, 2410.10819): a number in [0, 1] for each attention layer and KV head. Heads with
 * large ones retrieve from all of a text and must keep it; the others do with its first and newest tokens. Here they are
 * plain data, checked; gates-file.ts reads and writes them, model-gates.ts fits them to a model.
 */
import { FormatError } from "../../util/errors.js";
import { counted, formatCount } from "../../util/figures.js";

/** Names that gates can have in policies. */
export const GATES_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/;

/** The model that gates were found for. */
export interface GatedModel {
  readonly architecture: string;
  readonly name: string | null;
  /** As ModelInfo.fingerprint. */
  readonly fingerprint: string;
}

/** How gates were found; what else there is to say of it is plain data. */
export interface GatesOrigin {
  /** Such as "retrieval". */
  readonly method: string;
  readonly [more: string]: unknown;
}

export interface HeadGates {
  /** Null: nobody says. */
  readonly model: GatedModel | null;
  /** [attention layer][KV head]. Only layers with attention count, in the model's order. */
  readonly layers: readonly (readonly number[])[];
  /** Heads with at least this gate keep everything where a policy names no share; null: 0.5. */
  readonly threshold: number | null;
  readonly found: GatesOrigin | null;
}

/**
 * The largest score from which on a model has a head that retrieves. Random weights reach 0.21 with prompts of 128 tokens and 0.11
 * with 256 or more, by chance; a model that finds passkeys has 0.98 (docs/gates.md).
 */
export const LEAST_RETRIEVING = 0.3;

/** Whether gates were found where no head retrieves: each is a share of the largest score, so they tell chance from chance. */
export function noneRetrieves({ found }: Pick<HeadGates, "found">): boolean {
  return typeof found?.largest === "number" && found.largest < LEAST_RETRIEVING;
}

/** More than any model has: what says so is damaged or hostile. */
export const MOST_GATED_LAYERS = 4096;
export const MOST_GATED_HEADS = 4096;

/**
 * The gates of rows of numbers; `clip` cuts them to [0, 1], as training may leave them a little beyond.
 * @throws FormatError that names the layer and head
 */
export function checkedLayers(rows: readonly unknown[], name: string, clip: boolean): number[][] {
  checkRowCount(rows.length, name);
  // Lists of a caller's own may have holes, which `map` passes by.
  return Array.from(rows, (row, layer) => {
    const gates: readonly unknown[] = Array.isArray(row) ? row : [];
    if (gates.length === 0 || gates.length > MOST_GATED_HEADS) {
      throw new FormatError(
        `${name}: row ${layer} must have a gate for each KV head, at least 1 and at most ${formatCount(MOST_GATED_HEADS)}; found ${Array.isArray(row) ? counted(gates.length, "gate") : "no list"}.`,
        { row: layer },
      );
    }
    return Array.from(gates, (gate, head) => {
      if (typeof gate === "number" && Number.isFinite(gate)) {
        if (gate >= 0 && gate <= 1) return gate;
        if (clip) return Math.min(1, Math.max(0, gate));
      }
      throw new FormatError(
        `${name}: the gate of row ${layer}, KV head ${head} must be a number from 0 to 1; found ${typeof gate === "object" && gate ? "an object" : String(gate)}.`,
        { row: layer, head },
      );
    });
  });
}

/** @throws FormatError */
export function checkRowCount(rows: number, name: string): void {
  if (rows > 0 && rows <= MOST_GATED_LAYERS) return;
  throw new FormatError(
    `${name}: gates have a row for each layer with attention, at least 1 and at most ${formatCount(MOST_GATED_LAYERS)}; found ${formatCount(rows)}.`,
    { rows },
  );
}
