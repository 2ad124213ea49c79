/**
 * A trained model as a GGUF file that Sluice and llama.cpp run. The metadata has every key that llama.cpp asks for, with
 * its type; the tensors keep their order.
 */
import type { MetadataValue } from "../../formats/checkpoint.js";
import { ggufFile, type StreamedFile } from "../../formats/write/gguf-writer.js";
import type { TensorToWrite } from "../../formats/write/stored-rows.js";
import type { ModelSpec } from "../../nn/spec.js";
import type { DType } from "../../tensor/dtype.js";
import { FormatError } from "../../util/errors.js";
import { GGUF_QUANTS, type GgufQuant, storedType } from "./gguf-types.js";
import { ggufRope, ropeOf } from "./portable-rope.js";
import { metadataOf, readFinite, specOfTrained, type TrainedModel, type TrainedTensor } from "./trained-model.js";

export interface GgufExportRequest {
  readonly model: TrainedModel;
  readonly quant: GgufQuant;
  /** `tokenizer.ggml.*`; where absent, those that the model's metadata has. */
  readonly tokenizerKeys?: ReadonlyMap<string, MetadataValue> | undefined;
  /** `general.name`; default: the metadata's, or the architecture. */
  readonly name?: string | undefined;
}

export interface GgufExport extends StreamedFile {
  /** How many tensors have each type. */
  readonly types: Readonly<Partial<Record<DType, number>>>;
  /** What one should know of the file, a sentence each without its full stop. */
  readonly notes: readonly string[];
}

/** How blocks are laid out in the file (GGML_QNT_VERSION). */
const QUANTIZATION_VERSION = 2;
const DIVISORS = "rope_freqs.weight";
/** Others than Sluice refuse files with tensors that they do not look for. */
const WITH_DIVISORS: ReadonlySet<string> = new Set(["llama", "mistral", "sluice"]);
const TOKENIZER_KEY = /^tokenizer\./;

/**
 * Nothing is written or read here but small tables: `chunks()` reads each tensor in its turn.
 * @throws FormatError for a model that is not complete, UnsupportedError for what GGUF cannot say; `chunks()` throws
 * NumericError for weights that are no numbers
 */
export async function exportGguf(request: GgufExportRequest): Promise<GgufExport> {
  const { model, quant } = request;
  const spec = await specOfTrained(model);
  const rope = ropeOf(spec);
  const readsDivisors = WITH_DIVISORS.has(model.architecture);
  const portable = rope && ggufRope(rope, readsDivisors);
  const notes: string[] = [];
  if (rope?.scaling.kind === "llama3" && !readsDivisors) {
    notes.push(`only Sluice knows Llama 3's scaling of RoPE in a file of ${model.architecture}`);
  }
  const tensors = model.tensors.map((tensor) => stored(model, tensor, quant, notes));
  if (portable?.divisors) tensors.push(vector(DIVISORS, portable.divisors));
  const metadata = new Map<string, MetadataValue>([
    ["general.architecture", model.architecture],
    ["general.name", request.name ?? textOf(model, "general.name") ?? model.architecture],
    ["general.file_type", GGUF_QUANTS[quant].fileType],
    ["general.quantization_version", QUANTIZATION_VERSION],
  ]);
  copyKeys(metadata, model, spec);
  for (const [key, value] of Object.entries(portable?.keys ?? {})) {
    if (value === undefined) metadata.delete(`${model.architecture}.${key}`);
    else metadata.set(`${model.architecture}.${key}`, value);
  }
  putTokenizer(metadata, request, spec.vocabulary, notes);
  if (metadata.get(`${model.architecture}.hidden_act`) === "geluErf") {
    notes.push("llama.cpp computes GELU by its tanh form, the model the exact one: probabilities will differ a little");
  }
  const types: Partial<Record<DType, number>> = {};
  for (const { dtype } of tensors) types[dtype] = (types[dtype] ?? 0) + 1;
  return { ...ggufFile({ metadata, tensors }), types, notes };
}

/** The model's keys without those of tokenizers, and what is implied by tensors. */
function copyKeys(metadata: Map<string, MetadataValue>, model: TrainedModel, spec: ModelSpec): void {
  const { architecture } = model;
  for (const [key, value] of model.metadata) {
    // Whether the head is the embedding, GGUF says by leaving the head out.
    const implied = key === `${architecture}.tie_word_embeddings` || key === "general.alignment";
    if (!metadata.has(key) && !implied && !TOKENIZER_KEY.test(key)) metadata.set(key, value);
  }
  metadata.set(`${architecture}.vocab_size`, spec.vocabulary);
  const meta = metadataOf(model);
  if (!meta.has("attention.head_count_kv") && meta.has("attention.head_count")) {
    metadata.set(`${architecture}.attention.head_count_kv`, meta.number("attention.head_count"));
  }
}

function putTokenizer(
  metadata: Map<string, MetadataValue>,
  { model, tokenizerKeys }: GgufExportRequest,
  vocabulary: number,
  notes: string[],
): void {
  const keys = tokenizerKeys ?? model.metadata;
  for (const [key, value] of keys) if (TOKENIZER_KEY.test(key)) metadata.set(key, value);
  const tokens = metadata.get("tokenizer.ggml.tokens");
  if (tokens === undefined) {
    notes.push("the file has no tokenizer, so programs that read texts cannot use it");
  } else if (!Array.isArray(tokens) || tokens.length !== vocabulary) {
    const found = Array.isArray(tokens) ? tokens.length : "no list";
    throw new FormatError(`The tokenizer has ${found} tokens, but the model's embedding ${vocabulary} rows.`);
  }
}

function stored(model: TrainedModel, tensor: TrainedTensor, quant: GgufQuant, notes: string[]): TensorToWrite {
  const { name, rows, cols } = tensor;
  const { dtype, note } = storedType(tensor, quant);
  if (note !== undefined) notes.push(note);
  const experts = expertsOf(model, name);
  return {
    name,
    dtype,
    rows,
    cols,
    ...(experts && { shape: [experts, rows / experts, cols] }),
    // Scales of blocks are f16 too; weights that large have none.
    read: () => readFinite(tensor, dtype !== "f32"),
  };
}

/** Matrices of experts lie one behind the other; the file has their number as a dimension. */
function expertsOf(model: TrainedModel, name: string): number | undefined {
  return /_exps\.weight$/.test(name) ? metadataOf(model).count("expert_count") : undefined;
}

function vector(name: string, values: Float32Array): TensorToWrite {
  return { name, dtype: "f32", rows: 1, cols: values.length, read: () => values };
}

function textOf(model: TrainedModel, key: string): string | undefined {
  const value = model.metadata.get(key);
  return typeof value === "string" ? value : undefined;
}
