/**
 * A Hugging Face model folder as a Checkpoint: config.json, tokenizer files, and the weights as one safetensors file or as
 * shards listed by `model.safetensors.index.json`. Metadata, names and layouts are translated to GGUF's.
 */
import { FormatError, NotFoundError } from "../../util/errors.js";
import type { ByteSource, Platform } from "../../util/platform.js";
import type { Checkpoint, Metadata, TokenizerSource } from "../checkpoint.js";
import { isObject, readJson, readJsonObject, readText } from "../json-file.js";
import { joinLocation } from "../location.js";
import { readSafetensors, type SafetensorsTensor } from "../safetensors.js";
import { readHfConfig } from "./config.js";
import { translate } from "./translate.js";

export const INDEX_FILE = "model.safetensors.index.json";
const SINGLE_FILE = "model.safetensors";

type Files = Pick<Platform, "open">;

/** What to open: a folder, the names in it, and a single weights file where the caller already chose one. */
export interface HfFolder {
  readonly folder: string;
  readonly entries: readonly string[];
  /** For messages and `Checkpoint.location`. */
  readonly location: string;
  readonly weightsFile?: string | undefined;
}

/** @throws FormatError, UnsupportedError, NotFoundError that names a missing file */
export async function openHfFolder(request: HfFolder, files: Files): Promise<Checkpoint> {
  const { folder, entries, location } = request;
  if (!entries.includes("config.json")) {
    throw new NotFoundError(`${folder} has no config.json, which a safetensors model needs beside its weights.`);
  }
  const configLocation = joinLocation(folder, "config.json");
  const config = await readJsonObject(configLocation, files);
  const generationConfig = entries.includes("generation_config.json")
    ? await readJsonObject(joinLocation(folder, "generation_config.json"), files)
    : undefined;
  const { metadata, ...translation } = readHfConfig(config, generationConfig, configLocation);
  const tokenizer = await readTokenizer(folder, entries, metadata, files);
  const weights = await openWeights(request, files);
  try {
    return {
      format: "safetensors",
      location,
      architecture: translation.row.architecture,
      metadata,
      ...translate({ ...translation, metadata, tensors: weights.tensors.values(), location }),
      tokenizer,
      ropeLayout: "halves",
      close: () => closeAll(weights.sources),
    };
  } catch (error) {
    await closeAll(weights.sources);
    throw error;
  }
}

async function readTokenizer(
  folder: string,
  entries: readonly string[],
  metadata: Metadata,
  files: Files,
): Promise<TokenizerSource | undefined> {
  if (!entries.includes("tokenizer.json")) return undefined;
  const read = (name: string) =>
    entries.includes(name) ? readJson(joinLocation(folder, name), files) : Promise.resolve({});
  const tokenizerConfig = await read("tokenizer_config.json");
  // Newer folders keep the template in a file of its own, which then counts.
  const template = entries.includes("chat_template.jinja")
    ? { chat_template: await readText(joinLocation(folder, "chat_template.jinja"), files) }
    : {};
  const startId = metadata.get("tokenizer.ggml.bos_token_id");
  const endIds = metadata.get("tokenizer.ggml.eos_token_ids");
  return {
    kind: "hf",
    tokenizerJson: await read("tokenizer.json"),
    tokenizerConfig: isObject(tokenizerConfig) ? { ...tokenizerConfig, ...template } : tokenizerConfig,
    specialTokensMap: await read("special_tokens_map.json"),
    startId: typeof startId === "number" ? startId : undefined,
    endIds: endIds instanceof Int32Array ? [...endIds] : [],
  };
}

interface Weights {
  readonly sources: ByteSource[];
  readonly tensors: Map<string, SafetensorsTensor>;
}

async function openWeights(request: HfFolder, files: Files): Promise<Weights> {
  const { folder, entries } = request;
  const index = request.weightsFile === undefined && entries.includes(INDEX_FILE);
  const placed = index ? await readIndex(joinLocation(folder, INDEX_FILE), files) : undefined;
  const names = placed ? [...new Set(placed.values())].sort() : [singleFile(request)];
  const weights: Weights = { sources: [], tensors: new Map() };
  try {
    for (const name of names) await addFile(weights, joinLocation(folder, name), files);
    for (const [tensor, file] of placed ?? []) checkPlaced(weights, tensor, file, folder);
    return weights;
  } catch (error) {
    await closeAll(weights.sources);
    throw error;
  }
}

function singleFile({ folder, entries, weightsFile }: HfFolder): string {
  if (weightsFile !== undefined) return weightsFile;
  if (entries.includes(SINGLE_FILE)) return SINGLE_FILE;
  const candidates = entries.filter((name) => name.endsWith(".safetensors"));
  if (candidates.length === 1) return candidates[0];
  throw new FormatError(
    `${folder} has ${candidates.length} safetensors files but no ${INDEX_FILE}: ${candidates.slice(0, 10).join(", ")}. ` +
      "Name the one to open.",
  );
}

/** Tensor names to file names. @throws FormatError */
export async function readIndex(location: string, files: Files): Promise<Map<string, string>> {
  const { weight_map: map } = await readJsonObject(location, files);
  if (!isObject(map)) throw new FormatError(`${location}: "weight_map" must be an object.`, { field: "weight_map" });
  const placed = new Map<string, string>();
  for (const [tensor, file] of Object.entries(map)) {
    // A plain name: an index must not reach out of its folder.
    if (typeof file !== "string" || !/^[^/\\]+\.safetensors$/.test(file)) {
      throw new FormatError(`${location}: "weight_map" must name a .safetensors file of its folder for "${tensor}".`);
    }
    placed.set(tensor, file);
  }
  return placed;
}

async function addFile(weights: Weights, location: string, files: Files): Promise<void> {
  const source = await openWeightsFile(location, files);
  weights.sources.push(source);
  const file = await readSafetensors(source);
  for (const [name, tensor] of [...file.tensors, ...file.unsupported]) {
    if (weights.tensors.has(name)) {
      throw new FormatError(`${location}: the tensor "${name}" is in another file of the model too.`, { tensor: name });
    }
    weights.tensors.set(name, tensor);
  }
}

async function openWeightsFile(location: string, files: Files): Promise<ByteSource> {
  try {
    return await files.open(location);
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
    throw new NotFoundError(`The weights file ${location} is missing.`, { location }, { cause: error });
  }
}

function checkPlaced(weights: Weights, tensor: string, file: string, folder: string): void {
  if (weights.tensors.has(tensor)) return;
  throw new FormatError(`${folder}: the index places the tensor "${tensor}" in ${file}, which does not have it.`, {
    tensor,
  });
}

async function closeAll(sources: readonly ByteSource[]): Promise<void> {
  await Promise.all(sources.map((source) => source.close()));
}
