/** Handles of the Wasm backend: addresses in its memories. `place` is the number of the memory. */
import { QUANTISE_BYTES } from "../../../kernels/abi.js";
import { DTYPES, type DType } from "../../tensor/dtype.js";
import type { StepInput, Tensor, Weight } from "../../tensor/tensor.js";
import { InternalError } from "../../util/errors.js";
import type { Arena } from "./arena.js";
import type { VisitPlan } from "./training/visit-plan.js";

/** Activations; the object is reused when its arena is. */
export class WasmTensor implements Tensor {
  /** @param arena whose life it shares; what is derived from it lies there too */
  constructor(readonly arena: Arena) {
    this.place = arena.space.place;
  }

  readonly place: number;

  rows = 0;
  cols = 0;
  address = 0;
  /**
   * Addresses of the rows in the integer forms of kernels/quantise.ts, planes.ts and quantise-bytes.ts, by the opcode of the
   * command that made them; made by the first product that needs them, 0: not made.
   */
  readonly forms: number[] = new Array<number>(QUANTISE_BYTES + 1).fill(0);

  set(rows: number, cols: number, address: number): this {
    this.rows = rows;
    this.cols = cols;
    this.address = address;
    this.forgetForms();
    return this;
  }

  /** Must be called when the rows are written anew. */
  forgetForms(): void {
    // Not a Map: to clear one makes garbage.
    this.forms.fill(0);
  }

  get bytes(): number {
    return this.rows * this.cols * 4;
  }
}

export class WasmWeight implements Weight {
  /** Its elements in f32, made when a kernel first needs them; 0: not made. */
  expanded = 0;
  /** The same numbers in other memories, by place, made where they are first needed. */
  readonly copies: (WasmWeight | undefined)[] = [];
  /** The same by columns, [cols, rows]; 0: not made. */
  byColumns = 0;
  /** How kernels know the type: ggml's number, more for a weight that was laid out anew (ops/layout.ts). */
  kernelType: number;

  constructor(
    readonly name: string,
    readonly dtype: DType,
    readonly rows: number,
    readonly cols: number,
    readonly place: number,
    readonly address: number,
    readonly bytes: number,
  ) {
    this.kernelType = DTYPES[dtype].ggml;
  }
}

export class WasmInput implements StepInput {
  length = 0;
  address = 0;
  /** The same numbers in other memories, by place, made where they are first needed. */
  readonly copies: (WasmInput | undefined)[] = [];
  /** Addresses of what attention makes of buckets of distances and a table (ops/attention-adjust.ts), by table. */
  readonly biasRows = new Map<WasmWeight, number>();
  /** What attention for training makes of spans (training/visit-plan.ts), by the shape of the call. */
  readonly visitPlans = new Map<string, VisitPlan>();

  constructor(readonly place: number) {}

  set(length: number, address: number): this {
    this.length = length;
    this.address = address;
    this.copies.length = 0;
    // To clear an empty one makes garbage too.
    if (this.biasRows.size > 0) this.biasRows.clear();
    if (this.visitPlans.size > 0) this.visitPlans.clear();
    return this;
  }
}

/** Narrows a handle to this backend's class; a handle of another backend is a bug of the caller. */
export function own<C>(kind: new (...args: never[]) => C, handle: object): C {
  if (handle instanceof kind) return handle;
  throw new InternalError(`A handle of another backend (${handle.constructor.name}) reached the wasm backend.`);
}

/** Fails when a caller's promise about shapes does not hold: kernels would read other tensors' memory. */
export function expect(condition: boolean, operation: string, found: string): void {
  if (!condition) refuse(operation, found);
}

/** The same where the words must be put together, which would be garbage of every call that is right. */
export function refuse(operation: string, found: string): never {
  throw new InternalError(`${operation} got ${found}.`);
}

/** For messages. */
export const shape = ({ rows, cols }: { readonly rows: number; readonly cols: number }): string => `[${rows}, ${cols}]`;
