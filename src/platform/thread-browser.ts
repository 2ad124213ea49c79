/**
 * Threads for browsers: Web Workers behind the Thread interface.
 */
import type { Thread, ThreadPort } from "../util/platform.js";

/** Starts a worker that runs a classic script. */
export function spawnScriptThread(source: string, name: string): Thread {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const worker = new Worker(url, { name });
  // Not earlier: not every browser has taken hold of the script when the constructor returns.
  worker.addEventListener("message", () => URL.revokeObjectURL(url), { once: true });
  return new WebWorkerThread(worker);
}

/** The way from inside a worker to the page that started it. `scope` is the worker's global `self`. */
export function parentThreadPort(scope: WorkerScope): ThreadPort {
  return {
    post: (message, transfer) => scope.postMessage(message, { transfer: [...(transfer ?? [])] }),
    onMessage: (listener) => scope.addEventListener("message", (event) => listener(event.data)),
  };
}

/** What this module uses of a dedicated worker's global scope (TypeScript's DOM types have the page's only). */
export interface WorkerScope {
  postMessage(message: unknown, options: { transfer: ArrayBuffer[] }): void;
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void;
}

export class WebWorkerThread implements Thread {
  readonly #worker: Worker;

  constructor(worker: Worker) {
    this.#worker = worker;
  }

  post(message: unknown, transfer?: readonly ArrayBuffer[]): void {
    this.#worker.postMessage(message, [...(transfer ?? [])]);
  }

  onMessage(listener: (message: unknown) => void): void {
    this.#worker.addEventListener("message", (event) => listener(event.data));
  }

  onFailure(listener: (error: Error) => void): void {
    const worker = this.#worker;
    worker.addEventListener("error", (event) =>
      listener(new Error(event.message || "The worker's script failed to load.")),
    );
    worker.addEventListener("messageerror", () => listener(new Error("A message of the worker could not be read.")));
  }

  keepAlive(): void {}

  async terminate(): Promise<void> {
    this.#worker.terminate();
  }
}
