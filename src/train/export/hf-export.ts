/**
 * A trained model as the files of a Hugging Face folder: config.json, model.safetensors, tokenizer.json and their small
 * companions, as `transformers` and Sluice read them.
 */
import type { MetadataValue } from "../../formats/checkpoint.js";
import type { TensorTable } from "../../formats/hf/tensor-table.js";
import { isObject, type JsonObject } from "../../formats/json-file.js";
import type { StreamedFile } from "../../formats/write/gguf-writer.js";
import { safetensorsFile } from "../../formats/write/safetensors-writer.js";
import type { TensorToWrite } from "../../formats/write/stored-rows.js";
import type { ModelMetadata } from "../../models/metadata.js";
import { UnsupportedError } from "../../util/errors.js";
import { llama } from "./hf-llama.js";
import { gpt2, gptneox, mamba } from "./hf-others.js";
import type { HfWriter } from "./hf-writer.js";
import { metadataOf, readFinite, specOfTrained, type TrainedModel, type TrainedTensor } from "./trained-model.js";

/** By `general.architecture`. */
const WRITERS: Readonly<Record<string, HfWriter>> = { llama, gpt2, gptneox, mamba };

/** Types of the weights, as `transformers` calls them. */
const TYPES = { f32: "float32", f16: "float16", bf16: "bfloat16" } as const;
export type HfType = keyof typeof TYPES;

export interface HfExportRequest {
  readonly model: TrainedModel;
  /** Of all tensors. */
  readonly dtype: HfType;
  /** `tokenizer.ggml.*`, for the ids of special tokens; where absent, those of the model's metadata. */
  readonly tokenizerKeys?: ReadonlyMap<string, MetadataValue> | undefined;
}

export interface ExportedFile extends StreamedFile {
  readonly name: string;
}

export interface HfExport {
  readonly files: readonly ExportedFile[];
  readonly notes: readonly string[];
}

/**
 * @throws FormatError for a model that is not complete; UnsupportedError for an architecture, or a variant of one, that
 * only GGUF can hold. `chunks()` of the weights throws NumericError
 */
export async function exportHuggingFace(request: HfExportRequest): Promise<HfExport> {
  const { model, dtype } = request;
  const writer = writerOf(model.architecture);
  const spec = await specOfTrained(model);
  const meta = metadataOf(model);
  const ids = specialIds(request);
  const config = {
    architectures: [writer.className],
    model_type: writer.modelType,
    vocab_size: spec.vocabulary,
    ...writer.config(meta, spec),
    tie_word_embeddings: !meta.hasTensor("output.weight"),
    ...ids,
    torch_dtype: TYPES[dtype],
  };
  const names = namesOf(writer.table);
  const tensors = model.tensors.map((tensor) => renamed(tensor, writer, names, meta, dtype));
  const files = [
    jsonFile("config.json", config),
    jsonFile("generation_config.json", ids),
    { name: "model.safetensors", ...safetensorsFile({ tensors, metadata: { format: "pt" } }) },
  ];
  if (!model.tokenizer) return { files, notes: ["the folder has no tokenizer.json, as the model has no tokenizer"] };
  const { tokenizer } = model;
  const tokenizerFiles = [
    jsonFile("tokenizer.json", addsBos(request) ? withStartToken(tokenizer, ids.bos_token_id) : tokenizer),
    jsonFile("tokenizer_config.json", tokenizerConfig(request, tokenizer, ids, spec.contextLength)),
  ];
  return { files: [...files, ...tokenizerFiles], notes: [] };
}

function writerOf(architecture: string): HfWriter {
  if (Object.hasOwn(WRITERS, architecture)) return WRITERS[architecture];
  const known = Object.keys(WRITERS).join(", ");
  throw new UnsupportedError(
    `A Hugging Face folder is written for ${known}; found "${architecture}". Export with --to gguf.`,
    { architecture },
  );
}

/** GGUF's names to those of the table, both with # for the layer. */
function namesOf({ modules, parameters = {} }: TensorTable): Map<string, string> {
  const names = new Map<string, string>();
  const put = (targets: TensorTable["modules"][string], name: string, endings: readonly string[]) => {
    const to = typeof targets === "string" ? targets : "to" in targets ? targets.to : undefined;
    for (const ending of endings)
      if (to !== undefined && !names.has(to + ending)) names.set(to + ending, name + ending);
  };
  for (const [name, targets] of Object.entries(modules)) put(targets, name, [".weight", ".bias"]);
  for (const [name, targets] of Object.entries(parameters)) put(targets, name, [""]);
  return names;
}

function renamed(
  tensor: TrainedTensor,
  { prefix, head, biases, rearranged = {}, className }: HfWriter,
  names: ReadonlyMap<string, string>,
  meta: ModelMetadata,
  dtype: HfType,
): TensorToWrite {
  const layer = /(?<=^blk\.)\d+(?=\.)/.exec(tensor.name)?.[0] ?? "";
  const pattern = tensor.name.replace(/(?<=^blk\.)\d+(?=\.)/, "#");
  const found = names.get(pattern);
  if (found === undefined || (pattern.endsWith(".bias") && !biases.test(pattern))) {
    throw new UnsupportedError(
      `${className} of transformers has no tensor for "${tensor.name}"; export with --to gguf.`,
      { tensor: tensor.name },
    );
  }
  const plain = found.replace("#", layer);
  const rearrangement = Object.hasOwn(rearranged, pattern) ? rearranged[pattern] : undefined;
  const { rows, cols } = tensor;
  const values = () => readFinite(tensor, dtype === "f16");
  return {
    name: plain.startsWith(`${head}.`) ? plain : prefix + plain,
    dtype,
    rows,
    cols,
    ...(rearrangement && { shape: rearrangement.shape(tensor) }),
    read: rearrangement ? async () => rearrangement.apply(await values(), tensor, meta) : values,
  };
}

/** Ids of the start and end tokens, as config.json has them. */
function specialIds({ model, tokenizerKeys }: HfExportRequest): JsonObject {
  const id = (name: string) => {
    const key = `tokenizer.ggml.${name}_token_id`;
    const value = tokenizerKeys?.get(key) ?? model.metadata.get(key);
    return typeof value === "number" ? { [`${name}_token_id`]: value } : {};
  };
  return { ...id("bos"), ...id("eos") };
}

function tokenizerConfig(
  request: HfExportRequest,
  tokenizer: object,
  ids: JsonObject,
  contextLength: number,
): JsonObject {
  const { model, tokenizerKeys } = request;
  const template = tokenizerKeys?.get("tokenizer.chat_template") ?? model.metadata.get("tokenizer.chat_template");
  const token = (name: string) => {
    const text = tokenText(tokenizer, ids[`${name}_token_id`]);
    return text === undefined ? {} : { [`${name}_token`]: text };
  };
  return {
    tokenizer_class: "PreTrainedTokenizerFast",
    ...token("bos"),
    ...token("eos"),
    add_bos_token: addsBos(request),
    model_max_length: contextLength,
    clean_up_tokenization_spaces: false,
    ...(typeof template === "string" && { chat_template: template }),
  };
}

/** Whether every text is read with the start token in front. */
function addsBos({ model, tokenizerKeys }: HfExportRequest): boolean {
  const key = "tokenizer.ggml.add_bos_token";
  return (tokenizerKeys?.get(key) ?? model.metadata.get(key)) === true;
}

/** tokenizer.json that puts the start token in front, and nothing else, as `transformers` looks for it. */
function withStartToken(tokenizer: object, id: unknown): object {
  const start = tokenText(tokenizer, id);
  if (start === undefined) return tokenizer;
  const special = { SpecialToken: { id: start, type_id: 0 } };
  const text = (name: string, type: number) => ({ Sequence: { id: name, type_id: type } });
  const template = {
    type: "TemplateProcessing",
    single: [special, text("A", 0)],
    pair: [special, text("A", 0), text("B", 1)],
    special_tokens: { [start]: { id: start, ids: [id], tokens: [start] } },
  };
  const others = postProcessors(tokenizer).filter(({ type }) => type === "ByteLevel");
  const all = { type: "Sequence", processors: [...others, template] };
  return { ...tokenizer, post_processor: others.length > 0 ? all : template };
}

function postProcessors(tokenizer: object): JsonObject[] {
  const found = isObject(tokenizer) && tokenizer.post_processor;
  if (!isObject(found)) return [];
  return found.type === "Sequence" && Array.isArray(found.processors) ? found.processors.filter(isObject) : [found];
}

/** The text of a special token in tokenizer.json. */
function tokenText(tokenizer: object, id: unknown): string | undefined {
  if (!isObject(tokenizer) || !Array.isArray(tokenizer.added_tokens)) return undefined;
  const added: unknown = tokenizer.added_tokens.find((token) => isObject(token) && token.id === id);
  return isObject(added) && typeof added.content === "string" ? added.content : undefined;
}

function jsonFile(name: string, content: object): ExportedFile {
  const bytes = new TextEncoder().encode(`${JSON.stringify(content, null, 2)}\n`);
  async function* chunks() {
    yield bytes;
  }
  return { name, bytes: bytes.length, chunks };
}
