/**
 * Cancelling that a busy thread sees: a message waits until the thread has a free moment, a number in shared memory does not.
 * Where threads share no memory (a page that is not cross-origin isolated) there is the message alone.
 */
export type CancelFlag = Int32Array<SharedArrayBuffer>;

export function cancelFlag(): CancelFlag | undefined {
  return typeof SharedArrayBuffer === "undefined" ? undefined : new Int32Array(new SharedArrayBuffer(4));
}

export function raise(flag: CancelFlag | undefined): void {
  if (flag) Atomics.store(flag, 0, 1);
}

/** The signal of a controller, which looks aborted as soon as one of the flags is raised too. */
export function watched(controller: AbortController, flags: readonly (CancelFlag | undefined)[]): AbortSignal {
  const { signal } = controller;
  let hasAborted = signal.aborted;
  signal.addEventListener("abort", () => {
    hasAborted = true;
  });
  return Object.defineProperty(signal, "aborted", {
    get: () => hasAborted || flags.some((flag) => flag !== undefined && Atomics.load(flag, 0) === 1),
  });
}
