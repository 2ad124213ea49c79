/**
 * What a state-space layer remembers: numbers in the memory of its layer that outlive steps. No arena owns them, so they are
 * no WasmTensor, and only the operations that take them by name read them.
 */
import type { KeptTensor } from "../../tensor/tensor.js";
import { InternalError } from "../../util/errors.js";
import type { KvOwner } from "./kv-owner.js";
import { own, shape } from "./tensors.js";

export class WasmKept implements KeptTensor {
  readonly address: number;
  private disposed = false;

  /** Zeros. @throws MemoryError */
  constructor(
    private readonly owner: KvOwner,
    readonly rows: number,
    readonly cols: number,
  ) {
    this.address = owner.space.allocate(this.bytes, "What a layer remembers");
    this.numbers().fill(0);
  }

  get place(): number {
    return this.owner.space.place;
  }

  get bytes(): number {
    return this.rows * this.cols * 4;
  }

  async read(): Promise<Float32Array> {
    this.owner.flush();
    return this.numbers().slice();
  }

  write(values: Float32Array): void {
    const numbers = this.numbers();
    if (values.length !== numbers.length) {
      throw new InternalError(`A kept tensor of ${shape(this)} was given ${values.length} numbers.`);
    }
    this.owner.flush();
    numbers.set(values);
  }

  copy(other: KeptTensor): void {
    this.write(own(WasmKept, other).numbers());
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.owner.flush();
    this.owner.space.release(this.address, this.bytes);
  }

  /** Where they lie. The view is made anew: growing the memory replaces its buffer. */
  private numbers(): Float32Array {
    if (this.disposed) throw new InternalError("A kept tensor was used after dispose.");
    const start = this.address >>> 2;
    return this.owner.space.f32.subarray(start, start + this.rows * this.cols);
  }
}
