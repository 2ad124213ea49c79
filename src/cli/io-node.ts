/** The Io of a Node process: its streams, files, signals and clock. */
import { ReadStream, WriteStream } from "node:tty";
import { InternalError, type SluiceError } from "../util/errors.js";
import { commandName } from "./command-name.js";
import { EXIT } from "./exit.js";
import { nodeFiles } from "./files-node.js";
import type { Input, Interrupts, Io, LineSource } from "./io.js";
import { besideText, NodeOutput, sameTarget } from "./output-node.js";
import { nodeRuntime } from "./runtime-node.js";
import { TerminalLines } from "./terminal-lines.js";

export function nodeIo(version: string): Io {
  const closed = new AbortController();
  let outputFailure: SluiceError | undefined;
  const stdout = new NodeOutput(process.stdout, "Standard output", (failure) => {
    outputFailure = failure;
    closed.abort();
  });
  // There is nobody left to tell that standard error is gone.
  const stderr = new NodeOutput(process.stderr, "Standard error", () => {});
  return {
    // Touched lazily: opening standard input would keep a process alive that never reads it.
    get stdin() {
      return nodeInput();
    },
    stdout,
    // At a terminal commands end their lines themselves, and status lines move the cursor.
    stderr: !process.stderr.isTTY && sameTarget(1, 2) ? besideText(stderr, stdout) : stderr,
    env: process.env,
    files: nodeFiles,
    interrupts: new NodeInterrupts(),
    outputClosed: closed.signal,
    get outputFailure() {
      return outputFailure;
    },
    runtime: nodeRuntime,
    version,
    command: commandName(process.argv[1] ?? ""),
    now: () => performance.now(),
    openTerminal,
  };
}

function nodeInput(): Input {
  const { stdin } = process;
  return {
    isTTY: stdin.isTTY === true,
    async *[Symbol.asyncIterator]() {
      for await (const chunk of stdin) yield typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk;
    },
  };
}

/** Ctrl-C, and what asks a process to end: both stop work at its next good place. */
const SIGNALS = ["SIGINT", "SIGTERM"] as const;

class NodeInterrupts implements Interrupts {
  private readonly listeners: (() => void)[] = [];
  private readonly onSignal = () => {
    const newest = this.listeners.at(-1);
    if (newest) newest();
    else this.kill();
  };

  /** Without listeners, Node's own answers to the signals stay in force. */
  listen(listener: () => void): () => void {
    if (this.listeners.length === 0) for (const name of SIGNALS) process.on(name, this.onSignal);
    this.listeners.push(listener);
    return () => {
      const index = this.listeners.indexOf(listener);
      if (index === -1) return;
      this.listeners.splice(index, 1);
      if (this.listeners.length === 0) for (const name of SIGNALS) process.off(name, this.onSignal);
    };
  }

  kill(): void {
    process.exit(EXIT.interrupted);
  }
}

function openTerminal(): LineSource {
  const { stdin, stdout } = process;
  if (stdin instanceof ReadStream && stdout instanceof WriteStream) return new TerminalLines(stdin, stdout);
  throw new InternalError("The line editor was asked for without a terminal.");
}
