/**
 * What the operations work with: one memory, the threads, the command list and the arenas of the running step. A backend
 * has a machine for each of its memories.
 */
import { MISFIT_NUMBER, MISFIT_RANGE, SCRATCH_BYTES } from "../../../kernels/abi.js";
import { FEW_ROWS, type RowSplit } from "../../tensor/backend.js";
import { DTYPES } from "../../tensor/dtype.js";
import type { Misfits } from "../../tensor/misfits.js";
import { Arena } from "./arena.js";
import type { ByteForm } from "./byte-form.js";
import { CommandList } from "./command-list.js";
import type { KvOwner } from "./kv-owner.js";
import type { KernelFunction } from "./module.js";
import type { Pool } from "./pool.js";
import type { Space } from "./space.js";
import { refuse, WasmInput, type WasmTensor, WasmWeight } from "./tensors.js";

export class Machine implements KvOwner {
  readonly place: number;
  readonly commands: CommandList;
  /** Scratch memory of all threads. */
  readonly scratch: number;
  /** The word in which kernels that write the cache leave what did not fit. */
  readonly misfitWord: number;
  private readonly step: Arena;
  private readonly layers: readonly [Arena, Arena];
  private layer = 0;
  private scoped = false;
  private arena: Arena;
  private splits: readonly RowSplit[] = [];
  private readonly inputs: WasmInput[] = [];
  private inputCount = 0;
  private readonly unpackRow: KernelFunction;

  constructor(
    readonly space: Space,
    readonly pool: Pool,
    parallelNs: number,
    /** What the products of many tokens are multiplied in. */
    readonly byteForm: ByteForm,
    /** Whether the wide module's functions are in the kernels' table. */
    readonly wide: boolean,
  ) {
    this.place = space.place;
    this.scratch = space.allocate(SCRATCH_BYTES * pool.threads, "The threads' scratch memory");
    this.misfitWord = space.allocate(4, "The word of misfits");
    space.i32[this.misfitWord >>> 2] = 0;
    this.commands = new CommandList(pool, space, parallelNs);
    this.step = new Arena(space);
    this.layers = [new Arena(space), new Arena(space)];
    this.arena = this.step;
    this.unpackRow = pool.kernel("unpackRow", space.place);
  }

  flush(): void {
    this.commands.flush();
  }

  /** What the commands of this step that ran have left in the word of misfits. */
  misfits(): Misfits | undefined {
    const bits = this.space.i32[this.misfitWord >>> 2];
    if (bits === 0) return undefined;
    return { beyondRange: (bits & MISFIT_RANGE) !== 0, notFinite: (bits & MISFIT_NUMBER) !== 0 };
  }

  /** Of a tensor with so many rows, how many belong to sequences that read few in this step: the first ones. */
  fewOf(rows: number): number {
    const split = this.splitOf(rows);
    if (split) return split.few;
    return rows < FEW_ROWS ? rows : 0;
  }

  /** What the step's beginning said of tensors with so many rows. */
  splitOf(rows: number): RowSplit | undefined {
    for (let i = 0; i < this.splits.length; i++) if (this.splits[i].rows === rows) return this.splits[i];
    return undefined;
  }

  beginStep(splits: readonly RowSplit[] = []): void {
    this.commands.flush();
    this.splits = splits;
    this.space.i32[this.misfitWord >>> 2] = 0;
    this.inputCount = 0;
    this.arena = this.step;
    this.scoped = false;
    for (const arena of [this.step, ...this.layers]) {
      arena.reset();
      arena.consolidate();
    }
  }

  /** Runs `body` on the layer arena whose turn it is; a scope in a scope shares its arena. */
  scope<R>(body: () => R): R {
    if (this.scoped) return body();
    this.layer ^= 1;
    this.arena = this.layers[this.layer];
    this.arena.reset();
    this.scoped = true;
    try {
      return body();
    } finally {
      this.arena = this.step;
      this.scoped = false;
    }
  }

  /** An uninitialised tensor of the running arena. */
  empty(rows: number, cols: number): WasmTensor {
    return this.arena.tensor(rows, cols, this.arena.allocate(rows * cols * 4));
  }

  /** A tensor object over memory that is there already. */
  view(rows: number, cols: number, address: number): WasmTensor {
    return this.arena.tensor(rows, cols, address);
  }

  /** Memory that lives as long as a tensor made now. */
  allocate(bytes: number): number {
    return this.arena.allocate(bytes);
  }

  /**
   * Memory that the host writes at once, while commands of the same step still wait: never from a layer's arena, whose
   * memory those commands may use.
   */
  allocateInput(bytes: number): number {
    return this.step.allocate(bytes);
  }

  input(values: Int32Array | Float32Array): WasmInput {
    const address = this.allocateInput(Math.max(4, values.length * 4));
    (values instanceof Int32Array ? this.space.i32 : this.space.f32).set(values, address >>> 2);
    if (this.inputCount === this.inputs.length) this.inputs.push(new WasmInput(this.place));
    return this.inputs[this.inputCount++].set(values.length, address);
  }

  /** The tensor as it lies in another memory, copied here: lives until the next `beginStep`. */
  receive(tensor: WasmTensor, from: Machine): WasmTensor {
    from.commands.flush();
    const { rows, cols, address } = tensor;
    const copy = this.allocateInput(Math.max(4, tensor.bytes));
    this.space.f32.set(from.space.f32.subarray(address >>> 2, (address >>> 2) + rows * cols), copy >>> 2);
    return this.step.tensor(rows, cols, copy);
  }

  /** The input as it lies in another memory, copied here once. Host inputs never change within a step. */
  receiveInput(input: WasmInput, from: Machine): WasmInput {
    const start = input.address >>> 2;
    const copy = input.copies[this.place] ?? this.input(from.space.i32.subarray(start, start + input.length));
    input.copies[this.place] = copy;
    return copy;
  }

  /** A vector or small table as it lies in another memory, copied here once, for good, as f32. @throws MemoryError */
  receiveWeight(weight: WasmWeight, from: Machine): WasmWeight {
    const found = weight.copies[this.place];
    if (found) return found;
    const { name, rows, cols } = weight;
    const source = from.elements(weight) >>> 2;
    const address = this.space.allocate(rows * cols * 4, `A copy of ${name}`);
    this.space.f32.set(from.space.f32.subarray(source, source + rows * cols), address >>> 2);
    const copy = new WasmWeight(name, "f32", rows, cols, this.place, address, rows * cols * 4);
    weight.copies[this.place] = copy;
    return copy;
  }

  /** Address of all elements of a vector or small matrix as f32, row by row. */
  elements(weight: WasmWeight): number {
    if (!(weight.place === this.place)) refuse("An operation", `the weight ${weight.name} of another memory`);
    if (weight.dtype === "f32") return weight.address;
    if (!(weight.kernelType === DTYPES[weight.dtype].ggml))
      refuse("An operation", `${weight.name}, which was laid out anew`);
    if (weight.expanded === 0) {
      const count = weight.rows * weight.cols;
      weight.expanded = this.space.allocate(count * 4, `The weight ${weight.name} in f32`);
      this.unpackRow(DTYPES[weight.dtype].ggml, weight.address, count, weight.expanded);
    }
    return weight.expanded;
  }

  /** Address of all elements of a small matrix as f32, column by column: [cols, rows]. Made once. */
  columns(weight: WasmWeight): number {
    const { rows, cols } = weight;
    if (weight.byColumns > 0) return weight.byColumns;
    const from = this.elements(weight) >>> 2;
    weight.byColumns = this.space.allocate(rows * cols * 4, `The weight ${weight.name} by columns`);
    const to = weight.byColumns >>> 2;
    const { f32 } = this.space;
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < cols; column++) f32[to + column * rows + row] = f32[from + row * cols + column];
    }
    return weight.byColumns;
  }

  /**
   * After a command that changes the weight: what was made of its numbers is made anew when it is next needed. The commands
   * that read the old one ran before that command began (see CommandList.begin).
   */
  forgetCopies(weight: WasmWeight): void {
    if (!(weight.copies.length === 0))
      refuse("An optimizer", `the weight ${weight.name}, which other memories hold copies of`);
    if (weight.byColumns > 0) this.space.release(weight.byColumns, weight.rows * weight.cols * 4);
    weight.byColumns = 0;
  }
}
