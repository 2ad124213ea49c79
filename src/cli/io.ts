/**
 * Everything that a command touches outside itself: streams, files, Ctrl-C, the clock, the runtime. `main.ts` makes one
 * from the Node process; tests make one from arrays, so that every command is tested without a process.
 */
import type { SluiceError } from "../util/errors.js";
import type { CommandName } from "./command-name.js";
import type { Files } from "./files.js";
import type { Runtime } from "./runtime.js";

/** Standard output or standard error. */
export interface Output {
  readonly isTTY: boolean;
  /** Width of the terminal in characters; 80 where it is none. */
  readonly columns: number;
  /** Resolves when more may be written; never rejects (an output that broke aborts `Io.outputClosed`). */
  write(text: string): Promise<void>;
}

/** Standard input as chunks of bytes. */
export interface Input extends AsyncIterable<Uint8Array> {
  readonly isTTY: boolean;
}

/** Ctrl-C (SIGINT), and SIGTERM. */
export interface Interrupts {
  /** Calls the newest listener alone on each interrupt, until the returned function is called. */
  listen(listener: () => void): () => void;
  /** Ends the process at once, with exit code 130. */
  kill(): void;
}

/** What a line editor answers to "next line": `empty` tells whether the line was empty when Ctrl-C came. */
export type LineEvent =
  | { readonly kind: "line"; readonly text: string }
  | { readonly kind: "interrupt"; readonly empty: boolean }
  | { readonly kind: "end" };

/** Lines that a user writes at a terminal, or that come through a pipe. */
export interface LineSource {
  /** Shows the prompt (at a terminal) and waits for a line. Between calls Ctrl-C goes to `Io.interrupts`. */
  next(prompt: string): Promise<LineEvent>;
  close(): void;
}

export interface Io {
  readonly stdin: Input;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly files: Files;
  readonly interrupts: Interrupts;
  /** Aborted when standard output takes no more: nobody reads it any more (EPIPE), or writing failed. */
  readonly outputClosed: AbortSignal;
  /** Why standard output could not be written; undefined also when its reader only went away, which is no failure. */
  readonly outputFailure: SluiceError | undefined;
  readonly runtime: Runtime;
  readonly version: string;
  /** How the command is started here, for hints. */
  readonly command: CommandName;
  /** Milliseconds of a steady clock. */
  now(): number;
  /** A line editor on the terminal; called only when stdin and stdout are terminals. */
  openTerminal(): LineSource;
}
