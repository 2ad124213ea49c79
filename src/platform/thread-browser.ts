/**
 * Threads for browsers: Web Workers behind the Thread interface.
 */
import { NotFoundError, UnsupportedError } from "../util/errors.js";
import type { Thread, ThreadPort } from "../util/platform.js";

/**
 * Chromium never ends a worker that is terminated right after its own workers were: a model's memory would stay taken
 * (GoogleChromeLabs/wasm-bindgen-rayon#37). Browsers do not say when a worker has ended; 5 ms were enough in every trial.
 */
const ENDING_MS = 100;

/** How a page becomes one whose threads may share memory. */
export const ISOLATING =
  "Serve it and its scripts with the headers Cross-Origin-Opener-Policy: same-origin and " +
  "Cross-Origin-Embedder-Policy: require-corp";

/** Whether threads may share memory: the page or worker is cross-origin isolated. */
export function sharesMemory(): boolean {
  return globalThis.crossOriginIsolated === true;
}

/** Starts a worker that runs a classic script. @throws UnsupportedError where it could share no memory */
export function spawnScriptThread(source: string, name: string): Thread {
  if (!sharesMemory()) {
    throw new UnsupportedError(
      `Kernel threads share memory, but this page is not cross-origin isolated. ${ISOLATING}, or load with 1 thread.`,
    );
  }
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const worker = new Worker(url, { name });
  // Not earlier: not every browser has taken hold of the script when the constructor returns.
  worker.addEventListener("message", () => URL.revokeObjectURL(url), { once: true });
  return new WebWorkerThread(worker, "The page's content security policy must allow workers from blob: URLs");
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
  private readonly worker: Worker;
  private readonly loading: string;

  /** `loading` says what the worker's script needs to load, for the message when it does not. */
  constructor(worker: Worker, loading: string) {
    this.worker = worker;
    this.loading = loading;
  }

  post(message: unknown, transfer?: readonly ArrayBuffer[]): void {
    this.worker.postMessage(message, [...(transfer ?? [])]);
  }

  onMessage(listener: (message: unknown) => void): void {
    this.worker.addEventListener("message", (event) => listener(event.data));
  }

  onFailure(listener: (error: Error) => void): void {
    const worker = this.worker;
    const notLoaded = () =>
      new NotFoundError(`A worker's script could not be loaded. ${this.loading}; docs/browser.md has a recipe.`);
    // Only what a script that did load throws has a message.
    worker.addEventListener("error", (event) => listener(event.message ? new Error(event.message) : notLoaded()));
    worker.addEventListener("messageerror", () => listener(new Error("A message of the worker could not be read.")));
  }

  keepAlive(): void {}

  async terminate(): Promise<void> {
    this.worker.terminate();
    await new Promise((resolve) => setTimeout(resolve, ENDING_MS));
  }
}
