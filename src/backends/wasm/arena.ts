/**
 * Memory for activations: handed out front to back, given back all at once. An arena grows to its high-water mark and
 * then allocates nothing; its tensor objects are reused too.
 */
import type { Space } from "./space.js";
import { WasmTensor } from "./tensors.js";

export const SMALLEST_BLOCK = 65536;

export class Arena {
  private readonly blocks: { readonly start: number; readonly bytes: number }[] = [];
  private current = 0;
  private cursor = 0;
  private taken = 0;
  private mark = 0;
  private readonly tensors: WasmTensor[] = [];
  private tensorCount = 0;

  constructor(readonly space: Space) {}

  /** Forgets everything; the memory stays. */
  reset(): void {
    this.current = 0;
    this.cursor = 0;
    this.taken = 0;
    this.tensorCount = 0;
  }

  /** After a reset: joins blocks that were chained in mid-step into one; where none is to be had, the step chains them anew. */
  consolidate(): void {
    if (this.blocks.length < 2) return;
    this.release();
    if (this.space.fits(this.mark)) this.addBlock(this.mark);
  }

  release(): void {
    for (const { start, bytes } of this.blocks) this.space.release(start, bytes);
    this.blocks.length = 0;
  }

  /** An uninitialised piece, a multiple of 64 bytes long. @throws MemoryError */
  allocate(bytes: number): number {
    const size = Math.ceil(bytes / 64) * 64;
    while (this.current < this.blocks.length) {
      const block = this.blocks[this.current];
      if (this.cursor + size <= block.bytes) break;
      this.current++;
      this.cursor = 0;
    }
    if (this.current === this.blocks.length) this.addBlock(size);
    const start = this.blocks[this.current].start + this.cursor;
    this.cursor += size;
    this.taken += size;
    this.mark = Math.max(this.mark, this.taken);
    return start;
  }

  /** A tensor object for [rows, cols] at `address`. */
  tensor(rows: number, cols: number, address: number): WasmTensor {
    if (this.tensorCount === this.tensors.length) this.tensors.push(new WasmTensor(this));
    return this.tensors[this.tensorCount++].set(rows, cols, address);
  }

  private addBlock(bytes: number): void {
    const size = Math.max(SMALLEST_BLOCK, bytes);
    this.blocks.push({ start: this.space.allocate(size, "A step's activations"), bytes: size });
  }
}
