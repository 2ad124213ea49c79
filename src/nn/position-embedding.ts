/** Embeddings of absolute positions, added to those of the tokens: learned or sinusoidal. */
import { learnedRows } from "../position/learned.js";
import { writeSinusoid } from "../position/sinusoidal.js";
import type { Backend } from "../tensor/backend.js";
import type { Tensor, Weight } from "../tensor/tensor.js";
import type { Batch } from "./batch.js";
import type { PositionEmbeddingSpec } from "./spec.js";
import type { Weights } from "./weights.js";

export class PositionEmbedding {
  private readonly table: Weight | undefined;

  constructor(spec: PositionEmbeddingSpec, weights: Weights) {
    this.table = spec.kind === "learned" ? weights.get(spec.table) : undefined;
  }

  /** x [T, C] -> [T, C] */
  forward(ops: Backend, x: Tensor, { segments }: Batch): Tensor {
    const positions = new Int32Array(x.rows);
    for (const { start, count, state } of segments) positions.set(learnedRows(state.seen, count), start);
    if (this.table) return ops.add(x, ops.embed(this.table, ops.input(positions)));
    const values = new Float32Array(x.rows * x.cols);
    positions.forEach((position, row) => {
      writeSinusoid(position, x.cols, values, row);
    });
    return ops.add(x, ops.tensor(ops.input(values), x.rows, x.cols));
  }
}
