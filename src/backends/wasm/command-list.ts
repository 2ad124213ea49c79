/**
 * Commands wait in shared memory until a result is read or the list is full; then all threads run the list at once. A
 * small command runs on the calling thread alone. Threads meet before a command only if it reads what was written, or
 * writes what was read or written, since they last met: so the products of one input need no meeting between them.
 */
import * as abi from "../../../kernels/abi.js";
import { Footprint } from "./footprint.js";
import type { Pool } from "./pool.js";
import type { Space } from "./space.js";

const CAPACITY = 512;
/** Word of a command from which on all start at zero. */
const FIRST_COUNTER = (abi.COMMAND_ARGS + abi.RANGE_COUNTERS) / 4;
/** Work below this is not worth a meeting of threads, in nanoseconds of one thread. */
export const PARALLEL_NS = 5000;

export class CommandList {
  private readonly list: number;
  private readonly i32: Int32Array;
  private readonly f32: Float32Array;
  private count = 0;
  private anyParallel = false;
  private ofOptimizer = false;
  private cursor = 0;
  private cost = 0;
  private readonly own = new Footprint();
  private readonly byOne = new Footprint();
  private readonly byAll = new Footprint();

  constructor(
    private readonly pool: Pool,
    private readonly space: Space,
    private readonly parallelNs: number,
  ) {
    const bytes = CAPACITY * abi.COMMAND_BYTES;
    this.list = space.allocate(bytes, "The command list");
    this.i32 = new Int32Array(space.memory.buffer, this.list, bytes / 4);
    this.f32 = new Float32Array(space.memory.buffer, this.list, bytes / 4);
  }

  /**
   * Starts a command that keeps one thread busy for about `costNs`; arguments follow in their order, then `end`. Commands do
   * not say which weights they read, so those that change weights have lists of their own.
   */
  begin(opcode: number, costNs: number): this {
    const ofOptimizer = opcode === abi.ADAM_W;
    if (this.count === CAPACITY || ofOptimizer !== this.ofOptimizer) this.flush();
    this.ofOptimizer = ofOptimizer;
    const start = (this.count * abi.COMMAND_BYTES) / 4;
    this.i32[start] = opcode;
    this.i32.fill(0, start + FIRST_COUNTER, start + abi.COMMAND_BYTES / 4);
    this.cursor = start + abi.COMMAND_ARGS / 4;
    this.cost = costNs;
    this.own.clear();
    return this;
  }

  /** An integer or an address. */
  word(value: number): this {
    this.i32[this.cursor++] = value;
    return this;
  }

  float(value: number): this {
    this.f32[this.cursor++] = value;
    return this;
  }

  /** An address argument whose bytes the command reads. */
  reads(address: number, bytes: number): this {
    this.own.read(address, bytes);
    return this.word(address);
  }

  /** An address argument whose bytes the command writes. */
  writes(address: number, bytes: number): this {
    this.own.write(address, bytes);
    return this.word(address);
  }

  /** What the command touches beside its arguments, such as the pages of a cache, as a range of made-up addresses. */
  touches(start: number, count: number, written: boolean): this {
    if (written) this.own.write(start, count);
    else this.own.read(start, count);
    return this;
  }

  end(): void {
    const parallel = this.pool.threads > 1 && this.cost >= this.parallelNs;
    let flags = parallel ? abi.PARALLEL : 0;
    if (this.pool.threads > 1) {
      if (this.own.conflicts(this.byAll) || (parallel && this.own.conflicts(this.byOne))) {
        flags |= abi.MEET_BEFORE;
        this.byOne.clear();
        this.byAll.clear();
      }
      (parallel ? this.byAll : this.byOne).addAll(this.own);
    }
    this.anyParallel ||= parallel;
    this.i32[(this.count * abi.COMMAND_BYTES) / 4 + 1] = flags;
    this.count++;
  }

  /** Runs what waits; returns when it is done. */
  flush(): void {
    if (this.count === 0) return;
    const { count, anyParallel } = this;
    this.count = 0;
    this.anyParallel = false;
    this.byOne.clear();
    this.byAll.clear();
    this.pool.run(this.space.place, this.list, count, anyParallel);
  }

  /** Forgets what waits. */
  drop(): void {
    this.count = 0;
  }
}
