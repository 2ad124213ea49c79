/**
 * A backend that runs every operation on another one and writes it down on a tape, so that the model definition that runs
 * is the one that learns. With `checkpointing` a layer keeps nothing but its input (1604.06174): what its derivatives read
 * is computed anew when they are needed, in the memory of two layers.
 */
import type {
  Angles,
  AttentionCall,
  Backend,
  BackendName,
  ConvolutionCall,
  ElementFunction,
  ExpertWeighting,
  Gating,
  Routing,
  RowSplit,
  ScanCall,
  ScopeBody,
  SelectedPages,
  WeightPlan,
  WeightRequest,
} from "../tensor/backend.js";
import type { KvLayout, KvStore } from "../tensor/kv.js";
import type { Misfits } from "../tensor/misfits.js";
import type { ExpertWeights, KeptTensor, StepInput, Tensor, Weight, WeightSlot } from "../tensor/tensor.js";
import type { AttentionTrainingCall } from "../tensor/training.js";
import { InternalError } from "../util/errors.js";
import { add } from "./derivatives/add.js";
import { attendRows } from "./derivatives/attend-rows.js";
import { convolution } from "./derivatives/convolution.js";
import { embed } from "./derivatives/embed.js";
import { expertLinear } from "./derivatives/expert-linear.js";
import { gated } from "./derivatives/gated.js";
import { gather } from "./derivatives/gather.js";
import { linear } from "./derivatives/linear.js";
import { map } from "./derivatives/map.js";
import { mixExperts } from "./derivatives/mix-experts.js";
import { layerNorm, rmsNorm } from "./derivatives/norm.js";
import { rotate } from "./derivatives/rotate.js";
import { route } from "./derivatives/route.js";
import { concat, rows } from "./derivatives/rows.js";
import { scan } from "./derivatives/scan.js";
import type { Tape } from "./tape.js";

export interface RecordingOptions {
  /** Keep only the inputs of layers, and compute the rest anew. */
  readonly checkpointing?: boolean | undefined;
  /** Weight in the loss of how evenly experts share the work (Switch, 2101.03961), the same for each layer. */
  readonly balance?: number | undefined;
}

export class RecordingBackend implements Backend {
  readonly name: BackendName;
  readonly threads: number;
  private readonly inner: Backend;

  constructor(
    readonly tape: Tape,
    private readonly options: RecordingOptions = {},
  ) {
    this.inner = tape.ops;
    this.name = this.inner.name;
    this.threads = this.inner.threads;
  }

  get memoryBytes(): number {
    return this.inner.memoryBytes;
  }
  get memoryLimitBytes(): number {
    return this.inner.memoryLimitBytes;
  }

  planWeights(plan: WeightPlan): Promise<void> {
    return this.inner.planWeights(plan);
  }
  placeOf(layer: number): number {
    return this.inner.placeOf(layer);
  }
  placeBytesLeft(place: number): number {
    return this.inner.placeBytesLeft(place);
  }
  allocWeight(request: WeightRequest): WeightSlot {
    return this.inner.allocWeight(request);
  }
  weightsLoaded(): void {
    this.inner.weightsLoaded();
  }
  kvStore(layout: KvLayout, layer?: number): KvStore {
    return this.inner.kvStore(layout, layer);
  }
  kvPageBytes(layout: KvLayout): number {
    return this.inner.kvPageBytes(layout);
  }
  kept(rowCount: number, cols: number, layer?: number): KeptTensor {
    return this.inner.kept(rowCount, cols, layer);
  }

  beginStep(splits?: readonly RowSplit[]): void {
    this.tape.clear();
    this.inner.beginStep(splits);
  }
  input(values: Int32Array | Float32Array): StepInput {
    return this.inner.input(values);
  }
  read(x: Tensor): Promise<Float32Array> {
    return this.inner.read(x);
  }
  misfits(): Misfits | undefined {
    return this.inner.misfits();
  }

  scope<I>(body: ScopeBody<I>, x: Tensor, input: I): Tensor {
    // Without a scope of the backend's, tensors live until the step's end.
    if (!this.options.checkpointing) return body.forward(this, x, input);
    const { tape, inner } = this;
    const { layer } = body;
    const y = inner.scope({ layer, forward: (_, inside) => this.replay(body, inside, input).y }, x, input);
    return tape.record(tape.training.copy(y), (dy) => {
      const forward = (_: Backend, inside: Tensor) => {
        const again = this.replay(body, inside, input);
        again.tape.backward(again.y, dy);
        return again.tape.gradientOf(inside) ?? tape.training.zeros(x.rows, x.cols);
      };
      const dx = inner.scope({ layer, forward }, x, input);
      // It lives as long as the scope's arena, and may be dy itself.
      tape.give(x, () => tape.training.copy(dx));
    });
  }

  /** Runs a layer on a tape of its own. */
  private replay<I>(body: ScopeBody<I>, x: Tensor, input: I): { readonly tape: Tape; readonly y: Tensor } {
    const tape = this.tape.fork();
    tape.watch(x);
    return { tape, y: body.forward(new RecordingBackend(tape, { balance: this.options.balance }), x, input) };
  }

  empty(rowCount: number, cols: number): Tensor {
    return this.tape.watch(this.inner.empty(rowCount, cols));
  }
  tensor(values: StepInput, rowCount: number, cols: number): Tensor {
    return this.inner.tensor(values, rowCount, cols);
  }
  rows(x: Tensor, start: number, count: number): Tensor {
    return rows(this.tape, x, start, count);
  }
  concat(parts: readonly Tensor[]): Tensor {
    return concat(this.tape, parts);
  }
  gather(x: Tensor, indices: StepInput): Tensor {
    return gather(this.tape, x, indices);
  }
  embed(table: Weight, ids: StepInput): Tensor {
    return embed(this.tape, table, ids);
  }
  linear(x: Tensor, weight: Weight, bias?: Weight): Tensor {
    return linear(this.tape, x, weight, bias);
  }
  rmsNorm(x: Tensor, gain: Weight, epsilon: number): Tensor {
    return rmsNorm(this.tape, x, gain, epsilon);
  }
  layerNorm(x: Tensor, gain: Weight, bias: Weight | undefined, epsilon: number): Tensor {
    return layerNorm(this.tape, x, gain, bias, epsilon);
  }
  add(a: Tensor, b: Tensor): Tensor {
    return add(this.tape, a, b);
  }
  map(x: Tensor, f: ElementFunction, parameter?: number): Tensor {
    return map(this.tape, x, f, parameter);
  }
  gated(gate: Tensor, up: Tensor, gating: Gating): Tensor {
    return gated(this.tape, gate, up, gating);
  }
  rotate(x: Tensor, headWidth: number, angles: Angles): Tensor {
    return rotate(this.tape, x, headWidth, angles);
  }
  /** Attention over rows, as training's states call it. `heads` is H. */
  attendRows(call: AttentionTrainingCall, heads: number, out: Tensor): void {
    attendRows(this.tape, call, heads, out);
  }
  /** `before` holds zeros. */
  convolution(call: ConvolutionCall): Tensor {
    return convolution(this.tape, call);
  }
  /** `before` holds zeros. */
  scan(call: ScanCall): Tensor {
    return scan(this.tape, call);
  }

  route(logits: Tensor, used: number, weighting: ExpertWeighting): Routing {
    return route(this.tape, logits, used, weighting, this.options.balance);
  }
  expertLinear(x: Tensor, experts: ExpertWeights, routing: Routing): Tensor {
    return expertLinear(this.tape, x, experts, routing);
  }
  mixExperts(y: Tensor, routing: Routing): Tensor {
    return mixExperts(this.tape, y, routing);
  }

  append(): void {
    throw withoutStore();
  }
  attention(_: AttentionCall): void {
    throw withoutStore();
  }
  bound(): void {
    throw withoutStore();
  }
  select(): readonly SelectedPages[] {
    throw withoutStore();
  }
  rotatePages(): void {
    throw withoutStore();
  }

  /** The inner backend is its maker's to dispose of. */
  async dispose(): Promise<void> {
    this.tape.clear();
  }
}

function withoutStore(): InternalError {
  return new InternalError("A tape attends over rows; there is no store of keys and values while a model learns.");
}
