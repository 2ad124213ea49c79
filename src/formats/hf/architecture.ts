/** What a file of this folder provides: how a `model_type` of `transformers` is said in GGUF's keys, names and layouts. */
import type { MetadataValue } from "../checkpoint.js";
import type { ConfigFields } from "./config-fields.js";
import type { TensorTable } from "./tensor-table.js";

/** Keys without the architecture in front; undefined values are left out. */
export type KeyValues = Readonly<Record<string, MetadataValue | undefined>>;

export interface HfArchitecture {
  /** `general.architecture`, and what stands before the keys. */
  readonly architecture: string;
  /** `tie_word_embeddings` of the class, where config.json does not say. */
  readonly tied: boolean;
  /** A head that was saved counts even where the configuration ties it: newer versions rewrite that field. */
  readonly keepsHead?: true;
  /** The object of config.json that has the text model's fields, where it is not config.json itself. */
  readonly textConfig?: string;
  /** The `quant_method` that it reads. */
  readonly quantisation?: string;
  /** @throws FormatError that names a field, UnsupportedError */
  readonly metadata: (config: ConfigFields) => KeyValues;
  readonly tensors: TensorTable;
  /** Vectors that config.json has and GGUF keeps as tensors, under GGUF's names. */
  readonly vectors?: (config: ConfigFields) => Readonly<Record<string, readonly number[]>>;
}
