/** What one sequence wants of a step, and how the rows of several lie in it: those that read few first. */
import type { Origin } from "../../context/mixer-state.js";
import type { SequenceMemory } from "../../context/sequence-memory.js";
import { FEW_ROWS, type RowSplit } from "../../tensor/backend.js";
import { InternalError } from "../../util/errors.js";

/** Which rows' logits are wanted. */
export type Wanted = "last" | "all";

export interface Want<R> {
  readonly state: SequenceMemory;
  /** At least one. */
  readonly ids: Int32Array;
  readonly wanted: Wanted;
  /** Sees the logits of the last or of all rows, [n, V], valid during the call only. */
  readonly use: (logits: Float32Array) => R;
  /**
   * Whether it reads as one that reads many rows in a step; default: by its rows. Of a piece of a prompt, by those of the whole. One
   * that reads many has two rows at least: what a row alone would be to the head, it would be to the layers.
   */
  readonly many?: boolean | undefined;
  /** Default: they were given. */
  readonly origin?: Origin | undefined;
  /** Looked at before the step begins. */
  readonly cancel?: { readonly aborted: boolean } | undefined;
}

/** A want and where its rows and its outputs begin in the step. */
export interface PlacedWant<R> {
  readonly want: Want<R>;
  readonly start: number;
  readonly outputStart: number;
  readonly outputs: number;
}

export interface StepLayout<R> {
  readonly placed: readonly PlacedWant<R>[];
  readonly ids: Int32Array;
  /** Rows whose logits are wanted; undefined: all. */
  readonly outputRows: Int32Array | undefined;
  /** Of tensors of all rows, and of those of the outputs. */
  readonly splits: readonly RowSplit[];
}

export function outputsOf({ ids, wanted }: Want<unknown>): number {
  return wanted === "all" ? ids.length : 1;
}

/**
 * Decoding rows come first. Of those that read many, the ones with few outputs come first, so that in the outputs too the few
 * lie before the many: the head's products go by a sequence's own outputs, as the others by its own rows.
 */
export function layOut<R>(wants: readonly Want<R>[]): StepLayout<R> {
  const many = (count: number) => (count < FEW_ROWS ? 0 : 1);
  const reads = (want: Want<R>) => (want.many === undefined ? many(want.ids.length) : Number(want.many));
  const rank = (want: Want<R>) => reads(want) + many(outputsOf(want));
  if (wants.some((want) => want.many && want.ids.length === 1))
    throw new InternalError("A piece of a prompt has two rows at least.");
  const sorted = wants.length === 1 ? wants : [...wants].sort((a, b) => rank(a) - rank(b));
  const placed: PlacedWant<R>[] = [];
  let [rows, outputs, few, fewOutputs] = [0, 0, 0, 0];
  for (const want of sorted) {
    const count = outputsOf(want);
    placed.push({ want, start: rows, outputStart: outputs, outputs: count });
    rows += want.ids.length;
    outputs += count;
    if (!reads(want)) few = rows;
    if (!many(count)) fewOutputs = outputs;
  }
  const splits = [{ rows, few }];
  const ids = joined(placed, rows);
  if (outputs === rows) return { placed, ids, outputRows: undefined, splits };
  splits.push({ rows: outputs, few: fewOutputs });
  return { placed, ids, outputRows: outputRows(placed, outputs), splits };
}

function joined(placed: readonly PlacedWant<unknown>[], rows: number): Int32Array {
  if (placed.length === 1) return placed[0].want.ids;
  const ids = new Int32Array(rows);
  for (const { want, start } of placed) ids.set(want.ids, start);
  return ids;
}

function outputRows(placed: readonly PlacedWant<unknown>[], count: number): Int32Array {
  const rows = new Int32Array(count);
  for (const { want, start, outputStart, outputs } of placed) {
    const first = start + want.ids.length - outputs;
    for (let i = 0; i < outputs; i++) rows[outputStart + i] = first + i;
  }
  return rows;
}
