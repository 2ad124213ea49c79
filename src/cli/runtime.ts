/**
 * What the commands need of Sluice itself, as one interface: the tests put a fake in its place, and `runtime-node.ts`
 * imports the real one only when it is first needed, so that `--help` answers at once.
 */
import type { LoadOptions, LoadProgress, Model } from "../engine/api.js";
import type { Checkpoint } from "../formats/checkpoint.js";
import type { ModelSpec } from "../nn/spec.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";

export interface FetchOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: LoadProgress) => void;
}

export type SpecOrReason =
  | { readonly spec: ModelSpec; readonly notes: readonly string[]; readonly reason?: undefined }
  | { readonly spec?: undefined; readonly reason: string };

/** What training needs, with ways to make its backend and to keep others out of its folder. */
export type Training = typeof import("../train/index.js") &
  Pick<typeof import("../backends/create.js"), "createBackend"> &
  Pick<typeof import("./train/folder-lock.js"), "lockFolder">;

/** What looks into a model needs: one in this thread. */
export type Study = Pick<typeof import("../eval/index.js"), "findGates"> &
  Pick<typeof import("../engine/loading/load-local.js"), "loadLocal">;

export interface Runtime {
  /** @throws SluiceError of every kind */
  load(reference: string, options: LoadOptions): Promise<Model>;
  /** Opens a model file or folder without reading weights, downloading it first where the reference is a hub's. */
  openCheckpoint(reference: string, options: FetchOptions): Promise<Checkpoint>;
  /** @throws FormatError, UnsupportedError, NotFoundError (a checkpoint without a tokenizer) */
  openTokenizer(checkpoint: Checkpoint): Promise<Tokenizer>;
  /** Fetches a hub model into the cache; resolves to its local path. */
  pull(reference: string, options: FetchOptions): Promise<string>;
  /** What the model is, from its metadata; for those that Sluice cannot run, why. */
  spec(checkpoint: Checkpoint): Promise<SpecOrReason>;
  training(): Promise<Training>;
  study(): Promise<Study>;
  /** The machine's cores, for reports. */
  readonly cores: number;
  /** Physical memory that the process holds now. */
  residentMemoryBytes(): number;
  /** The folder of what the package ships beside its code, with a separator at the end. */
  readonly assets: string;
  /** That of its examples, in the same way. */
  readonly examples: string;
}
