/**
 * Which type each tensor gets in a GGUF file. Matrices of linear layers get the one asked for. Vectors, convolution kernels,
 * learned positions, routers and other small tables stay f32: they cost little, and llama.cpp reads some of them as f32
 * only. In Q4_0 files the embedding and the head have 8 bits (llama.cpp's quantiser gives the head 6): with few bits in the
 * head, probabilities suffer most. Rows that are no whole blocks stay f16.
 */
import { DTYPES, type DType } from "../../tensor/dtype.js";
import type { TrainedTensor } from "./trained-model.js";

/** What may be asked for, with llama.cpp's number of the file type (llama_ftype in llama.h). */
export const GGUF_QUANTS = {
  f32: { fileType: 0 },
  f16: { fileType: 1 },
  q8_0: { fileType: 7 },
  q4_0: { fileType: 2 },
} as const satisfies Partial<Record<DType, { readonly fileType: number }>>;

export type GgufQuant = keyof typeof GGUF_QUANTS;

/** Small tables, by the end of their names. */
const TABLES =
  /(^|[._])(norm|position_embd|token_types|ffn_gate_inp|ssm_conv1d|attn_rel_b|rope_freqs|rope_factors_\w+)\.weight$/;

/** Read or written at both ends of a model. */
const ENDS = /^(token_embd|output)\.weight$/;

export interface StoredType {
  readonly dtype: DType;
  /** Why it is not what was asked for, where that is to be told. */
  readonly note?: string;
}

export function storedType({ name, rows, cols, exact }: TrainedTensor, quant: GgufQuant): StoredType {
  if (exact || rows === 1 || TABLES.test(name) || !name.endsWith(".weight")) return { dtype: "f32" };
  const wanted = quant === "q4_0" && ENDS.test(name) ? "q8_0" : quant;
  const { blockSize } = DTYPES[wanted];
  if (cols % blockSize === 0) return { dtype: wanted };
  return { dtype: "f16", note: `"${name}" is f16: its rows of ${cols} are no multiple of ${wanted}'s ${blockSize}` };
}
