/**
 * The WebAssembly backend: operations become commands in shared memory, which SIMD kernels run on a pool of threads when
 * a result is read (command-list.ts, pool.ts). Weights stay in their file's format.
 */
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
import { InternalError } from "../../util/errors.js";
import { checkLayout, pageBytes } from "./kv-layout.js";
import { type KvOwner, WasmKvStore } from "./kv-store.js";
import type { Machine } from "./machine.js";
import { attention } from "./ops/attention.js";
import * as cacheOps from "./ops/cache.js";
import * as rowOps from "./ops/elementwise.js";
import * as linearOps from "./ops/linear.js";
import type { Space } from "./space.js";
import { expect, own, WasmInput, WasmTensor, WasmWeight } from "./tensors.js";

export class WasmBackend implements Backend, KvOwner {
  readonly name = "wasm";
  private readonly stores = new Set<WasmKvStore>();
  private storeCount = 0;
  private disposed = false;

  /** Use `createWasmBackend`. `relaxed`: which build of the kernels runs. */
  constructor(
    private readonly machine: Machine,
    readonly relaxed: boolean,
  ) {}

  get threads(): number {
    return this.machine.pool.threads;
  }
  get memoryBytes(): number {
    return this.disposed ? 0 : this.machine.space.usedBytes;
  }
  get memoryLimitBytes(): number {
    return this.machine.space.limitBytes;
  }
  get space(): Space {
    return this.machine.space;
  }

  allocWeight({ name, dtype, rows, cols }: WeightRequest): WeightSlot {
    const { space } = this.live();
    const bytes = rows * rowBytes(dtype, cols);
    const address = space.allocate(bytes, `The weight ${name}`);
    const weight = new WasmWeight(name, dtype, rows, cols, address, bytes);
    return { weight, bytes: space.u8.subarray(address, address + bytes) };
  }

  weightsLoaded(): void {}

  kvStore(layout: KvLayout): KvStore {
    this.live();
    checkLayout(layout);
    const store = new WasmKvStore(layout, this.storeCount++, this);
    this.stores.add(store);
    return store;
  }

  kvPageBytes(layout: KvLayout): number {
    return pageBytes(layout);
  }

  flush(): void {
    if (!this.disposed) this.machine.commands.flush();
  }

  forget(store: WasmKvStore): void {
    this.stores.delete(store);
  }

  beginStep(): void {
    this.live().beginStep();
  }

  input(values: Int32Array | Float32Array): StepInput {
    return this.live().input(values);
  }

  scope<I>(body: ScopeBody<I>, x: Tensor, input: I): Tensor {
    return this.live().scope(() => body.forward(this, x, input));
  }

  async read(x: Tensor): Promise<Float32Array> {
    const { commands, space } = this.live();
    commands.flush();
    const { address, rows, cols } = own(WasmTensor, x);
    return space.f32.subarray(address >>> 2, (address >>> 2) + rows * cols);
  }

  empty(rows: number, cols: number): Tensor {
    return this.live().empty(rows, cols);
  }

  rows(x: Tensor, start: number, count: number): Tensor {
    const { address, rows, cols } = own(WasmTensor, x);
    expect(start >= 0 && count >= 0 && start + count <= rows, "rows", `[${start}, ${start + count}) of ${rows} rows`);
    return this.live().view(count, cols, address + start * cols * 4);
  }

  gather(x: Tensor, indices: StepInput): Tensor {
    return rowOps.gather(this.live(), x, own(WasmInput, indices));
  }

  embed(table: Weight, ids: StepInput): Tensor {
    return linearOps.embed(this.live(), table, own(WasmInput, ids));
  }

  linear(x: Tensor, weight: Weight, bias?: Weight): Tensor {
    return linearOps.linear(this.live(), x, weight, bias);
  }

  rmsNorm(x: Tensor, gain: Weight, epsilon: number): Tensor {
    return rowOps.rmsNorm(this.live(), x, gain, epsilon);
  }

  add(a: Tensor, b: Tensor): Tensor {
    return rowOps.add(this.live(), a, b);
  }

  gated(gate: Tensor, up: Tensor, activation: Activation): Tensor {
    return rowOps.gated(this.live(), gate, up, activation);
  }

  rotate(x: Tensor, headWidth: number, angles: Angles): Tensor {
    return rowOps.rotate(this.live(), x, headWidth, angles);
  }

  append(call: AppendCall): void {
    cacheOps.append(this.live(), call);
  }

  attention(call: AttentionCall): void {
    attention(this.live(), call);
  }

  rotatePages(from: KvSlice, to: KvSlice, count: number, angles: Angles): void {
    cacheOps.rotatePages(this.live(), from, to, count, angles);
  }

  async dispose(): Promise<void> {
    if (this.disposed) return;
    this.disposed = true;
    this.stores.clear();
    await this.machine.pool.dispose();
  }

  private live(): Machine {
    if (this.disposed) throw new InternalError("The wasm backend was used after dispose.");
    return this.machine;
  }
}
