/**
 * One thread of the pool beside the calling one. It has an instance of the kernels for every memory, waits for lists
 * inside WebAssembly, and goes back to its event loop only to be told of a further memory.
 */
import * as abi from "../../../kernels/abi.js";
import { InternalError, SluiceError } from "../../util/errors.js";
import { platform, type Thread } from "../../util/platform.js";
import { WIDE_FUNCTIONS } from "./wide.js";

/** The script of a thread. A trap sets the failure word of every memory, which the others look at while they wait. */
const SCRIPT = `
const sites = [];
let epoch = 0;
onmessage = ({ data: { module, wide, memory, control, thread, threads } }) => {
  try {
    const { take, awaitList, table } = new WebAssembly.Instance(module, { env: { memory } }).exports;
    if (wide) {
      const functions = new WebAssembly.Instance(wide, { env: { memory } }).exports;
      for (const [name, slot] of Object.entries(${JSON.stringify(WIDE_FUNCTIONS)})) {
        if (table.length <= slot) table.grow(slot + 1 - table.length);
        table.set(slot, functions[name]);
      }
    }
    sites.push({ take, awaitList, control, words: new Int32Array(memory.buffer) });
    postMessage({ ready: true });
    serve(thread, threads);
  } catch (error) {
    for (const { words, control } of sites) {
      Atomics.store(words, (control + ${abi.FAILURE}) >> 2, ${abi.FAILED_TRAP});
      Atomics.notify(words, (control + ${abi.GENERATION}) >> 2);
    }
    postMessage({ failed: String(error) });
  }
};
function serve(thread, threads) {
  const { awaitList, control, words } = sites[0];
  while (awaitList(control, epoch)) {
    epoch = (epoch + 1) | 0;
    const place = words[(control + ${abi.LIST_PLACE}) >> 2];
    if (place === ${abi.NO_PLACE}) return;
    const list = words[(control + ${abi.LIST}) >> 2];
    const count = words[(control + ${abi.LIST_COUNT}) >> 2];
    if (sites[place].take(sites[place].control, list, count, thread, threads, 1) !== 0) return;
  }
}
`;

/** A memory, the control block there, and the modules whose instances work on it. */
export interface ThreadSite {
  readonly module: WebAssembly.Module;
  readonly wide: WebAssembly.Module | undefined;
  readonly memory: WebAssembly.Memory;
  readonly control: number;
}

export interface KernelThreadOptions {
  /** Its number, from 1, and the number of all, the calling thread included. */
  readonly thread: number;
  readonly threads: number;
  /** The thread ended or a kernel trapped on it. */
  readonly onFailure: (error: Error) => void;
}

export class KernelThread {
  private readonly worker: Thread;
  private entered: { readonly resolve: () => void; readonly reject: (error: Error) => void } | undefined;

  constructor(private readonly options: KernelThreadOptions) {
    this.worker = platform().spawnScript(SCRIPT, `sluice-kernels-${options.thread}`);
    const ended = (reason: string) => new InternalError(`Kernel thread ${options.thread} ended: ${reason}.`);
    this.worker.onFailure((error) => this.fail(error instanceof SluiceError ? error : ended(error.message)));
    this.worker.onMessage((message) => {
      if (typeof message === "object" && message !== null && "failed" in message) {
        return this.fail(ended(String(message.failed)));
      }
      this.worker.keepAlive(false);
      this.entered?.resolve();
    });
  }

  /** Gives it one more memory; resolves when it waits for lists. It must not be waiting now. */
  enter(site: ThreadSite): Promise<void> {
    const { thread, threads } = this.options;
    this.worker.keepAlive(true);
    return new Promise((resolve, reject) => {
      this.entered = { resolve, reject };
      this.worker.post({ ...site, thread, threads });
    });
  }

  private fail(error: Error): void {
    this.options.onFailure(error);
    this.entered?.reject(error);
  }

  terminate(): Promise<void> {
    return this.worker.terminate();
  }
}
