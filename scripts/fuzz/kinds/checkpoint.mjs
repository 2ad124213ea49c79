// Folders of training runs: checkpoints, configuration, tokenizer, packed texts, log; opened, trained by a step, exported.
import { hostileJson, NUMBERS, TEXTS } from "../hostile-values.mjs";
import { MemoryFiles } from "../memory-files.mjs";
import { jsonBytes, mutateBytes, mutateJson } from "../mutate.mjs";

const CONFIG = {
  name: "small",
  model: {
    keys: {
      block_count: 1,
      embedding_length: 8,
      feed_forward_length: 12,
      "attention.head_count": 2,
      "attention.layer_norm_rms_epsilon": 1e-5,
    },
  },
  tokenizer: { vocabularySize: 262 },
  data: {
    heldOut: ["held"],
    mixture: [
      { source: "text", share: 3 },
      { source: "copy", share: 1 },
    ],
  },
  stages: [
    { name: "short", tokens: 2 * 32, contextLength: 16, batchTokens: 32 },
    { name: "long", tokens: 32, contextLength: 32, batchTokens: 32, keys: { "rope.freq_base": 30000 } },
  ],
  optimizer: { warmupSteps: 1 },
  evaluation: { everySteps: 1, windows: 1 },
  checkpoints: { everySteps: 1, keep: 2 },
};
const PROSE = "the cat sat on the mat and the dog ran in the sun. ".repeat(12);
/** Keys and values that a configuration may also have. */
const MORE = {
  seed: 3,
  sinkToken: true,
  activationCheckpointing: true,
  "model.architecture": "sluice",
  "model.sinks": "learned",
  "model.tied": false,
  "model.tensors": "(a+)+$",
  "model.balance": 1,
  "optimizer.rate": 1e308,
  "optimizer.clip": 1e-300,
  "optimizer.schedule": "wsd",
  "stages.0.attention": "bigbird:16",
  "stages.1.attention": "shifted:4",
  "model.keys.block_count": 1e9,
  "model.keys.embedding_length": 1e9,
  "stages.0.contextLength": 2 ** 27,
  "stages.0.batchTokens": 2 ** 28,
  "evaluation.windows": 1e9,
  "checkpoints.keep": 1e9,
  "stages.0.tokens": 2 ** 53,
};

export const checkpoint = {
  name: "checkpoint",

  async prepare(library) {
    const files = new MemoryFiles(library);
    files.set({ "texts/a.txt": bytesOf(PROSE), "texts/held.txt": bytesOf(PROSE.slice(9)) }).install();
    const folder = new library.RunFolder("run");
    await library.prepareRun(folder, library.parseConfig(CONFIG, "config.json"), { paths: ["texts"] });
    const backend = await library.createBackend("reference", { threads: 1 });
    const stopped = new AbortController();
    const run = await library.TrainingRun.open(folder, backend, {
      signal: stopped.signal,
      onCheckpoint: (step) => step === 2 && stopped.abort(),
    });
    await run.train().catch((error) => {
      if (error.code !== "cancelled") throw error;
    });
    await run.close();
    return { library, files, backend, contents: Object.fromEntries(files.contents) };
  },

  async run({ library, files, backend, contents }, random) {
    const changed = { ...contents };
    for (let i = random.chance(0.8) ? 1 : 2; i > 0; i--) {
      const name = random.pick(
        random.chance(0.6)
          ? Object.keys(contents).filter((path) => path.includes("checkpoints/"))
          : Object.keys(contents),
      );
      changed[name] = changedFile(random, name, contents[name]);
      if (random.chance(0.03)) delete changed[name];
    }
    files.set(changed).install();
    try {
      const folder = new library.RunFolder("run");
      if (random.chance(0.4)) await exported(library, folder, random);
      else await trained(library, folder, backend);
    } finally {
      files.checkClosed();
    }
  },
};

const bytesOf = (text) => new TextEncoder().encode(text);

async function trained(library, folder, backend) {
  const stopped = new AbortController();
  const run = await library.TrainingRun.open(folder, backend, {
    signal: stopped.signal,
    onStep: () => stopped.abort(),
  });
  try {
    await run.train();
  } finally {
    await run.close();
  }
}

async function exported(library, folder, random) {
  await library.folderModel(folder, async ({ model, tokenizerKeys }) => {
    const file = random.chance(0.5)
      ? await library.exportGguf({ model, tokenizerKeys, quant: random.pick(["f16", "f32", "q8_0"]), name: "x" })
      : (await library.exportHuggingFace({ model, tokenizerKeys, dtype: "f16" })).files.find(({ name }) =>
          name.endsWith(".safetensors"),
        );
    for await (const chunk of file.chunks()) if (!(chunk instanceof Uint8Array)) throw new Error("a chunk is no bytes");
  });
}

function changedFile(random, name, bytes) {
  if (random.chance(0.2)) return mutateBytes(random, bytes);
  if (name.endsWith(".safetensors")) return changedCheckpoint(random, bytes);
  if (name.endsWith("config.json") && !name.includes("tokenizer"))
    return jsonBytes(random, changedConfig(random, JSON.parse(new TextDecoder().decode(bytes))));
  if (name.endsWith(".json")) return jsonBytes(random, mutateJson(random, JSON.parse(new TextDecoder().decode(bytes))));
  if (name.endsWith(".jsonl")) return changedLines(random, new TextDecoder().decode(bytes));
  return mutateBytes(random, bytes);
}

function changedLines(random, text) {
  const lines = text.trimEnd().split("\n");
  const at = random.below(lines.length);
  lines[at] = random.pick([
    "",
    "null",
    "[]",
    "{",
    JSON.stringify(hostileJson(random)),
    new TextDecoder().decode(jsonBytes(random, mutateJson(random, JSON.parse(lines[at])))),
  ]);
  return bytesOf(`${lines.join("\n")}\n`);
}

function changedConfig(random, config) {
  const changed = structuredClone(config);
  if (random.chance(0.5)) return mutateJson(random, changed);
  for (let i = random.between(1, 2); i > 0; i--) {
    const path = random.pick(Object.keys(MORE)).split(".");
    const value = random.chance(0.6) ? MORE[path.join(".")] : random.pick([...NUMBERS, ...TEXTS.slice(0, 10)]);
    const [last, keys] = [path.at(-1), path.slice(0, path[1] === "keys" ? 2 : -1)];
    const parent = keys.reduce((object, key) => object?.[key], changed);
    if (typeof parent === "object" && parent !== null)
      parent[path[1] === "keys" ? path.slice(2).join(".") : last] = value;
  }
  return changed;
}

function changedCheckpoint(random, bytes) {
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  let data = bytes.subarray(8 + length);
  switch (random.below(4)) {
    case 0:
      header.__metadata__ = random.chance(0.5)
        ? {
            ...header.__metadata__,
            [random.pick(["step", "stage", "stageStep", "tokens", "kind", "version"])]: random.pick([
              "0",
              "1",
              "5",
              "-1",
              "1e3",
              "99999999999999999999",
              "9007199254740991",
              "",
              "1.5",
              "2",
              "100",
              3,
              null,
            ]),
          }
        : mutateJson(random, header.__metadata__);
      break;
    case 1:
      data = mutateBytes(random, data);
      break;
    case 2: {
      const values = new Float32Array(data.slice().buffer);
      for (let i = random.pick([1, 5, 2000]); i > 0; i--)
        values[random.below(values.length)] = random.pick([Number.NaN, Number.POSITIVE_INFINITY, -3e38, 1e30, -1, 0]);
      data = new Uint8Array(values.buffer);
      break;
    }
    default:
      return whole(jsonBytes(random, mutateJson(random, header)), data);
  }
  return whole(jsonBytes(random, header), data);
}

function whole(header, data) {
  const start = new Uint8Array(8);
  new DataView(start.buffer).setBigUint64(0, BigInt(header.length), true);
  return Uint8Array.from(Buffer.concat([start, header, data]));
}
