// Weights of Hugging Face folders: the header's JSON, its length, the bytes behind it, an index of shards.
import { exerciseModel } from "../exercise.mjs";
import { hostileJson, NUMBERS } from "../hostile-values.mjs";
import { MemoryFiles } from "../memory-files.mjs";
import { jsonBytes, mutateBytes, mutateJson } from "../mutate.mjs";
import { smallFolders } from "../small-models.mjs";

const LENGTHS = [0n, 1n, 7n, 8n, 2n ** 20n, 2n ** 31n, 2n ** 40n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];
const DTYPES = ["F32", "F16", "BF16", "F64", "I64", "U8", "BOOL", "F8_E4M3", "f32", "", "F33", null, 3];

export const safetensors = {
  name: "safetensors",

  async prepare(library) {
    const folders = await smallFolders(library);
    return {
      library,
      folders: folders.map((folder) => ({ ...folder, ...parts(folder.weights) })),
      files: new MemoryFiles(library),
    };
  },

  async run({ library, folders, files }, random) {
    const folder = random.pick(folders);
    files.set({ ...companions(folder), ...changedWeights(random, folder) }).install();
    try {
      await exerciseModel(library, random.chance(0.9) ? "hf" : "hf/model.safetensors", random);
    } finally {
      files.checkClosed();
    }
  },
};

/** The folder's other files, as they should be. */
export function companions({ config, tokenizer, tokenizerConfig }) {
  const bytes = (value) => new TextEncoder().encode(JSON.stringify(value));
  return {
    "hf/config.json": bytes(config),
    "hf/tokenizer.json": bytes(tokenizer),
    "hf/tokenizer_config.json": bytes(tokenizerConfig),
  };
}

function parts(weights) {
  const length = Number(new DataView(weights.buffer, weights.byteOffset).getBigUint64(0, true));
  return {
    header: JSON.parse(new TextDecoder().decode(weights.subarray(8, 8 + length))),
    data: weights.subarray(8 + length),
  };
}

function whole(header, data, length = BigInt(header.length)) {
  const start = new Uint8Array(8);
  new DataView(start.buffer).setBigUint64(0, length, true);
  return Uint8Array.from(Buffer.concat([start, header, data]));
}

function changedWeights(random, { weights, header, data }) {
  const name = "hf/model.safetensors";
  switch (random.below(8)) {
    case 0:
      return { [name]: mutateBytes(random, weights) };
    case 1:
      return { [name]: whole(jsonBytes(random, header), data, random.pick(LENGTHS)) };
    case 2:
      return { [name]: whole(jsonBytes(random, header), changedNumbers(random, data)) };
    case 3:
      return sharded(random, header, data);
    case 4:
      return { [name]: whole(jsonBytes(random, mutateJson(random, header)), data) };
    default:
      return { [name]: whole(jsonBytes(random, changedEntries(random, header)), data) };
  }
}

/** One tensor of the header says something else of itself. */
function changedEntries(random, header) {
  const changed = structuredClone(header);
  for (let i = random.between(1, 2); i > 0; i--) {
    const names = Object.keys(changed).filter((key) => key !== "__metadata__");
    const name = random.pick(names);
    const entry = changed[name];
    if (typeof entry !== "object" || entry === null) continue;
    switch (random.below(6)) {
      case 0:
        entry.dtype = random.pick(DTYPES);
        break;
      case 1:
        entry.shape = random.pick([
          [],
          [0],
          [1, 1, 1, 1, 1],
          [2 ** 31, 2 ** 31],
          [-1, -24],
          entry.shape?.toReversed?.(),
          [...(entry.shape ?? []), 1],
          [1.5, 2],
          null,
          "x",
        ]);
        break;
      case 2:
        if (Array.isArray(entry.shape)) entry.shape[random.below(entry.shape.length)] = random.pick(NUMBERS);
        break;
      case 3:
        if (Array.isArray(entry.data_offsets))
          entry.data_offsets[random.below(2)] = random.pick([...NUMBERS, 4, 8, 100]);
        break;
      case 4:
        changed[random.pick(["x", "__proto__", "model.norm.weight", name.toUpperCase(), `${name}_scale`])] =
          structuredClone(entry);
        if (random.chance(0.7)) delete changed[name];
        break;
      default:
        changed[name] = random.chance(0.5)
          ? hostileJson(random)
          : { ...entry, [random.pick(["extra", "dtype", "shape", "data_offsets"])]: hostileJson(random) };
    }
  }
  if (random.chance(0.1)) changed.__metadata__ = hostileJson(random);
  return changed;
}

function changedNumbers(random, data) {
  const values = new Float32Array(data.slice().buffer);
  const value = random.pick([Number.NaN, Number.POSITIVE_INFINITY, -3e38, 3e38, 1e-42, 0, 1e10]);
  const from = random.below(values.length);
  for (let i = from; i < Math.min(values.length, from + random.pick([1, 10, 1000])); i++) values[i] = value;
  return new Uint8Array(values.buffer);
}

/** Two shards and an index, of which one is wrong. */
function sharded(random, header, data) {
  const names = Object.keys(header).filter((key) => key !== "__metadata__");
  const shards = [names.filter((_, i) => i % 2 === 0), names.filter((_, i) => i % 2 === 1)];
  const file = (i) => `model-0000${i + 1}-of-00002.safetensors`;
  const index = {
    metadata: {},
    weight_map: Object.fromEntries(shards.flatMap((list, i) => list.map((name) => [name, file(i)]))),
  };
  const only = (list) => Object.fromEntries(list.map((name) => [name, header[name]]));
  const bytes = shards.map((list) => whole(new TextEncoder().encode(JSON.stringify(only(list))), data));
  if (random.chance(0.3)) bytes[random.below(2)] = mutateBytes(random, random.pick(bytes));
  return {
    "hf/model.safetensors.index.json": jsonBytes(random, random.chance(0.8) ? mutateJson(random, index) : index),
    [`hf/${file(0)}`]: bytes[0],
    ...(random.chance(0.9) && { [`hf/${file(1)}`]: bytes[1] }),
  };
}
