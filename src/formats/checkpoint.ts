/**
 * A checkpoint as every format presents it: metadata in GGUF's vocabulary of keys (`llama.block_count`, ...), tensors
 * under GGUF's names (`blk.0.attn_q.weight`), tokenizer material. HF folders are translated in `hf/`, so that models
 * read one vocabulary only.
 */
import type { DType } from "../tensor/dtype.js";
import type { ByteSource } from "../util/platform.js";

export type MetadataValue = string | number | bigint | boolean | readonly MetadataValue[] | Int32Array | Float32Array;
export type Metadata = ReadonlyMap<string, MetadataValue>;

export interface TensorEntry {
  /** GGUF name. */
  readonly name: string;
  readonly dtype: DType;
  /** [rows, cols] for matrices, [1, n] for vectors. Higher ranks are flattened into rows. */
  readonly rows: number;
  readonly cols: number;
  /** Length of its row-major bytes. */
  readonly bytes: number;
  /** Where it, or the first of its parts, begins in which file: who reads many reads in this order. */
  readonly source?: ByteSource;
  readonly offset?: number;
  /**
   * Fills `into` with the bytes [at, at + into.length); `into` may view shared memory. A file may hold the tensor in
   * another order or in parts: then what comes is rearranged. @throws FormatError when bytes are missing
   */
  read(at: number, into: Uint8Array): Promise<void>;
}

/** A tensor whose element type Sluice has no kernel for: listed by `inspect`, refused when a model needs it. */
export interface UnsupportedTensor {
  readonly name: string;
  /** As the file's format calls it: "mxfp4", "ggml type 99", "F8_E4M3". */
  readonly type: string;
  /** [rows, cols] as in TensorEntry. */
  readonly rows: number;
  readonly cols: number;
}

/** What a tokenizer is built from. */
export type TokenizerSource =
  | { readonly kind: "gguf"; readonly metadata: Metadata }
  | {
      readonly kind: "hf";
      readonly tokenizerJson: unknown;
      readonly tokenizerConfig: unknown;
      readonly specialTokensMap: unknown;
      /** Start and end tokens of config.json and generation_config.json. */
      readonly startId: number | undefined;
      readonly endIds: readonly number[];
    };

export interface Checkpoint {
  readonly format: "gguf" | "safetensors";
  /** Where it was found, for messages. */
  readonly location: string;
  /** `general.architecture`. */
  readonly architecture: string;
  readonly metadata: Metadata;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** Tensors of types that Sluice does not read, apart from `tensors`; absent = none. */
  readonly unsupportedTensors?: ReadonlyMap<string, UnsupportedTensor>;
  readonly tokenizer: TokenizerSource | undefined;
  /** RoPE layout of the q and k weights; GGUF leaves it to the architecture (undefined), HF is always halves. */
  readonly ropeLayout: "halves" | undefined;
  close(): Promise<void>;
}
