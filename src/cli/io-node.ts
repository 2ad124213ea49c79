/** The Io of a Node process: its streams, files, signals and clock. */
import { readFile, writeFile } from "node:fs/promises";
import { ReadStream, WriteStream } from "node:tty";
import { InternalError, NotFoundError, SluiceError } from "../util/errors.js";
import { EXIT } from "./exit.js";
import type { Files, Input, Interrupts, Io, LineSource, Output } from "./io.js";
import { nodeRuntime } from "./runtime-node.js";
import { TerminalLines } from "./terminal-lines.js";

const DEFAULT_COLUMNS = 80;

export function nodeIo(version: string): Io {
  const closed = new AbortController();
  return {
    // Touched lazily: opening standard input would keep a process alive that never reads it.
    get stdin() {
      return nodeInput();
    },
    stdout: new NodeOutput(process.stdout, () => closed.abort()),
    stderr: new NodeOutput(process.stderr, () => {}),
    env: process.env,
    files: nodeFiles,
    interrupts: new NodeInterrupts(),
    outputClosed: closed.signal,
    runtime: nodeRuntime,
    version,
    now: () => performance.now(),
    openTerminal,
  };
}

class NodeOutput implements Output {
  #broken = false;

  constructor(
    private readonly stream: NodeJS.WriteStream,
    onBroken: () => void,
  ) {
    // A reader that went away (EPIPE) is no failure of ours; there is nobody to tell of others.
    stream.on("error", () => {
      this.#broken = true;
      onBroken();
    });
  }

  get isTTY(): boolean {
    return this.stream.isTTY === true;
  }

  get columns(): number {
    return this.stream.columns || DEFAULT_COLUMNS;
  }

  write(text: string): Promise<void> {
    if (this.#broken || text === "") return Promise.resolve();
    // The callback comes when the text was handed over, or with the error of a broken pipe.
    return new Promise((resolve) => {
      this.stream.write(text, () => resolve());
    });
  }
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

class NodeInterrupts implements Interrupts {
  readonly #listeners: (() => void)[] = [];
  readonly #onSignal = () => {
    const newest = this.#listeners.at(-1);
    if (newest) newest();
    else this.kill();
  };

  /** Without listeners, Node's own answer to SIGINT stays in force. */
  listen(listener: () => void): () => void {
    if (this.#listeners.length === 0) process.on("SIGINT", this.#onSignal);
    this.#listeners.push(listener);
    return () => {
      const index = this.#listeners.indexOf(listener);
      if (index === -1) return;
      this.#listeners.splice(index, 1);
      if (this.#listeners.length === 0) process.off("SIGINT", this.#onSignal);
    };
  }

  kill(): void {
    process.exit(EXIT.interrupted);
  }
}

const nodeFiles: Files = {
  async read(path) {
    try {
      return await readFile(path);
    } catch (error) {
      throw fileError(path, "read", error);
    }
  },
  async write(path, text) {
    try {
      await writeFile(path, text);
    } catch (error) {
      throw fileError(path, "written", error);
    }
  },
};

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file or folder",
  EACCES: "permission is denied",
  EPERM: "permission is denied",
  EISDIR: "it is a folder",
  ENOTDIR: "a part of the path is no folder",
  ENOSPC: "the disk is full",
  EROFS: "the file system is read-only",
};

function fileError(path: string, verb: string, cause: unknown): SluiceError {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const reason = REASONS[code] ?? (cause instanceof Error ? cause.message : String(cause));
  const message = `${path} cannot be ${verb}: ${reason}.`;
  if (code === "ENOENT") return new NotFoundError(message, { path }, { cause });
  return new SluiceError("file", message, { path }, { cause });
}

function openTerminal(): LineSource {
  const { stdin, stdout } = process;
  if (stdin instanceof ReadStream && stdout instanceof WriteStream) return new TerminalLines(stdin, stdout);
  throw new InternalError("The line editor was asked for without a terminal.");
}
