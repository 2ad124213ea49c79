/** Ctrl-C for commands that run to an end: the first cancels and is answered with exit code 130, the second kills. */
import { CancelledError } from "../util/errors.js";
import { EXIT } from "./exit.js";
import type { Io } from "./io.js";

/**
 * Runs `body` with a signal that aborts on Ctrl-C or when nobody reads the output any more. The result is the exit code of
 * `body`, 130 after a Ctrl-C, or 0 when the reader of the output went away.
 */
export async function untilInterrupted(io: Io, body: (signal: AbortSignal) => Promise<number>): Promise<number> {
  const controller = new AbortController();
  const stop = io.interrupts.listen(() => {
    if (controller.signal.aborted) io.interrupts.kill();
    controller.abort(new CancelledError());
  });
  try {
    const code = await body(AbortSignal.any([controller.signal, io.outputClosed]));
    return controller.signal.aborted ? EXIT.interrupted : code;
  } catch (error) {
    if (!isCancellation(error)) throw error;
    if (controller.signal.aborted) return EXIT.interrupted;
    if (io.outputClosed.aborted) return EXIT.ok;
    throw error;
  } finally {
    stop();
  }
}

/** Whether an error only says that a signal was aborted. */
export function isCancellation(error: unknown): boolean {
  return error instanceof CancelledError || (error instanceof Error && error.name === "AbortError");
}
