/** Handles of the Wasm backend: addresses in its memories. `place` is the number of the memory. */
import { DTYPES, type DType } from "../../tensor/dtype.js";
import type { StepInput, Tensor, Weight } from "../../tensor/tensor.js";
import { InternalError } from "../../util/errors.js";
import type { VisitPlan } from "./training/visit.js";

/** What a tensor needs of the memory that it lies in. */
export interface TensorMemory {
  readonly space: { readonly place: number };
  allocate(bytes: number): number;
}

/** Rows [first, first + rows) of a tensor as integers. */
export class ActivationForm {
  /** The opcode of the command that makes it. */
  maker = 0;
  first = 0;
  rows = 0;
  address = 0;
}

/** Activations; the object is reused when its arena is. */
export class WasmTensor implements Tensor {
  /** @param arena whose life it shares; what is derived from it lies there too */
  constructor(readonly arena: TensorMemory) {
    this.place = arena.space.place;
  }

  readonly place: number;

  rows = 0;
  cols = 0;
  address = 0;
  /** Integer forms of some of the rows (ops/activations.ts), made by the first product that needs them. */
  private readonly forms: ActivationForm[] = [];
  /** How many of them are of the present rows: the objects stay, since a list that is emptied makes garbage. */
  private formCount = 0;

  set(rows: number, cols: number, address: number): this {
    this.rows = rows;
    this.cols = cols;
    this.address = address;
    this.forgetForms();
    return this;
  }

  /** Must be called when the rows are written anew. */
  forgetForms(): void {
    this.formCount = 0;
  }

  /** The address of the rows' integers by the maker; 0: not made. */
  formOf(maker: number, first: number, rows: number): number {
    for (let i = 0; i < this.formCount; i++) {
      const known = this.forms[i];
      if (known.maker === maker && known.first === first && known.rows === rows) return known.address;
    }
    return 0;
  }

  keepForm(maker: number, first: number, rows: number, address: number): void {
    if (this.formCount === this.forms.length) this.forms.push(new ActivationForm());
    const form = this.forms[this.formCount++];
    form.maker = maker;
    form.first = first;
    form.rows = rows;
    form.address = address;
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
    /** E of a stack of experts' matrices. */
    readonly experts = 1,
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
  return handle instanceof kind ? handle : foreign(handle);
}

// The same for the classes that every command asks about, one function each: where the class is a constant, V8 makes of
// `instanceof` a comparison.

export function ownTensor(handle: object): WasmTensor {
  return handle instanceof WasmTensor ? handle : foreign(handle);
}

export function ownInput(handle: object): WasmInput {
  return handle instanceof WasmInput ? handle : foreign(handle);
}

export function ownWeight(handle: object): WasmWeight {
  return handle instanceof WasmWeight ? handle : foreign(handle);
}

/** @throws InternalError */
export function foreign(handle: object): never {
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
