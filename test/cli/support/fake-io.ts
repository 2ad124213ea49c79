/** An Io without a process: streams are strings, files a map, Ctrl-C a method, the runtime a fake model. */

import type { FileWriteOptions } from "../../../src/cli/files.js";
import type { Io, LineEvent, LineSource, Output } from "../../../src/cli/io.js";
import { runCli } from "../../../src/cli/program.js";
import type { Runtime } from "../../../src/cli/runtime.js";
import { nodeRuntime } from "../../../src/cli/runtime-node.js";
import type { LoadOptions, LoadProgress } from "../../../src/engine/api.js";
import type { Checkpoint } from "../../../src/formats/checkpoint.js";
import type { Tokenizer } from "../../../src/tokenizer/tokenizer.js";
import { CancelledError, NotFoundError, SluiceError, WriteError } from "../../../src/util/errors.js";
import { FakeModel } from "./fake-model.js";

export interface FakeSetup {
  readonly model?: FakeModel;
  readonly stdin?: string | Uint8Array;
  readonly stdinTTY?: boolean;
  readonly stdoutTTY?: boolean;
  readonly stderrTTY?: boolean;
  /** Width of the terminal; default 100. */
  readonly columns?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  /** Nothing can be written: where it should go, or in the folder for temporary files either. */
  readonly fullDisk?: "there" | "everywhere";
  readonly checkpoint?: Checkpoint;
  readonly tokenizer?: Tokenizer;
  /** Default "sluice". */
  readonly command?: Io["command"];
  /** Replaces parts of the runtime. */
  readonly runtime?: Partial<Runtime>;
  /** Events of the line editor; a function is called when its turn comes. */
  readonly lines?: readonly LineEvent[];
}

class FakeOutput implements Output {
  text = "";
  constructor(
    readonly isTTY: boolean,
    readonly columns = 100,
  ) {}
  async write(text: string): Promise<void> {
    this.text += text;
  }
}

export class FakeIo implements Io {
  readonly stdout: FakeOutput;
  readonly stderr: FakeOutput;
  readonly stdin: Io["stdin"];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly model: FakeModel;
  readonly written = new Map<string, string>();
  /** Files that were written for their owner alone. */
  readonly secrets = new Set<string>();
  readonly loads: { reference: string; options: LoadOptions }[] = [];
  readonly prompts: string[] = [];
  readonly version = "1.2.3";
  readonly command: Io["command"];
  readonly runtime: Runtime;
  killed = 0;
  outputFailure: SluiceError | undefined;
  private readonly closed = new AbortController();
  private readonly listeners: (() => void)[] = [];
  private clock = 0;

  constructor(private readonly setup: FakeSetup = {}) {
    this.stdout = new FakeOutput(setup.stdoutTTY ?? false, setup.columns);
    this.stderr = new FakeOutput(setup.stderrTTY ?? false, setup.columns);
    this.stdin = input(setup.stdin ?? "", setup.stdinTTY ?? false);
    this.env = setup.env ?? {};
    this.command = setup.command ?? "sluice";
    this.model = setup.model ?? new FakeModel();
    this.runtime = { ...fakeRuntime(this, setup), ...setup.runtime };
  }

  readonly interrupts = {
    listen: (listener: () => void) => {
      this.listeners.push(listener);
      return () => void this.listeners.splice(this.listeners.indexOf(listener), 1);
    },
    kill: () => {
      this.killed += 1;
    },
  };

  readonly files = {
    exists: async (path: string) => this.setup.files?.[path] !== undefined || this.written.has(path),
    read: async (path: string) => {
      const content = this.setup.files?.[path] ?? this.written.get(path);
      if (content === undefined) throw absent(path, "read");
      return bytes(content);
    },
    write: async (path: string, content: string | Uint8Array, { secret = false }: FileWriteOptions = {}) => {
      if (this.setup.fullDisk) throw new WriteError(`'${path}' cannot be written: the disk is full.`, { path });
      await this.files.checkWritable(path);
      this.written.set(path, typeof content === "string" ? content : new TextDecoder().decode(content));
      if (secret) this.secrets.add(path);
    },
    rescue: async (path: string, content: string | Uint8Array) => {
      if (this.setup.fullDisk === "everywhere") throw new Error("no room");
      this.written.set(`tmp/${path}`, typeof content === "string" ? content : new TextDecoder().decode(content));
      return `tmp/${path}`;
    },
    isSame: async (one: string, other: string) => one.replace(/^\.\//, "") === other.replace(/^\.\//, ""),
    // There are no folders here but the one that everything is in.
    checkWritable: async (path: string) => {
      if (path.includes("/")) throw new WriteError(`'${path}' cannot be written: there is no such folder.`, { path });
    },
  };

  get outputClosed(): AbortSignal {
    return this.closed.signal;
  }

  /** Ctrl-C. Tells whether somebody listened. */
  interrupt(): boolean {
    this.listeners.at(-1)?.();
    return this.listeners.length > 0;
  }

  get listening(): number {
    return this.listeners.length;
  }

  /** The reader of standard output goes away. */
  closeOutput(): void {
    this.closed.abort();
  }

  /** Standard output cannot be written any more. */
  failOutput(failure: SluiceError): void {
    this.outputFailure = failure;
    this.closed.abort();
  }

  now(): number {
    this.clock += 50;
    return this.clock;
  }

  openTerminal(): LineSource {
    const events = [...(this.setup.lines ?? [])];
    return {
      next: async (prompt) => {
        this.prompts.push(prompt);
        return events.shift() ?? { kind: "end" };
      },
      close: () => {},
    };
  }
}

/** Runs a command line on a fake Io. */
export async function cli(argv: readonly string[], setup: FakeSetup = {}) {
  const io = new FakeIo(setup);
  const code = await runCli(argv, io);
  return { io, code, out: io.stdout.text, err: io.stderr.text, model: io.model };
}

function fakeRuntime(io: FakeIo, setup: FakeSetup): Runtime {
  return {
    cores: 2,
    training: () => nodeRuntime.training(),
    study: () => nodeRuntime.study(),
    residentMemoryBytes: () => 123e6,
    assets: "assets/",
    examples: "package/examples/",
    async load(reference, options) {
      io.loads.push({ reference, options });
      const phases: LoadProgress[] = [
        { phase: "header", doneBytes: 0, totalBytes: 0 },
        { phase: "weights", doneBytes: 2000, totalBytes: 4000, plan: await io.model.plan() },
        { phase: "ready", doneBytes: 4000, totalBytes: 4000 },
      ];
      for (const progress of phases) options.onProgress?.(progress);
      if (options.signal?.aborted) throw new CancelledError();
      return io.model;
    },
    async openCheckpoint(reference) {
      if (setup.checkpoint) return setup.checkpoint;
      throw new NotFoundError(`${reference} cannot be read: there is no such file or folder.`);
    },
    async openTokenizer() {
      if (setup.tokenizer) return setup.tokenizer;
      throw new NotFoundError("There is no tokenizer.");
    },
    async pull(reference, { onProgress }) {
      onProgress?.({ phase: "download", doneBytes: 10, totalBytes: 20 });
      return `/cache/${reference.replace("hf:", "")}`;
    },
    // The specs are the real ones: they are made of metadata alone.
    spec: nodeRuntime.spec,
  };
}

function absent(path: string, verb: string): SluiceError {
  return new SluiceError("file", `${path} cannot be ${verb}: there is no such file or folder.`, { path });
}

function bytes(content: string | Uint8Array): Uint8Array {
  return typeof content === "string" ? new TextEncoder().encode(content) : content;
}

function input(content: string | Uint8Array, isTTY: boolean): Io["stdin"] {
  const all = bytes(content);
  return {
    isTTY,
    async *[Symbol.asyncIterator]() {
      // Small pieces, so that nothing relies on whole lines or characters arriving together.
      for (let at = 0; at < all.length; at += 5) yield all.subarray(at, at + 5);
    },
  };
}
