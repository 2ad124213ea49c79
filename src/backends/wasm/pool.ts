/**
 * The threads that run command lists (kernels/pool.ts has their life inside WebAssembly). The calling thread is number 0.
 * One pool serves all memories of a backend: a list is announced in the first memory, wherever it lies, so idle memories
 * have no threads that spin, and there are never more threads than were asked for.
 */
import * as abi from "../../../kernels/abi.js";
import { InternalError } from "../../util/errors.js";
import { KernelThread } from "./kernel-thread.js";
import { type KernelFunction, kernelFunction } from "./module.js";
import type { Space } from "./space.js";
import { installWide } from "./wide.js";

/** The calling thread's way into one memory. */
interface Site {
  readonly space: Space;
  readonly instance: WebAssembly.Instance;
  readonly control: number;
  readonly announce: KernelFunction;
  readonly take: KernelFunction;
  readonly runAlone: KernelFunction;
}

export class Pool {
  private readonly sites: Site[] = [];
  private readonly workers: KernelThread[] = [];
  private failure: Error | undefined;
  /** While threads are told of a further memory they hear of no list. */
  private listening = false;
  private readonly maySleep = canSleep() ? 1 : 0;

  private constructor(
    private readonly module: WebAssembly.Module,
    private readonly wide: WebAssembly.Module | undefined,
    readonly threads: number,
    home: Site,
  ) {
    this.sites.push(home);
  }

  /**
   * Starts `threads - 1` workers in the first memory. Opens the space above the module's constants. `wide`: the wide
   * module, which every instance of the kernels gets.
   */
  static async start(
    module: WebAssembly.Module,
    space: Space,
    threads: number,
    wide?: WebAssembly.Module,
  ): Promise<Pool> {
    const home = await siteIn(module, wide, space);
    const pool = new Pool(module, wide, threads, home);
    const onFailure = (error: Error) => void pool.fail(error);
    try {
      for (let thread = 1; thread < threads; thread++) {
        pool.workers.push(new KernelThread({ thread, threads, onFailure }));
      }
      await pool.introduce(home);
    } catch (error) {
      await pool.dispose();
      throw error;
    }
    return pool;
  }

  /** Makes a further memory, the next in number, known to all threads. Opens the space. No list may wait meanwhile. */
  async join(space: Space): Promise<void> {
    if (this.failure) throw this.failure;
    if (!this.listening || space.place !== this.sites.length) {
      throw new InternalError(`Memory ${space.place} came out of turn.`);
    }
    const site = await siteIn(this.module, this.wide, space);
    this.sites.push(site);
    this.announce(abi.NO_PLACE, 0, 0);
    await this.introduce(site);
  }

  private async introduce({ space, control }: Site): Promise<void> {
    this.listening = false;
    await Promise.all(
      this.workers.map((worker) =>
        worker.enter({ module: this.module, wide: this.wide, memory: space.memory, control }),
      ),
    );
    this.listening = true;
  }

  private announce(place: number, list: number, count: number): void {
    const home = this.sites[0];
    home.announce(home.control, place, list, count);
  }

  /** Another export of the module on the memory number `place`, for calls from this thread alone. */
  kernel(name: string, place: number): KernelFunction {
    return kernelFunction(this.sites[place].instance, name);
  }

  /**
   * Runs `count` commands at `list` of the memory number `place`; `parallel`: on all threads, else on the calling one.
   * @throws InternalError
   */
  run(place: number, list: number, count: number, parallel: boolean): void {
    if (this.failure) throw this.failure;
    const { control, take, runAlone } = this.sites[place];
    let status = 0;
    try {
      if (parallel && this.listening) {
        this.announce(place, list, count);
        status = take(control, list, count, 0, this.threads, this.maySleep);
      } else runAlone(list, count);
    } catch (error) {
      throw this.fail(new InternalError(`A kernel failed: ${error}.`, {}, { cause: error }));
    }
    if (status === 0) return;
    const reason = status === abi.FAILED_STALL ? "did not answer in time" : "failed";
    throw this.fail(new InternalError(`A kernel thread ${reason}.`));
  }

  /** No list runs any more; threads that wait give up. */
  private fail(error: Error): Error {
    this.failure ??= error;
    for (const { space, control } of this.sites) {
      Atomics.compareExchange(space.i32, (control + abi.FAILURE) >>> 2, 0, abi.FAILED_TRAP);
      Atomics.notify(space.i32, (control + abi.GENERATION) >>> 2);
    }
    return this.failure;
  }

  /** Ends the threads and lets go of the memories. */
  async dispose(): Promise<void> {
    this.failure ??= new InternalError("The backend was disposed of.");
    const home = this.sites.at(0);
    this.sites.length = 0;
    if (!home) return;
    const { i32 } = home.space;
    Atomics.store(i32, (home.control + abi.STOP) >>> 2, 1);
    Atomics.add(i32, (home.control + abi.EPOCH) >>> 2, 1);
    Atomics.notify(i32, (home.control + abi.EPOCH) >>> 2);
    await Promise.all(this.workers.map((worker) => worker.terminate()));
    this.workers.length = 0;
  }
}

/** Instantiates the modules on a memory, opens its space and lays out the control block. */
async function siteIn(module: WebAssembly.Module, wide: WebAssembly.Module | undefined, space: Space): Promise<Site> {
  const instance = await WebAssembly.instantiate(module, { env: { memory: space.memory } });
  if (wide) installWide(instance, wide, space.memory);
  space.open(kernelFunction(instance, "heapBase")());
  const control = space.allocate(abi.CONTROL_BYTES, "The thread pool");
  space.u8.fill(0, control, control + abi.CONTROL_BYTES);
  return {
    space,
    instance,
    control,
    announce: kernelFunction(instance, "announce"),
    take: kernelFunction(instance, "take"),
    runAlone: kernelFunction(instance, "runAlone"),
  };
}

/** A browser's main thread must not sleep in Atomics.wait. */
function canSleep(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1, 0);
    return true;
  } catch {
    return false;
  }
}
