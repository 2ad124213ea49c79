/**
 * A GGUF model as a Checkpoint: one file, or the shards that `gguf-split` writes (`-00001-of-00003.gguf`), where the first
 * has the metadata and each says how many there are (`split.count`), which it is (`split.no`, from 0) and how many
 * tensors they have together.
 */
import { FormatError, NotFoundError } from "../util/errors.js";
import type { ByteSource, Platform } from "../util/platform.js";
import type { Checkpoint, Metadata, TensorEntry, UnsupportedTensor } from "./checkpoint.js";
import { type GgufFile, readGguf } from "./gguf.js";
import { parseShardName, type ShardName, shardLocation } from "./shard-name.js";

/**
 * Opens the model that `source`, found at `location`, is (a shard of). Owns the source from here on: `close` of the
 * checkpoint closes it, and so does a failure.
 * @throws FormatError, UnsupportedError, NotFoundError that names a missing shard
 */
export async function openGguf(
  source: ByteSource,
  location: string,
  platform: Pick<Platform, "open">,
): Promise<Checkpoint> {
  const sources = [source];
  try {
    const file = await readGguf(source);
    const shard = shardOf(file, location);
    const files = shard ? await openShards(file, shard, sources, platform) : [file];
    return checkpointOf(files, location, sources);
  } catch (error) {
    await closeAll(sources);
    throw error;
  }
}

function integer(metadata: Metadata, key: string): number | undefined {
  const value = metadata.get(key);
  return typeof value === "number" && Number.isInteger(value) ? value : undefined;
}

/** The shard that the file says and is named to be; undefined for a whole model. */
function shardOf(file: GgufFile, location: string): ShardName | undefined {
  const count = integer(file.metadata, "split.count") ?? 1;
  const shard = parseShardName(location);
  if (count <= 1 && (shard?.total ?? 1) <= 1) return undefined;
  if (count !== shard?.total) {
    throw new FormatError(
      shard
        ? `${location} is named as one of ${shard.total} shards, but says that it is one of ${count}.`
        : `${location} is one of ${count} shards; name it as such: model-00001-of-${String(count).padStart(5, "0")}.gguf.`,
      { splitCount: count },
    );
  }
  checkNumber(file, location, shard.number, count);
  return shard;
}

function checkNumber(file: GgufFile, location: string, number: number, total: number): void {
  const no = integer(file.metadata, "split.no");
  const count = integer(file.metadata, "split.count");
  if (no === number - 1 && count === total) return;
  throw new FormatError(
    `${location} is named shard ${number} of ${total}, but its split.no is ${no ?? "missing"} (expected ${number - 1}) ` +
      `and its split.count ${count ?? "missing"}.`,
  );
}

/** All files of the set in order; pushes what it opens. */
async function openShards(
  opened: GgufFile,
  shard: ShardName,
  sources: ByteSource[],
  platform: Pick<Platform, "open">,
): Promise<GgufFile[]> {
  const files: GgufFile[] = [];
  for (let number = 1; number <= shard.total; number++) {
    if (number === shard.number) {
      files.push(opened);
      continue;
    }
    const location = shardLocation(shard, number);
    const source = await openShard(location, number, shard.total, platform);
    sources.push(source);
    const file = await readGguf(source);
    checkNumber(file, location, number, shard.total);
    files.push(file);
  }
  return files;
}

async function openShard(
  location: string,
  number: number,
  total: number,
  platform: Pick<Platform, "open">,
): Promise<ByteSource> {
  try {
    return await platform.open(location);
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
    throw new NotFoundError(
      `Shard ${number} of ${total} is missing: ${location}. A sharded model needs all of its files in one folder.`,
      { location, shard: number, shards: total },
      { cause: error },
    );
  }
}

function checkpointOf(files: readonly GgufFile[], location: string, sources: readonly ByteSource[]): Checkpoint {
  const { metadata } = files[0];
  const tensors = new Map<string, TensorEntry>();
  const unsupportedTensors = new Map<string, UnsupportedTensor>();
  for (const file of files) {
    for (const name of [...file.tensors.keys(), ...file.unsupported.keys()]) {
      if (tensors.has(name) || unsupportedTensors.has(name)) {
        throw new FormatError(`${location}: the tensor "${name}" is in two shards.`, { tensor: name });
      }
    }
    for (const [name, entry] of file.tensors) tensors.set(name, entry);
    for (const [name, entry] of file.unsupported) unsupportedTensors.set(name, entry);
  }
  checkTensorCount(metadata, files.length, tensors.size + unsupportedTensors.size, location);
  const architecture = metadata.get("general.architecture");
  if (typeof architecture !== "string" || architecture === "") {
    throw new FormatError(`${location}: the metadata key "general.architecture" must be a string, but it is missing.`);
  }
  return {
    format: "gguf",
    location,
    architecture,
    metadata,
    tensors,
    unsupportedTensors,
    tokenizer: metadata.has("tokenizer.ggml.model") ? { kind: "gguf", metadata } : undefined,
    ropeLayout: undefined,
    close: () => closeAll(sources),
  };
}

function checkTensorCount(metadata: Metadata, shards: number, found: number, location: string): void {
  const expected = integer(metadata, "split.tensors.count");
  if (shards === 1 || expected === undefined || expected === found) return;
  throw new FormatError(`${location}: the ${shards} shards hold ${found} tensors, expected ${expected}.`, {
    found,
    expected,
  });
}

async function closeAll(sources: readonly ByteSource[]): Promise<void> {
  await Promise.all(sources.map((source) => source.close()));
}
