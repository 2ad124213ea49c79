/** Opens a model: a GGUF file (any shard of a set), a safetensors file, or a folder with one of these in it. */
import { FormatError, NotFoundError } from "../util/errors.js";
import type { Platform } from "../util/platform.js";
import type { Checkpoint } from "./checkpoint.js";
import { describeForeign, foreignDetails, SIGNATURE_BYTES } from "./foreign-file.js";
import { isGguf } from "./gguf.js";
import { openGguf } from "./gguf-checkpoint.js";
import { INDEX_FILE, openHfFolder, readIndex } from "./hf/checkpoint.js";
import { summary, withoutModel } from "./hub-files.js";
import { isObject, readJson } from "./json-file.js";
import { baseName, joinLocation, parentOf } from "./location.js";
import { noSuchPlace } from "./no-such-place.js";
import { parseShardName } from "./shard-name.js";
import { listPlace } from "./url-folder.js";

type Files = Pick<Platform, "open" | "list">;

/**
 * Reads the headers of the model at `location`; the weights stay in the files until someone reads their entries.
 * @throws NotFoundError, FormatError, UnsupportedError
 */
export async function openCheckpoint(location: string, platform: Files): Promise<Checkpoint> {
  const listed = await listPlace(location, platform);
  if (listed === undefined) throw noSuchPlace(location);
  return listed === "file" ? openFile(location, platform) : openFolder(location, listed, platform);
}

async function openFile(location: string, platform: Files): Promise<Checkpoint> {
  const source = await platform.open(location);
  let first: Uint8Array;
  try {
    first = new Uint8Array(Math.min(SIGNATURE_BYTES, source.size));
    await source.read(0, first);
  } catch (error) {
    await source.close();
    throw error;
  }
  if (isGguf(first)) return openGguf(source, location, platform);
  await source.close();
  if (baseName(location).endsWith(".safetensors")) return openSafetensors(location, platform);
  throw new FormatError(
    `${location} is neither a GGUF nor a .safetensors file: ${describeForeign(first)}. For a Hugging Face model, ` +
      "give its folder.",
    foreignDetails(first),
  );
}

/** A file that an index lists opens with all its siblings; another one alone. */
async function openSafetensors(location: string, platform: Files): Promise<Checkpoint> {
  const folder = parentOf(location);
  const name = baseName(location);
  const listed = await listPlace(folder, platform);
  const entries = Array.isArray(listed) ? listed : [];
  const index = entries.includes(INDEX_FILE) ? await readIndex(joinLocation(folder, INDEX_FILE), platform) : undefined;
  const indexed = index !== undefined && [...index.values()].includes(name);
  return openHfFolder({ folder, entries, location, weightsFile: indexed ? undefined : name }, platform);
}

async function openFolder(location: string, entries: readonly string[], platform: Files): Promise<Checkpoint> {
  if (entries.includes("config.json") && entries.some((name) => /\.safetensors(\.index\.json)?$/.test(name))) {
    return openHfFolder({ folder: location, entries, location }, platform);
  }
  const candidates = ggufModels(entries);
  if (candidates.length === 1) {
    const file = joinLocation(location, candidates[0]);
    return openGguf(await platform.open(file), file, platform);
  }
  if (candidates.length === 0) {
    const foreign = entries.find((name) => FOREIGN_WEIGHTS.test(name));
    const hint =
      foreign === undefined ? "" : ` ${foreign} has weights of another format: convert them to safetensors or GGUF.`;
    throw new NotFoundError(`The folder ${location} ${withoutModel(entries)}${hint}`, { location });
  }
  const own = await trainedModel(location, entries, platform);
  if (own !== undefined && candidates.includes(own)) {
    const file = joinLocation(location, own);
    return openGguf(await platform.open(file), file, platform);
  }
  const paths = candidates.map((name) => joinLocation(location, name));
  throw new NotFoundError(
    `The folder ${location} has ${candidates.length} GGUF models; name one of them: ${summary(paths)}.`,
    { location },
  );
}

/** The model that a training run wrote into its folder: exports of it may lie beside. */
async function trainedModel(
  location: string,
  entries: readonly string[],
  platform: Files,
): Promise<string | undefined> {
  if (!entries.includes("config.json") || !entries.includes("log.jsonl")) return undefined;
  const config = await readJson(joinLocation(location, "config.json"), platform);
  return isObject(config) && typeof config.name === "string" ? `${config.name}.gguf` : undefined;
}

const FOREIGN_WEIGHTS = /\.(bin|pt|pth|ckpt|h5|msgpack|onnx|tflite|npz|nemo|ggml)$/;

/** GGUF files of a folder in order, sets of shards as their first one that is there. */
function ggufModels(entries: readonly string[]): string[] {
  const models = new Map<string, string>();
  for (const name of entries.toSorted()) {
    if (!name.endsWith(".gguf")) continue;
    const shard = parseShardName(name);
    const key = shard && shard.total > 1 ? `${shard.prefix}/${shard.total}` : name;
    if (!models.has(key)) models.set(key, name);
  }
  return [...models.values()];
}
