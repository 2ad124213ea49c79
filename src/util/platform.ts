/**
 * What Sluice needs from its surroundings (Node or a browser), as one interface. `src/index-node.ts` sets Node's;
 * everything else asks here, so that it compiles and runs without Node's types.
 */
import { InternalError } from "./errors.js";

/** Random access to the bytes of a model file. */
export interface ByteSource {
  /** Where it comes from, for messages. */
  readonly name: string;
  readonly size: number;
  /** Fills `into` completely from `offset`. `into` may view shared memory. Fails with FormatError when bytes are missing. */
  read(offset: number, into: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** One end of a line between threads: structured-clone messages both ways. */
export interface ThreadPort {
  post(message: unknown, transfer?: readonly ArrayBuffer[]): void;
  onMessage(listener: (message: unknown) => void): void;
}

/** The far end of a thread that was started. Set its listeners in the same turn of the event loop. */
export interface Thread extends ThreadPort {
  /** The thread died of an uncaught error. */
  onFailure(listener: (error: Error) => void): void;
  /** Whether the thread keeps the process alive. Browsers ignore it. */
  keepAlive(alive: boolean): void;
  terminate(): Promise<void>;
}

export interface Platform {
  readonly kind: "node" | "browser";
  readonly cores: number;
  /** Why kernels may use one thread only, where the machine has more; absent where they may use all. */
  readonly oneThread?: string | undefined;
  /** Memory that a model may take now, in bytes; undefined when the platform does not say. */
  availableMemoryBytes(): number | undefined;
  /** The process's resident memory in bytes; undefined when the platform does not say. */
  residentMemoryBytes(): number | undefined;
  /** Opens a URL (by range requests) or, in Node, a local file. @throws NotFoundError, NetworkError */
  open(location: string, options?: OpenOptions): Promise<ByteSource>;
  /**
   * The location as every thread understands it: in a browser a relative URL made absolute, in Node the path of a file: URL.
   * @throws ArgumentError for a file: URL that is no path here
   */
  absolute?(location: string): string;
  /** What lies at a location: names of a folder's entries, or "file", or undefined for nothing. */
  list(location: string): Promise<readonly string[] | "file" | undefined>;
  /** Starts a worker of the Wasm pool: a classic script given as source text, which may use `onmessage`/`postMessage`. */
  spawnScript(source: string, name: string): Thread;
  /** Starts the engine's thread. @throws NotFoundError where its module is not there, as in a bundle */
  spawnEngine(): Thread;
  /** Tells the user of the process what goes on, but not as asked. Absent in browsers. */
  warn?(message: string, code: string): void;
  /** Lets waiting events (messages, timers, signals) run, then resolves. Cheap. */
  yieldToEvents(): Promise<void>;
  /** Turns on engine features that are behind flags (relaxed SIMD in Node 20); call before the first compile. */
  enableWasmFeatures(): void;
  /**
   * Compiles a WebAssembly module so that neighbouring 128-bit operations become 256-bit ones; once in a process, in its
   * main thread. Later calls get the same, also those of threads that are started later. Absent, or undefined, where the
   * engine cannot, has not been tried, or `isRight`, which must call every function of it, does not accept what it made, and
   * in a thread when the main thread had not called it. `asked`: also where it endangers code that is optimised meanwhile.
   */
  compileWide?(
    bytes: () => Uint8Array<ArrayBuffer>,
    isRight: (module: WebAssembly.Module) => boolean,
    asked: boolean,
  ): WebAssembly.Module | undefined;
  /** Kernels are about to be compiled without such a module; where that must come first, later calls make none. */
  withoutWide?(): void;
  /** Why `compileWide` gives none here, also when asked; undefined where it gave one. */
  whyNotWide?(): WideRefusal | undefined;
  /** Forms of the kernels that tests and the bench force: see CONTRIBUTING.md, SLUICE_FORM. Absent in browsers. */
  readonly forcedForm?: string | undefined;
  /** Writes local files. Absent in browsers. */
  readonly writer?: FileWriter;
  /** The files of the hub's models: in Node fetched into the standard cache, in browsers as URLs. */
  readonly hub?: Hub;
  /** What was kept of files behind URLs. Absent in Node. */
  readonly store?: FileStore;
}

/**
 * Why there are no 256-bit vectors: SLUICE_WIDE=0 (`forbidden`), no x64 with AVX2 (`processor`), a browser or another runtime
 * than Node (`runtime`), a V8 in which they were not tried (`version`), flags of the user's own for V8's WebAssembly (`flags`), a
 * thread whose main thread has made none (`thread`), kernels that ran before without them (`late`), results that were not
 * exact (`wrong`).
 */
export type WideReason = "forbidden" | "processor" | "runtime" | "version" | "flags" | "thread" | "late" | "wrong";

export interface WideRefusal {
  readonly reason: WideReason;
  /** The same in words. */
  readonly message: string;
}

export interface OpenOptions {
  /** Ends reading too. */
  readonly signal?: AbortSignal | undefined;
  /** Keep a file behind a URL for the next time, where the platform can; default true. */
  readonly store?: boolean | undefined;
  /** Told what a user should know of how the file is read, such as that it could not be kept. */
  readonly onNote?: ((note: string) => void) | undefined;
}

/** A file behind a URL that the browser keeps, whole or in part. */
export interface StoredFile {
  readonly url: string;
  /** Length of the file. */
  readonly bytes: number;
  /** How much of it is here. */
  readonly storedBytes: number;
  readonly usedAt: Date;
}

/** Files that are kept. */
export interface FileStore {
  list(): Promise<StoredFile[]>;
  /** Removes the file of a URL and those below it, or all; how many those were. */
  delete(url?: string): Promise<number>;
}

/**
 * Changes to local files that a crash at any point leaves done or not done, never half done. All reach the disk before they
 * resolve. @throws WriteError
 */
export interface FileWriter {
  /**
   * Writes a whole file, in place of one that is there. A chunk is written before the next one is asked for. When `chunks`
   * fails, its error is thrown and the old file stays.
   */
  writeFile(location: string, chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<void>;
  /** Adds bytes to the end of a file, which is made where there is none. A crash may leave a part of them. */
  append(location: string, bytes: Uint8Array): Promise<void>;
  /**
   * Makes a folder and those above it; one that is there is kept as it is. Returns those that were made, the topmost first;
   * where one cannot be made, none stays.
   */
  makeFolder(location: string): Promise<readonly string[]>;
  /** Moves a file in place of what was there, or a folder to where nothing or an empty folder is. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file, or a folder with all that is in it; nothing there is no error. Of a folder a crash may leave a part. */
  remove(location: string): Promise<void>;
}

/** A remote repository of models. */
export interface Hub {
  /** `fetch` downloads nothing: it gives a URL that is read when it is opened. */
  readonly isRemote?: boolean;
  /** Names of the files of a repository. @throws NotFoundError */
  list(repo: string, signal?: AbortSignal): Promise<readonly { readonly path: string; readonly size: number }[]>;
  /** The location of a file, downloaded if need be. */
  fetch(repo: string, path: string, options?: HubFetchOptions): Promise<string>;
}

export interface HubFetchOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((doneBytes: number, totalBytes: number) => void) | undefined;
}

let current: Platform | undefined;

export function setPlatform(platform: Platform): void {
  current = platform;
}

export function platform(): Platform {
  if (!current) throw new InternalError("No platform is set: import from 'sluice', not from a file inside it.");
  return current;
}
