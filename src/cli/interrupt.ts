/** Ctrl-C during work: the first cancels it, the second, before it has stopped, kills the process. */
import { CancelledError } from "../util/errors.js";
import { EXIT } from "./exit.js";
import type { Io } from "./io.js";

/** Work that Ctrl-C stops. */
export interface Interruptible {
  /** Aborts on Ctrl-C, or when standard output takes no more. */
  readonly signal: AbortSignal;
  /** Whether Ctrl-C came. */
  readonly interrupted: boolean;
  /** Ctrl-C is no longer listened for; to be called in any case. */
  end(): void;
}

export function interruptible(io: Io): Interruptible {
  const controller = new AbortController();
  const end = io.interrupts.listen(() => {
    if (controller.signal.aborted) io.interrupts.kill();
    controller.abort(new CancelledError());
  });
  return {
    signal: AbortSignal.any([controller.signal, io.outputClosed]),
    get interrupted() {
      return controller.signal.aborted;
    },
    end,
  };
}

/**
 * Runs a command that works to an end. The result is the exit code of `body`, 130 after a Ctrl-C, or 0 when standard output
 * took no more (a failure of it is told by `runCli`).
 */
export async function untilInterrupted(io: Io, body: (signal: AbortSignal) => Promise<number>): Promise<number> {
  const work = interruptible(io);
  try {
    const code = await body(work.signal);
    return work.interrupted ? EXIT.interrupted : code;
  } catch (error) {
    if (!isCancellation(error)) throw error;
    if (work.interrupted) return EXIT.interrupted;
    if (io.outputClosed.aborted) return EXIT.ok;
    throw error;
  } finally {
    work.end();
  }
}

/** Whether an error only says that a signal was aborted. */
export function isCancellation(error: unknown): boolean {
  return error instanceof CancelledError || (error instanceof Error && error.name === "AbortError");
}
