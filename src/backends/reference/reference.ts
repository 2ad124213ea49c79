/**
 * The reference backend: every operation of `Backend` in plain TypeScript, summed in double precision. It is the living
 * definition that the others are tested against: readable before fast.
 */

import { dequantiseRow } from "../../quant/index.js";
import type {
  Angles,
  AppendCall,
  AttentionCall,
  Backend,
  BoundPart,
  ConvolutionCall,
  ElementFunction,
  ExpertWeighting,
  Gating,
  Routing,
  RowSplit,
  ScanCall,
  ScopeBody,
  SelectCall,
  SelectedPages,
  WeightRequest,
} from "../../tensor/backend.js";
import { rowBytes } from "../../tensor/dtype.js";
import type { KvLayout, KvSlice, KvStore } from "../../tensor/kv.js";
import { memorySlot } from "../../tensor/memory-slot.js";
import type { Misfits } from "../../tensor/misfits.js";
import type { ExpertWeights, KeptTensor, StepInput, Tensor, Weight, WeightSlot } from "../../tensor/tensor.js";
import { append, attention, rotateHead, rotatePages } from "./attention.js";
import { boundPart } from "./bounds.js";
import { expertLinear, expertPart, mixExperts, type ReferenceRouting, route } from "./experts.js";
import { clampedSwiglu, FUNCTIONS } from "./functions.js";
import { pageElements, ReferenceKvStore } from "./kv.js";
import { select } from "./select.js";
import { convolution, scan } from "./state-space.js";
import { elements, own, ReferenceInput, ReferenceKept, ReferenceTensor, ReferenceWeight, tensor } from "./tensors.js";
import { referenceTraining } from "./training/training.js";

/** Row `row` of a weight, expanded to f32. */
function weightRow(weight: ReferenceWeight, row: number, out: Float32Array): Float32Array {
  dequantiseRow(weight.dtype, weight.bytes, row * rowBytes(weight.dtype, weight.cols), weight.cols, out);
  return out;
}

export class ReferenceBackend implements Backend {
  readonly name = "reference";
  readonly threads = 1;
  readonly training = referenceTraining();
  readonly memoryLimitBytes = Number.POSITIVE_INFINITY;
  private weightBytes = 0;
  private readonly stores = new Set<ReferenceKvStore>();

  get memoryBytes(): number {
    let bytes = this.weightBytes;
    for (const store of this.stores) bytes += store.reservedBytes;
    return bytes;
  }

  async planWeights(): Promise<void> {}

  placeOf(): number {
    return 0;
  }

  placeBytesLeft(): number {
    return Number.POSITIVE_INFINITY;
  }

  allocWeight({ name, dtype, rows, cols }: WeightRequest): WeightSlot {
    const bytes = new Uint8Array(rows * rowBytes(dtype, cols));
    this.weightBytes += bytes.length;
    return memorySlot(new ReferenceWeight(name, dtype, rows, cols, bytes), bytes);
  }

  weightsLoaded(): void {}

  kvStore(layout: KvLayout): KvStore {
    const store = new ReferenceKvStore(layout);
    this.stores.add(store);
    return store;
  }

  kvPageBytes(layout: KvLayout): number {
    return 4 * layout.members * pageElements(layout);
  }

  kept(rows: number, cols: number): KeptTensor {
    return new ReferenceKept(rows, cols, new Float32Array(rows * cols));
  }

  beginStep(_splits?: readonly RowSplit[]): void {
    for (const store of this.stores) store.misfits = undefined;
  }

  input(values: Int32Array | Float32Array): StepInput {
    return new ReferenceInput(values.slice());
  }

  scope<I>(body: ScopeBody<I>, x: Tensor, input: I): Tensor {
    return body.forward(this, x, input);
  }

  async read(x: Tensor): Promise<Float32Array> {
    return tensor(x).data;
  }

  misfits(): Misfits | undefined {
    for (const { misfits } of this.stores) if (misfits) return misfits;
    return undefined;
  }

  empty(rows: number, cols: number): ReferenceTensor {
    return new ReferenceTensor(rows, cols, new Float32Array(rows * cols));
  }

  tensor(values: StepInput, rows: number, cols: number): Tensor {
    return new ReferenceTensor(rows, cols, Float32Array.from(own(ReferenceInput, values).values));
  }

  rows(x: Tensor, start: number, count: number): Tensor {
    return new ReferenceTensor(count, x.cols, tensor(x).data.subarray(start * x.cols, (start + count) * x.cols));
  }

  concat(parts: readonly Tensor[]): Tensor {
    const out = this.empty(
      parts.reduce((sum, { rows }) => sum + rows, 0),
      parts[0].cols,
    );
    let row = 0;
    for (const part of parts) {
      out.data.set(tensor(part).data, row * part.cols);
      row += part.rows;
    }
    return out;
  }

  gather(x: Tensor, indices: StepInput): Tensor {
    const out = this.empty(indices.length, x.cols);
    own(ReferenceInput, indices).values.forEach((index, row) => {
      out.row(row).set(tensor(x).row(index));
    });
    return out;
  }

  embed(table: Weight, ids: StepInput): Tensor {
    const weight = own(ReferenceWeight, table);
    const out = this.empty(ids.length, table.cols);
    own(ReferenceInput, ids).values.forEach((id, row) => {
      weightRow(weight, id, out.row(row));
    });
    return out;
  }

  linear(x: Tensor, weight: Weight, bias?: Weight): ReferenceTensor {
    const matrix = own(ReferenceWeight, weight);
    const out = this.empty(x.rows, weight.rows);
    const offsets = bias ? elements(bias) : undefined;
    const weights = new Float32Array(weight.cols);
    for (let o = 0; o < weight.rows; o++) {
      weightRow(matrix, o, weights);
      for (let t = 0; t < x.rows; t++) {
        const row = tensor(x).row(t);
        let sum = offsets ? offsets[o] : 0;
        for (let i = 0; i < weights.length; i++) sum += weights[i] * row[i];
        out.data[t * weight.rows + o] = sum;
      }
    }
    return out;
  }

  rmsNorm(x: Tensor, gain: Weight, epsilon: number): Tensor {
    const gains = elements(gain);
    const width = gain.cols;
    const out = this.empty(x.rows, x.cols);
    const source = tensor(x).data;
    for (let start = 0; start < source.length; start += width) {
      let squares = 0;
      for (let i = 0; i < width; i++) squares += source[start + i] ** 2;
      const factor = 1 / Math.sqrt(squares / width + epsilon);
      for (let i = 0; i < width; i++) {
        out.data[start + i] = source[start + i] * factor * gains[(start + i) % gains.length];
      }
    }
    return out;
  }

  layerNorm(x: Tensor, gain: Weight, bias: Weight | undefined, epsilon: number): Tensor {
    const gains = elements(gain);
    const offsets = bias ? elements(bias) : new Float32Array(x.cols);
    const out = this.empty(x.rows, x.cols);
    for (let t = 0; t < x.rows; t++) {
      const row = Float64Array.from(tensor(x).row(t));
      const mean = row.reduce((sum, value) => sum + value, 0) / x.cols;
      const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.cols;
      const factor = 1 / Math.sqrt(variance + epsilon);
      out.row(t).set(row.map((value, i) => (value - mean) * factor * gains[i] + offsets[i]));
    }
    return out;
  }

  add(a: Tensor, b: Tensor): Tensor {
    const right = tensor(b).data;
    return new ReferenceTensor(
      a.rows,
      a.cols,
      tensor(a).data.map((x, i) => x + right[i]),
    );
  }

  map(x: Tensor, f: ElementFunction, parameter = 0): Tensor {
    const apply = FUNCTIONS[f];
    return new ReferenceTensor(
      x.rows,
      x.cols,
      tensor(x).data.map((value) => apply(value, parameter)),
    );
  }

  gated(gate: Tensor, up: Tensor, gating: Gating): Tensor {
    const ups = tensor(up).data;
    const apply = gating === "clampedSwiglu" ? clampedSwiglu : (g: number, u: number) => FUNCTIONS[gating](g, 0) * u;
    return new ReferenceTensor(
      gate.rows,
      gate.cols,
      tensor(gate).data.map((g, i) => apply(g, ups[i])),
    );
  }

  rotate(x: Tensor, headWidth: number, angles: Angles): Tensor {
    const out = new ReferenceTensor(x.rows, x.cols, tensor(x).data.slice());
    for (let row = 0; row < x.rows; row++) {
      for (let head = 0; head < x.cols; head += headWidth) {
        rotateHead(out.row(row).subarray(head, head + headWidth), angles, row);
      }
    }
    return out;
  }

  append(call: AppendCall): void {
    append(call);
  }

  attention(call: AttentionCall): void {
    attention(call);
  }

  bound(parts: readonly BoundPart[]): void {
    for (const part of parts) boundPart(part);
  }

  select(call: SelectCall): readonly SelectedPages[] {
    return select(call);
  }

  rotatePages(from: KvSlice, to: KvSlice, count: number, angles: Angles): void {
    rotatePages(from, to, count, angles);
  }

  convolution(call: ConvolutionCall): Tensor {
    return convolution(call);
  }

  scan(call: ScanCall): Tensor {
    return scan(call);
  }

  route(logits: Tensor, used: number, weighting: ExpertWeighting): ReferenceRouting {
    return route(logits, used, weighting);
  }

  expertLinear(x: Tensor, { count, matrix, bias }: ExpertWeights, routing: Routing): Tensor {
    return expertLinear(x, matrix.rows / count, routing, (row, expert) =>
      this.linear(row, expertPart(matrix, count, expert), bias && expertPart(bias, count, expert)),
    );
  }

  mixExperts(y: Tensor, routing: Routing): Tensor {
    return mixExperts(y, routing);
  }

  async dispose(): Promise<void> {
    for (const store of this.stores) store.dispose();
    this.stores.clear();
    this.weightBytes = 0;
  }
}
