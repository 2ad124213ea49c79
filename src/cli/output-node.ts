/** Standard output and standard error of a Node process, which may break at any write. */
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
  #broken = false;

  /**
   * @param name for messages
   * @param onBroken called once, when a write fails: without an error where the reader only went away (EPIPE)
   */
  constructor(
    private readonly stream: OutputStream,
    private readonly name: string,
    private readonly onBroken: (failure: SluiceError | undefined) => void,
  ) {
    stream.on("error", (error) => this.#break(error));
  }

  get isTTY(): boolean {
    return this.stream.isTTY === true;
  }

  get columns(): number {
    return this.stream.columns || DEFAULT_COLUMNS;
  }

  /** Resolves when the text was handed over, or the failure told to `onBroken`. */
  write(text: string): Promise<void> {
    if (this.#broken || text === "") return Promise.resolve();
    return new Promise((resolve) => {
      // The callback has the error before the event does; after the last write nobody waits for the event.
      this.stream.write(text, (error) => {
        if (error) this.#break(error);
        resolve();
      });
    });
  }

  #break(error: Error): void {
    if (this.#broken) return;
    this.#broken = true;
    this.onBroken(errnoCode(error) === "EPIPE" ? undefined : fileError(this.name, "written", error));
  }
}
