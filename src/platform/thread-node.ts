/**
 * Threads for Node, over worker_threads. A script worker sees the globals that a browser's worker has (`onmessage`,
 * `postMessage`, `self`, `close`), so that one script runs on both.
 */
import { parentPort, Worker } from "node:worker_threads";
import { ArgumentError } from "../util/errors.js";
import type { Thread, ThreadPort } from "../util/platform.js";

/** On one line, so that the line numbers of the script stay right. */
const BROWSER_GLOBALS = [
  'const { parentPort: __port } = require("node:worker_threads");',
  "globalThis.self = globalThis; globalThis.onmessage = null;",
  "globalThis.postMessage = (message, transfer) => __port.postMessage(message, transfer);",
  "globalThis.close = () => __port.close();",
  '__port.on("message", (data) => globalThis.onmessage?.({ data }));',
].join(" ");

/**
 * Node's options of the process are not for the threads: a loader would be loaded into each of them, and with
 * `--input-type`, as in `node --input-type=module --eval`, no thread would start. So a thread's `process.execArgv` does
 * not tell what V8's flags are: see wide-node.ts.
 */
const NO_OPTIONS: string[] = [];

/**
 * A step makes some garbage for every token. V8 lets what holds new objects grow to more than 100 MB under a steady stream of
 * it, and does not always give that back in idle time (V8 13.6); a few megabytes are as fast.
 */
const YOUNG_MEMORY = { maxYoungGenerationSizeMb: 6 };

/** Starts a thread that runs a classic script. */
export function spawnScriptThread(source: string, name: string): Thread {
  return new WorkerThread(new Worker(`${BROWSER_GLOBALS} ${source}`, { eval: true, name, execArgv: NO_OPTIONS }));
}

/** Starts a thread that runs a module. */
export function spawnModuleThread(url: URL, name: string): Thread {
  return new WorkerThread(new Worker(url, { name, execArgv: NO_OPTIONS, resourceLimits: YOUNG_MEMORY }));
}

/** The way from inside a thread to the one that started it. @throws ArgumentError in the main thread */
export function parentThreadPort(): ThreadPort {
  const port = parentPort;
  if (!port)
    throw new ArgumentError('"sluice/engine-thread" is what the engine\'s thread begins with; import "sluice".');
  return {
    post: (message, transfer) => port.postMessage(message, transfer ?? []),
    onMessage: (listener) => {
      port.on("message", listener);
    },
  };
}

class WorkerThread implements Thread {
  private readonly worker: Worker;
  private terminated = false;

  constructor(worker: Worker) {
    this.worker = worker;
    // Every message needs a listener, and an 'error' without one would end the process.
    worker.on("error", () => {});
  }

  post(message: unknown, transfer?: readonly ArrayBuffer[]): void {
    this.worker.postMessage(message, transfer ?? []);
  }

  onMessage(listener: (message: unknown) => void): void {
    this.worker.on("message", listener);
  }

  onFailure(listener: (error: Error) => void): void {
    let told = false;
    const tell = (error: Error) => {
      if (told || this.terminated) return;
      told = true;
      listener(error);
    };
    this.worker.on("error", tell);
    this.worker.on("messageerror", tell);
    // process.exit in the thread, or an end without an error event.
    this.worker.on("exit", (code) => tell(new Error(`The thread ended with exit code ${code}.`)));
  }

  keepAlive(alive: boolean): void {
    if (alive) this.worker.ref();
    else this.worker.unref();
  }

  async terminate(): Promise<void> {
    this.terminated = true;
    await this.worker.terminate();
  }
}
