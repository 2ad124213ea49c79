/**
 * The WebAssembly backend: operations become commands in shared memory, which SIMD kernels run on a pool of threads when
 * a result is read (command-list.ts, pool.ts). Weights stay in their file's format, some laid out anew
 * (ops/layout.ts). A model that is larger than one memory lies in several (placement.ts), each with a machine; an
 * operation runs where its weight or cache lies, else where its first tensor does.
 */
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
  WeightPlan,
  WeightRequest,
} from "../../tensor/backend.js";
import { rowBytes } from "../../tensor/dtype.js";
import type { KvLayout, KvSlice, KvStore } from "../../tensor/kv.js";
import { memorySlot } from "../../tensor/memory-slot.js";
import type { Misfits } from "../../tensor/misfits.js";
import type { ExpertWeights, KeptTensor, StepInput, Tensor, Weight, WeightSlot } from "../../tensor/tensor.js";
import type { TrainingOps } from "../../tensor/training.js";
import { InternalError } from "../../util/errors.js";
import type { CommandWatcher } from "./command-list.js";
import { Crossing } from "./crossing.js";
import type { FormsInUse } from "./form-names.js";
import { WasmKept } from "./kept.js";
import { checkLayout, pageBytes } from "./kv-layout.js";
import { WasmKvStore } from "./kv-store.js";
import type { Machine } from "./machine.js";
import type { MachineRoom } from "./machine-room.js";
import { attention } from "./ops/attention.js";
import * as cacheOps from "./ops/cache.js";
import * as rowOps from "./ops/elementwise.js";
import * as expertOps from "./ops/experts.js";
import { layOut } from "./ops/layout.js";
import * as linearOps from "./ops/linear.js";
import * as normOps from "./ops/norm.js";
import { select } from "./ops/select.js";
import * as stateOps from "./ops/state-space.js";
import { type Placement, placeWeights } from "./placement.js";
import type { Space } from "./space.js";
import { expect, own, ownInput, ownTensor, ownWeight, refuse, WasmTensor, WasmWeight } from "./tensors.js";
import { linearOfMany } from "./training/linear.js";
import { wasmTraining } from "./training/training.js";

export class WasmBackend implements Backend {
  readonly name = "wasm";
  readonly threads: number;
  /** By place. */
  private readonly machines: readonly Machine[];
  private readonly crossing: Crossing;
  /** Where the running scope, or what is outside of any, makes new tensors. */
  private place = 0;
  private placement: Placement | undefined;
  private hasWeights = false;
  /** Those that are being loaded. */
  private readonly weights: WasmWeight[] = [];
  private disposed = false;
  private trainingOps: TrainingOps | undefined;

  /** Use `createWasmBackend`. `relaxed`: which build of the kernels runs. */
  constructor(
    private readonly room: MachineRoom,
    readonly relaxed: boolean,
  ) {
    this.threads = room.pool.threads;
    this.machines = room.machines;
    this.crossing = new Crossing(this.machines);
  }

  get memoryBytes(): number {
    return this.disposed ? 0 : this.machines.reduce((sum, { space }) => sum + space.usedBytes, 0);
  }
  /** Before the weights are planned: what could be had. Then: what the memories hold that were made. */
  get memoryLimitBytes(): number {
    if (!this.placement) return this.room.mostBytes;
    return this.machines.reduce((sum, { space }) => sum + space.limitBytes, 0);
  }
  /** The memories, by place. */
  get spaces(): readonly Space[] {
    return this.machines.map(({ space }) => space);
  }

  /** From now on the watcher is told of every command of the memories that there are; undefined: nobody is. */
  watchCommands(watcher: CommandWatcher | undefined): void {
    for (const { commands } of this.machines) commands.watcher = watcher;
  }

  /** The forms that products with this weight have here, and the bits of the vectors, for tests and the bench. */
  formsOf(weight: Weight): FormsInUse & { readonly bits: 128 | 256 } {
    const machine = this.machines[ownWeight(weight).place];
    return { ...linearOps.formsOf(machine, weight), bits: machine.wide ? 256 : 128 };
  }

  async planWeights(plan: WeightPlan): Promise<void> {
    this.live();
    if (this.hasWeights || this.placement) throw new InternalError("Weights were planned too late or twice.");
    this.placement = placeWeights(plan, (place) => this.room.roomOf(place));
    while (this.machines.length < this.placement.memories) await this.room.add();
  }

  placeOf(layer: number): number {
    return this.placement?.placeOfLayer.get(layer) ?? 0;
  }

  placeBytesLeft(place: number): number {
    this.live();
    return this.machines[place].space.leftBytes;
  }

  allocWeight({ name, dtype, rows, cols, experts }: WeightRequest): WeightSlot {
    this.live();
    this.hasWeights = true;
    const { space, place } = this.machines[this.placement?.placeOfWeight.get(name) ?? 0];
    const bytes = rows * rowBytes(dtype, cols);
    const address = space.allocate(bytes, `The weight ${name}`);
    const weight = new WasmWeight(name, dtype, rows, cols, place, address, bytes, experts);
    this.weights.push(weight);
    return memorySlot(weight, space.u8.subarray(address, address + bytes));
  }

  weightsLoaded(): void {
    if (this.relaxed) for (const weight of this.weights) layOut(this.at(weight.place), weight);
    for (const machine of this.machines) machine.flush();
    this.weights.length = 0;
  }

  kvStore(layout: KvLayout, layer?: number): KvStore {
    this.live();
    checkLayout(layout);
    const place = layer === undefined ? 0 : this.placeOf(layer);
    return new WasmKvStore(layout, this.machines[place]);
  }

  kvPageBytes(layout: KvLayout): number {
    return pageBytes(layout);
  }

  kept(rows: number, cols: number, layer?: number): KeptTensor {
    this.live();
    return new WasmKept(this.machines[layer === undefined ? 0 : this.placeOf(layer)], rows, cols);
  }

  beginStep(splits: readonly RowSplit[] = []): void {
    this.live();
    for (const { rows, few } of splits) expect(few >= 0 && few <= rows, "beginStep", `${few} few of ${rows} rows`);
    this.place = 0;
    for (const machine of this.machines) machine.beginStep(splits);
  }

  input(values: Int32Array | Float32Array): StepInput {
    return this.live().input(values);
  }

  scope<I>(body: ScopeBody<I>, x: Tensor, input: I): Tensor {
    const outer = this.place;
    const machine = body.layer === undefined ? this.of(WasmTensor, x) : this.at(this.placeOf(body.layer));
    const inside = this.crossing.tensor(x, machine);
    this.place = machine.place;
    try {
      return machine.scope(() => body.forward(this, inside, input));
    } finally {
      this.place = outer;
    }
  }

  async read(x: Tensor): Promise<Float32Array> {
    this.live();
    for (const machine of this.machines) machine.flush();
    const tensor = ownTensor(x);
    const { address, rows, cols } = tensor;
    return this.at(tensor.place).space.f32.subarray(address >>> 2, (address >>> 2) + rows * cols);
  }

  misfits(): Misfits | undefined {
    for (const machine of this.machines) {
      const found = machine.misfits();
      if (found) return found;
    }
    return undefined;
  }

  empty(rows: number, cols: number): Tensor {
    return this.live().empty(rows, cols);
  }

  tensor(values: StepInput, rows: number, cols: number): Tensor {
    const input = ownInput(values);
    if (!(input.length === rows * cols)) refuse("tensor", `${input.length} numbers for [${rows}, ${cols}]`);
    return this.at(input.place).view(rows, cols, input.address);
  }

  rows(x: Tensor, start: number, count: number): Tensor {
    const tensor = ownTensor(x);
    const { address, rows, cols } = tensor;
    if (!(start >= 0 && count >= 0 && start + count <= rows))
      refuse("rows", `[${start}, ${start + count}) of ${rows} rows`);
    return this.at(tensor.place).view(count, cols, address + start * cols * 4);
  }

  concat(parts: readonly Tensor[]): Tensor {
    const machine = this.of(WasmTensor, parts[0]);
    return rowOps.concat(
      machine,
      parts.map((part) => this.crossing.tensor(part, machine)),
    );
  }

  gather(x: Tensor, indices: StepInput): Tensor {
    const machine = this.of(WasmTensor, x);
    return rowOps.gather(machine, x, this.crossing.input(indices, machine));
  }

  embed(table: Weight, ids: StepInput): Tensor {
    const machine = this.of(WasmWeight, table);
    return linearOps.embed(machine, table, this.crossing.input(ids, machine));
  }

  linear(x: Tensor, weight: Weight, bias?: Weight): Tensor {
    const machine = this.of(WasmWeight, weight);
    const here = this.crossing.tensor(x, machine);
    const product =
      this.trainingOps && !bias && !machine.splitOf(x.rows) ? linearOfMany(machine, here, weight) : undefined;
    return product ?? linearOps.linear(machine, here, weight, bias && this.crossing.weight(bias, machine));
  }

  rmsNorm(x: Tensor, gain: Weight, epsilon: number): Tensor {
    const machine = this.of(WasmWeight, gain);
    return normOps.rmsNorm(machine, this.crossing.tensor(x, machine), gain, epsilon);
  }

  add(a: Tensor, b: Tensor): Tensor {
    const machine = this.of(WasmTensor, a);
    return rowOps.add(machine, a, this.crossing.tensor(b, machine));
  }

  layerNorm(x: Tensor, gain: Weight, bias: Weight | undefined, epsilon: number): Tensor {
    const machine = this.of(WasmWeight, gain);
    const offsets = bias && this.crossing.weight(bias, machine);
    return normOps.layerNorm(machine, this.crossing.tensor(x, machine), gain, offsets, epsilon);
  }

  map(x: Tensor, f: ElementFunction, parameter = 0): Tensor {
    return rowOps.map(this.of(WasmTensor, x), x, f, parameter);
  }

  gated(gate: Tensor, up: Tensor, gating: Gating): Tensor {
    const machine = this.of(WasmTensor, gate);
    return rowOps.gated(machine, gate, this.crossing.tensor(up, machine), gating);
  }

  rotate(x: Tensor, headWidth: number, angles: Angles): Tensor {
    const machine = this.of(WasmTensor, x);
    return rowOps.rotate(machine, x, headWidth, this.crossing.angles(angles, machine));
  }

  append(call: AppendCall): void {
    if (call.parts.length === 0) return;
    const machine = this.of(WasmKvStore, call.parts[0].slice.store);
    cacheOps.append(machine, this.crossing.append(call, machine));
  }

  attention(call: AttentionCall): void {
    if (call.parts.length === 0) return;
    const machine = this.of(WasmKvStore, call.parts[0].slice.store);
    attention(machine, this.crossing.attention(call, machine));
  }

  bound(parts: readonly BoundPart[]): void {
    if (parts.length > 0) cacheOps.bound(this.of(WasmKvStore, parts[0].slice.store), parts);
  }

  select(call: SelectCall): readonly SelectedPages[] {
    if (call.parts.length === 0) return [];
    const machine = this.of(WasmKvStore, call.parts[0].slice.store);
    return select(machine, this.crossing.select(call, machine));
  }

  rotatePages(from: KvSlice, to: KvSlice, count: number, angles: Angles): void {
    const store = own(WasmKvStore, to.store);
    const machine = this.at(store.place);
    expect(own(WasmKvStore, from.store).place === store.place, "rotatePages", "pages of two memories");
    cacheOps.rotatePages(machine, from, to, count, this.crossing.angles(angles, machine));
  }

  convolution(call: ConvolutionCall): Tensor {
    const machine = this.of(WasmKept, call.before);
    return stateOps.convolution(machine, this.crossing.convolution(call, machine));
  }

  scan(call: ScanCall): Tensor {
    const machine = this.of(WasmKept, call.before);
    return stateOps.scan(machine, this.crossing.scan(call, machine));
  }

  route(logits: Tensor, used: number, weighting: ExpertWeighting): Routing {
    return expertOps.route(this.of(WasmTensor, logits), logits, used, weighting);
  }

  expertLinear(x: Tensor, experts: ExpertWeights, routing: Routing): Tensor {
    const machine = this.of(WasmWeight, experts.matrix);
    return expertOps.expertLinear(machine, this.crossing.tensor(x, machine), experts, routing);
  }

  mixExperts(y: Tensor, routing: Routing): Tensor {
    return expertOps.mixExperts(this.of(WasmTensor, y), y, routing);
  }

  get training(): TrainingOps {
    this.trainingOps ??= wasmTraining(this.machines[0]);
    return this.trainingOps;
  }

  async dispose(): Promise<void> {
    if (this.disposed) return;
    this.disposed = true;
    await this.room.dispose();
  }

  /** The machine of what the handle names. */
  private of<C extends { readonly place: number }>(kind: new (...args: never[]) => C, handle: object): Machine {
    return this.machines.length === 1 ? this.machines[0] : this.at(own(kind, handle).place);
  }

  private at(place: number): Machine {
    this.live();
    return this.machines[place];
  }

  private live(): Machine {
    if (this.disposed) throw new InternalError("The wasm backend was used after dispose.");
    return this.machines[this.place];
  }
}
