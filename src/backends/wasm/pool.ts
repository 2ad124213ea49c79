/**
 * The threads that run command lists (kernels/pool.ts has their life inside WebAssembly). The calling thread is number 0;
 * the others instantiate the same module on the same memory and never return to JavaScript while the pool lives.
 */
import * as abi from "../../../kernels/abi.js";
import { InternalError, SluiceError } from "../../util/errors.js";
import { platform, type Thread } from "../../util/platform.js";
import { type KernelFunction, kernelFunction } from "./module.js";
import type { Space } from "./space.js";

/** The script of a thread. A trap sets the failure word, which the others look at while they wait. */
const WORKER = `
onmessage = ({ data: { module, memory, control, thread, threads } }) => {
  try {
    const { work } = new WebAssembly.Instance(module, { env: { memory } }).exports;
    postMessage({ ready: true });
    work(control, thread, threads);
  } catch (error) {
    const words = new Int32Array(memory.buffer);
    Atomics.store(words, (control + ${abi.FAILURE}) >> 2, ${abi.FAILED_TRAP});
    Atomics.notify(words, (control + ${abi.GENERATION}) >> 2);
    postMessage({ failed: String(error) });
  }
};
`;

export class Pool {
  private readonly workers: Thread[] = [];
  private failure: Error | undefined;
  private readonly runAll: KernelFunction;
  private readonly runAlone: KernelFunction;
  private readonly maySleep = canSleep() ? 1 : 0;

  private constructor(
    readonly threads: number,
    private readonly instance: WebAssembly.Instance,
    private readonly space: Space,
    private readonly control: number,
  ) {
    this.runAll = kernelFunction(instance, "run");
    this.runAlone = kernelFunction(instance, "runAlone");
  }

  /** Opens the space above the module's constants and starts `threads - 1` workers. */
  static async start(module: WebAssembly.Module, space: Space, threads: number): Promise<Pool> {
    const instance = await WebAssembly.instantiate(module, { env: { memory: space.memory } });
    space.open(kernelFunction(instance, "heapBase")());
    const control = space.allocate(abi.CONTROL_BYTES, "The thread pool");
    space.u8.fill(0, control, control + abi.CONTROL_BYTES);
    const pool = new Pool(threads, instance, space, control);
    try {
      const starts: Promise<void>[] = [];
      for (let thread = 1; thread < threads; thread++) starts.push(pool.startWorker(module, thread));
      await Promise.all(starts);
    } catch (error) {
      await pool.dispose();
      throw error;
    }
    return pool;
  }

  private startWorker(module: WebAssembly.Module, thread: number): Promise<void> {
    const worker = platform().spawnScript(WORKER, `sluice-kernels-${thread}`);
    this.workers.push(worker);
    const { threads, control } = this;
    return new Promise((resolve, reject) => {
      const fail = (reason: string) => new InternalError(`Kernel thread ${thread} ended: ${reason}.`);
      worker.onFailure((error) => reject(this.fail(error instanceof SluiceError ? error : fail(error.message))));
      worker.onMessage((message) => {
        if (typeof message === "object" && message !== null && "failed" in message) {
          return reject(this.fail(fail(String(message.failed))));
        }
        worker.keepAlive(false);
        resolve();
      });
      worker.post({ module, memory: this.space.memory, control, thread, threads });
    });
  }

  /** Another export of the module, for calls from this thread alone. */
  kernel(name: string): KernelFunction {
    return kernelFunction(this.instance, name);
  }

  /** Runs `count` commands at `list`; `parallel`: on all threads, else on the calling one. @throws InternalError */
  run(list: number, count: number, parallel: boolean): void {
    if (this.failure) throw this.failure;
    let status = 0;
    try {
      if (parallel) status = this.runAll(this.control, list, count, this.threads, this.maySleep);
      else this.runAlone(list, count);
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
    Atomics.compareExchange(this.space.i32, (this.control + abi.FAILURE) >>> 2, 0, abi.FAILED_TRAP);
    this.wake(abi.GENERATION);
    return this.failure;
  }

  private wake(word: number): void {
    Atomics.notify(this.space.i32, (this.control + word) >>> 2);
  }

  async dispose(): Promise<void> {
    this.failure ??= new InternalError("The backend was disposed of.");
    Atomics.store(this.space.i32, (this.control + abi.STOP) >>> 2, 1);
    Atomics.add(this.space.i32, (this.control + abi.EPOCH) >>> 2, 1);
    this.wake(abi.EPOCH);
    await Promise.all(this.workers.map((worker) => worker.terminate()));
    this.workers.length = 0;
  }
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
