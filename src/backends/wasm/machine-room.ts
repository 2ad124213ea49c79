/** The machines of a backend, one for each memory: the first is there from the start, others are added as a model needs. */
import { SMALLEST_BLOCK } from "./arena.js";
import { type ByteForm, byteForm, NO_WIDE, preciseForm, SIXTEEN } from "./byte-form.js";
import { PARALLEL_NS } from "./command-list.js";
import { type ForcedForm, forceProducts } from "./forced-form.js";
import { Machine } from "./machine.js";
import { Pool } from "./pool.js";
import { LEAST_MEMORY, Space, spaceLimit } from "./space.js";
import { wideProducts } from "./wide-integers.js";

/** Of a machine. */
const ARENAS = 3;

export interface MachineRoomOptions {
  readonly threads: number;
  /** Most bytes of one memory. */
  readonly memoryBytes: number;
  /** Most bytes of all memories together. */
  readonly maxMemoryBytes: number;
  readonly parallelNs?: number | undefined;
  /** The kernels have relaxed SIMD. */
  readonly relaxed: boolean;
  /** No product takes activations of 8 bits. */
  readonly precise?: boolean | undefined;
  /** The wide module, for such products and for attention. */
  readonly wide?: WebAssembly.Module | undefined;
  /** What SLUICE_FORM forces. */
  readonly forced?: ForcedForm | undefined;
}

export class MachineRoom {
  /** By place. */
  readonly machines: Machine[] = [];
  /** Bytes of each memory that are not for a model: constants, command list, scratch memory, the first of the arenas. */
  private readonly overheadBytes: number;
  private readonly form: ByteForm;

  private constructor(
    readonly pool: Pool,
    home: Space,
    private readonly options: MachineRoomOptions,
  ) {
    const { relaxed, precise, wide, forced = {} } = options;
    const probe = pool.kernel("probeBytes", 0);
    const products = wide ? wideProducts(wide) : NO_WIDE;
    const own = relaxed ? byteForm(probe, products) : SIXTEEN;
    const form = forceProducts(forced, own, { probe, relaxed, wide: products, hasWide: wide !== undefined });
    this.form = precise ? preciseForm(form) : form;
    this.machines.push(this.machineIn(home));
    this.overheadBytes = home.limitBytes - home.leftBytes + ARENAS * SMALLEST_BLOCK;
  }

  /** @throws MemoryError, InternalError when a thread cannot start */
  static async open(module: WebAssembly.Module, options: MachineRoomOptions): Promise<MachineRoom> {
    const home = new Space(limitOf(0, options));
    const pool = await Pool.start(module, home, options.threads, options.wide);
    try {
      return new MachineRoom(pool, home, options);
    } catch (error) {
      await pool.dispose();
      throw error;
    }
  }

  /** Bytes that all memories together may have. */
  get mostBytes(): number {
    const { memoryBytes, maxMemoryBytes } = this.options;
    if (maxMemoryBytes === Number.POSITIVE_INFINITY) return maxMemoryBytes;
    const whole = Math.floor(maxMemoryBytes / spaceLimit(memoryBytes));
    return whole * spaceLimit(memoryBytes) + limitOf(whole, this.options);
  }

  /** Bytes that the memory of that number has, or would have, for a model; 0: there can be no such memory. */
  roomOf(place: number): number {
    return Math.max(0, limitOf(place, this.options) - this.overheadBytes);
  }

  /** Makes one more memory. @throws MemoryError */
  async add(): Promise<void> {
    const place = this.machines.length;
    const space = new Space(limitOf(place, this.options), place);
    await this.pool.join(space);
    this.machines.push(this.machineIn(space));
  }

  private machineIn(space: Space): Machine {
    const { parallelNs = PARALLEL_NS, wide } = this.options;
    return new Machine(space, this.pool, parallelNs, this.form, wide !== undefined);
  }

  async dispose(): Promise<void> {
    for (const machine of this.machines) machine.commands.drop();
    this.machines.length = 0;
    await this.pool.dispose();
  }
}

/** Limit of the memory of that number: the last one gets what is left; 0 when that is too little for a memory. */
function limitOf(place: number, { memoryBytes, maxMemoryBytes }: MachineRoomOptions): number {
  const each = spaceLimit(memoryBytes);
  const left = Math.min(each, maxMemoryBytes - place * each);
  return left < LEAST_MEMORY ? 0 : spaceLimit(left);
}
