/** Standard output and standard error of a Node process, which may break at any write. */
import { fstatSync } from "node:fs";
import type { SluiceError } from "../util/errors.js";
import { errnoCode, fileError } from "./files-node.js";
import type { Output } from "./io.js";

const DEFAULT_COLUMNS = 80;

/** What of a process's stream is used. */
export interface OutputStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  on(event: "error", listener: (error: Error) => void): unknown;
  write(text: string, done: (error?: Error | null) => void): unknown;
}

export class NodeOutput implements Output {
  private broken = false;
  private lineOpen = false;

  /**
   * @param name for messages
   * @param onBroken called once, when a write fails: without an error where the reader only went away (EPIPE)
   */
  constructor(
    private readonly stream: OutputStream,
    private readonly name: string,
    private readonly onBroken: (failure: SluiceError | undefined) => void,
  ) {
    stream.on("error", (error) => this.break(error));
  }

  get isTTY(): boolean {
    return this.stream.isTTY === true;
  }

  get columns(): number {
    return this.stream.columns || DEFAULT_COLUMNS;
  }

  /** Whether what was written last ends within a line. From then on the line counts as ended. */
  takeOpenLine(): boolean {
    const open = this.lineOpen;
    this.lineOpen = false;
    return open;
  }

  /** Resolves when the text was handed over, or the failure told to `onBroken`. */
  write(text: string): Promise<void> {
    if (this.broken || text === "") return Promise.resolve();
    this.lineOpen = !text.endsWith("\n");
    return new Promise((resolve) => {
      // The callback has the error before the event does; after the last write nobody waits for the event.
      this.stream.write(text, (error) => {
        if (error) this.break(error);
        resolve();
      });
    });
  }

  private break(error: Error): void {
    if (this.broken) return;
    this.broken = true;
    this.onBroken(errnoCode(error) === "EPIPE" ? undefined : fileError(this.name, "written", error));
  }
}

/**
 * Standard error where it goes into the same file or pipe as standard output (`2>&1`): what is told begins a line of its own,
 * although the text before it is written to the byte and need not end one.
 */
export function besideText(output: Output, text: NodeOutput): Output {
  return {
    isTTY: output.isTTY,
    columns: output.columns,
    write: (told) => output.write(told !== "" && text.takeOpenLine() ? `\n${told}` : told),
  };
}

/** Whether two descriptors of the process lead to the same file or pipe. */
export function sameTarget(first: number, second: number): boolean {
  try {
    const [a, b] = [fstatSync(first), fstatSync(second)];
    // Systems without such numbers have 0.
    return a.ino !== 0 && a.ino === b.ino && a.dev === b.dev;
  } catch {
    return false;
  }
}
