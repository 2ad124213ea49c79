/**
 * Where a call was made, for the stacks of errors that come out of it later: from another thread, or after other work has
 * run. Without it a stack would begin inside the engine and say nothing of the program that called.
 */

import { SluiceError } from "../../util/errors.js";

/** Taken where a public call begins; its own frame is left out. */
export class Caller {
  private readonly frames: string;

  /** @param call the public function, whose frame and those above it are left out where the engine can do that */
  constructor(call: (...args: never[]) => unknown) {
    const here = new Error();
    // V8 alone has it; its types come with those of Node.
    const capture: unknown = Reflect.get(Error, "captureStackTrace");
    if (typeof capture === "function") capture(here, call);
    this.frames = framesOf(here.stack ?? "");
  }

  /** The error, whose stack says where the call was made; what the caller's own functions threw is left alone. */
  tell<Reason>(error: Reason): Reason {
    if (error instanceof SluiceError && this.frames !== "" && !error.stack?.includes(this.frames)) {
      error.stack = `${error.stack ?? String(error)}\n${this.frames}`;
    }
    return error;
  }

  /** The error, whose stack begins where the call was made: what it had were frames of the line between threads. */
  begin<Reason extends Error>(error: Reason): Reason {
    if (this.frames !== "") error.stack = `${error.name}: ${error.message}\n${this.frames}`;
    return error;
  }
}

/** A stack without its heading, which V8 alone puts there. */
function framesOf(stack: string): string {
  const lines = stack.split("\n");
  const first = lines.findIndex((line) => /^\s*at /.test(line));
  return first < 0 ? lines.filter((line) => line.includes("@")).join("\n") : lines.slice(first).join("\n");
}
