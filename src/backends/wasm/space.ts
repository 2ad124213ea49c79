/**
 * One WebAssembly memory and its allocator: first fit over a sorted list of free blocks, grown at the end. It starts small
 * and grows. A backend has several when a model does not fit into one; a space's place is its number among them.
 */
import { SCRATCH_BYTES } from "../../../kernels/abi.js";
import { MemoryError } from "../../util/errors.js";

const WASM_PAGE = 65536;
/** One page less than 4 GiB, so that the address after the last byte still fits in 32 bits. */
const MOST_PAGES = 65535;
/** Bytes; a memory with less is of no use to a model. */
export const LEAST_MEMORY = 2 ** 20;

/** The same where so many threads have scratch memory in it. */
export function leastMemory(threads: number): number {
  return LEAST_MEMORY + (threads - 1) * SCRATCH_BYTES;
}

/** The most that one memory with this limit holds: whole pages. */
export function spaceLimit(limitBytes: number): number {
  return Math.max(1, Math.min(MOST_PAGES, Math.floor(limitBytes / WASM_PAGE))) * WASM_PAGE;
}
/** Everything starts at a cache line. */
const ALIGNMENT = 64;

interface Block {
  start: number;
  bytes: number;
}

export class Space {
  readonly memory: WebAssembly.Memory;
  readonly limitBytes: number;
  private readonly blocks: Block[] = [];
  private end = 0;
  private used = 0;
  private views: { readonly u8: Uint8Array; readonly i32: Int32Array; readonly f32: Float32Array };

  /** @throws MemoryError when the address space for `limitBytes` is not to be had */
  constructor(
    limitBytes: number,
    readonly place = 0,
  ) {
    this.limitBytes = spaceLimit(limitBytes);
    try {
      this.memory = new WebAssembly.Memory({ initial: 1, maximum: this.limitBytes / WASM_PAGE, shared: true });
    } catch (error) {
      throw new MemoryError(
        `A shared WebAssembly memory of at most ${this.limitBytes} bytes was refused (${error}). ` +
          "Lower the memory limit; in a browser, the page must be cross-origin isolated.",
        { limitBytes: this.limitBytes },
      );
    }
    this.end = WASM_PAGE;
    this.views = this.makeViews();
  }

  /** Bytes handed out. */
  get usedBytes(): number {
    return this.used;
  }

  /** Bytes still to be handed out, in however many pieces. */
  get leftBytes(): number {
    return this.blocks.reduce((sum, block) => sum + block.bytes, this.limitBytes - this.end);
  }

  /** The whole memory as bytes. Views taken before the memory grew stay valid for what they cover. */
  get u8(): Uint8Array {
    return this.views.u8;
  }
  get i32(): Int32Array {
    return this.views.i32;
  }
  get f32(): Float32Array {
    return this.views.f32;
  }

  /** Opens [start, end of memory) for allocation; below lie the module's own constants. */
  open(start: number): void {
    const first = Math.ceil(start / ALIGNMENT) * ALIGNMENT;
    if (first > this.end) this.grow(first - this.end);
    this.blocks.push({ start: first, bytes: this.end - first });
  }

  /** An uninitialised block, aligned to 64 bytes; `purpose` is for the message. @throws MemoryError */
  allocate(bytes: number, purpose: string): number {
    const size = roundUp(bytes);
    let index = this.blocks.findIndex((block) => block.bytes >= size);
    if (index < 0) index = this.extend(size, purpose);
    const block = this.blocks[index];
    const { start } = block;
    block.start += size;
    block.bytes -= size;
    if (block.bytes === 0) this.blocks.splice(index, 1);
    this.used += size;
    return start;
  }

  /** Whether `allocate` would succeed. */
  fits(bytes: number): boolean {
    const size = roundUp(bytes);
    return size <= this.limitBytes - this.end + this.tailBytes() || this.blocks.some((block) => block.bytes >= size);
  }

  /** Gives back what `allocate(bytes)` returned. */
  release(start: number, bytes: number): void {
    const size = roundUp(bytes);
    this.used -= size;
    let index = this.blocks.findIndex((block) => block.start > start);
    if (index < 0) index = this.blocks.length;
    this.blocks.splice(index, 0, { start, bytes: size });
    this.joinWithNext(index);
    if (index > 0) this.joinWithNext(index - 1);
  }

  private joinWithNext(index: number): void {
    const block = this.blocks[index];
    const next = this.blocks.at(index + 1);
    if (next === undefined || block.start + block.bytes !== next.start) return;
    block.bytes += next.bytes;
    this.blocks.splice(index + 1, 1);
  }

  /** Free bytes at the very end. */
  private tailBytes(): number {
    const last = this.blocks.at(-1);
    return last !== undefined && last.start + last.bytes === this.end ? last.bytes : 0;
  }

  /** Grows until the last block has `size` bytes; returns its index. */
  private extend(size: number, purpose: string): number {
    const tail = this.tailBytes();
    const missing = Math.ceil((size - tail) / WASM_PAGE) * WASM_PAGE;
    if (this.end + missing > this.limitBytes) {
      throw new MemoryError(
        `${purpose} needs ${size} bytes, but only ${this.limitBytes - this.end + tail} of ${this.limitBytes} are left ` +
          "in the WebAssembly memory. Use a smaller model, a shorter context or a smaller cache type.",
        { neededBytes: size, availableBytes: this.limitBytes - this.end + tail, limitBytes: this.limitBytes },
      );
    }
    const start = this.end;
    this.grow(missing);
    if (tail > 0) this.blocks[this.blocks.length - 1].bytes += missing;
    else this.blocks.push({ start, bytes: missing });
    return this.blocks.length - 1;
  }

  private grow(bytes: number): void {
    const pages = Math.ceil(bytes / WASM_PAGE);
    try {
      this.memory.grow(pages);
    } catch (error) {
      throw new MemoryError(
        `The system refused ${pages * WASM_PAGE} more bytes beyond ${this.end} for the WebAssembly memory (${error}). ` +
          "Use a smaller model or a shorter context.",
        { neededBytes: pages * WASM_PAGE, takenBytes: this.end, limitBytes: this.limitBytes },
      );
    }
    this.end += pages * WASM_PAGE;
    this.views = this.makeViews();
  }

  private makeViews() {
    const { buffer } = this.memory;
    return { u8: new Uint8Array(buffer), i32: new Int32Array(buffer), f32: new Float32Array(buffer) };
  }
}

/** Bytes that `allocate(bytes)` takes. */
export function roundUp(bytes: number): number {
  return Math.max(ALIGNMENT, Math.ceil(bytes / ALIGNMENT) * ALIGNMENT);
}
