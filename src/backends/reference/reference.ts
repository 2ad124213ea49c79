/**
 * The reference backend: every operation of `Backend` in plain TypeScript, summed in double precision. It is the living
 * definition that the others are tested against: readable before fast.
 */

import { dequantiseRow } from "../../quant/index.js";
import type {
  Activation,
  Angles,
  AppendCall,
  AttentionCall,
  Backend,
  ScopeBody,
  WeightRequest,
} from "../../tensor/backend.js";
import { rowBytes } from "../../tensor/dtype.js";
import type { KvLayout, KvSlice, KvStore } from "../../tensor/kv.js";
import type { StepInput, Tensor, Weight, WeightSlot } from "../../tensor/tensor.js";
import { append, attention, rotateHead, rotatePages } from "./attention.js";
import { pageElements, ReferenceKvStore } from "./kv.js";
import { own, ReferenceInput, ReferenceTensor, ReferenceWeight, tensor } from "./tensors.js";

const ACTIVATIONS: Readonly<Record<Activation, (x: number) => number>> = {
  silu: (x) => x / (1 + Math.exp(-x)),
  gelu: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x))),
  relu: (x) => Math.max(0, x),
};

/** Row `row` of a weight, expanded to f32. */
function weightRow(weight: ReferenceWeight, row: number, out: Float32Array): Float32Array {
  dequantiseRow(weight.dtype, weight.bytes, row * rowBytes(weight.dtype, weight.cols), weight.cols, out);
  return out;
}

export class ReferenceBackend implements Backend {
  readonly name = "reference";
  readonly threads = 1;
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
    return { weight: new ReferenceWeight(name, dtype, rows, cols, bytes), bytes };
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

  beginStep(): void {}

  input(values: Int32Array | Float32Array): StepInput {
    return new ReferenceInput(values.slice());
  }

  scope<I>(body: ScopeBody<I>, x: Tensor, input: I): Tensor {
    return body.forward(this, x, input);
  }

  async read(x: Tensor): Promise<Float32Array> {
    return tensor(x).data;
  }

  empty(rows: number, cols: number): ReferenceTensor {
    return new ReferenceTensor(rows, cols, new Float32Array(rows * cols));
  }

  rows(x: Tensor, start: number, count: number): Tensor {
    return new ReferenceTensor(count, x.cols, tensor(x).data.subarray(start * x.cols, (start + count) * x.cols));
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

  linear(x: Tensor, weight: Weight, bias?: Weight): Tensor {
    const matrix = own(ReferenceWeight, weight);
    const out = this.empty(x.rows, weight.rows);
    const offsets = bias ? weightRow(own(ReferenceWeight, bias), 0, new Float32Array(bias.cols)) : undefined;
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
    const gains = weightRow(own(ReferenceWeight, gain), 0, new Float32Array(gain.cols));
    const out = this.empty(x.rows, x.cols);
    const source = tensor(x).data;
    for (let start = 0; start < source.length; start += gains.length) {
      let squares = 0;
      for (let i = 0; i < gains.length; i++) squares += source[start + i] ** 2;
      const factor = 1 / Math.sqrt(squares / gains.length + epsilon);
      for (let i = 0; i < gains.length; i++) out.data[start + i] = source[start + i] * factor * gains[i];
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

  gated(gate: Tensor, up: Tensor, activation: Activation): Tensor {
    const apply = ACTIVATIONS[activation];
    const factors = tensor(up).data;
    return new ReferenceTensor(
      gate.rows,
      gate.cols,
      tensor(gate).data.map((x, i) => apply(x) * factors[i]),
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

  rotatePages(from: KvSlice, to: KvSlice, count: number, angles: Angles): void {
    rotatePages(from, to, count, angles);
  }

  async dispose(): Promise<void> {
    for (const store of this.stores) store.dispose();
    this.stores.clear();
    this.weightBytes = 0;
  }
}
