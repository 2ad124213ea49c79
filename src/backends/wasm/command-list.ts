/**
 * Commands wait in shared memory until a result is read or the list is full; then all threads run the list at once. A
 * small command runs on the calling thread alone. Threads meet before a command only if it reads what was written, or
 * writes what was read or written, since they last met: so the products of one input need no meeting between them.
 */
import * as abi from "../../../kernels/abi.js";
import { Footprint } from "./footprint.js";
import type { Space } from "./space.js";

const CAPACITY = 512;
/** Word of a command from which on all start at zero. */
const FIRST_COUNTER = (abi.COMMAND_ARGS + abi.RANGE_COUNTERS) / 4;
/** Work below this is not worth a meeting of threads, in nanoseconds of one thread. */
export const PARALLEL_NS = 5000;

/** What runs lists: the pool of threads. */
export interface ListRunner {
  readonly threads: number;
  run(place: number, list: number, count: number, parallel: boolean): void;
}

/** Is told of every command that is about to run: its opcode and flags (kernels/abi.ts). */
export type CommandWatcher = (opcode: number, flags: number) => void;

export class CommandList {
  /** Costs nothing while there is none. */
  watcher: CommandWatcher | undefined;
  /** Whether there are threads to meet; else nobody asks what commands touch. */
  readonly meets: boolean;
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
    private readonly pool: ListRunner,
    private readonly space: Space,
    private readonly parallelNs: number,
  ) {
    this.meets = pool.threads > 1;
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
    if (this.meets) this.own.read(address, bytes);
    return this.word(address);
  }

  /** An address argument whose bytes the command writes. */
  writes(address: number, bytes: number): this {
    if (this.meets) this.own.write(address, bytes);
    return this.word(address);
  }

  /** What the command touches beside its arguments, such as the pages of a cache, as a range of made-up addresses. */
  touches(start: number, count: number, written: boolean): this {
    if (!this.meets) return this;
    if (written) this.own.write(start, count);
    else this.own.read(start, count);
    return this;
  }

  end(): void {
    const parallel = this.meets && this.cost >= this.parallelNs;
    let flags = parallel ? abi.PARALLEL : 0;
    if (this.meets) {
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
    if (this.watcher) this.tell(this.watcher);
    const { count, anyParallel } = this;
    this.count = 0;
    this.anyParallel = false;
    this.byOne.clear();
    this.byAll.clear();
    this.pool.run(this.space.place, this.list, count, anyParallel);
  }

  private tell(watcher: CommandWatcher): void {
    for (let i = 0; i < this.count; i++) {
      const start = (i * abi.COMMAND_BYTES) / 4;
      watcher(this.i32[start], this.i32[start + 1]);
    }
  }

  /** Forgets what waits. */
  drop(): void {
    this.count = 0;
  }
}
