// Saved sessions: bytes; headers and blocks with a checksum that is right.
import { writeOn } from "../exercise.mjs";
import { ggufBytes } from "../gguf-file.mjs";
import { MemoryFiles } from "../memory-files.mjs";
import { jsonBytes, mutateBytes, mutateJson } from "../mutate.mjs";
import { smallModels } from "../small-models.mjs";

const CHECKSUM_AT = 12;
const LENGTH_AT = 16;
const HEADER_AT = 20;
const SESSIONS = [
  { context: "full", kv: "f32" },
  { context: "sinks:2,recent:6", kv: "f16" },
  { context: "recompute:6", kv: "q8" },
  { context: "recent:8", kv: "q8/f16", contextLength: 40, chunk: 4 },
];

export const snapshot = {
  name: "snapshot",

  async prepare(library) {
    const files = new MemoryFiles(library);
    const models = [];
    for (const made of smallModels(library, /^(llama|gemma3|jamba|sluice-alibi|t5)$/)) {
      for (const backend of made.name === "llama" ? ["reference", "wasm"] : ["reference"]) {
        files.set({ "m.gguf": ggufBytes(made) }).install();
        const model = await library.load("m.gguf", { thread: false, backend, threads: 1, wide: false });
        models.push({ model, saved: await savedSessions(model) });
      }
    }
    return { library, models };
  },

  async run({ library, models }, random) {
    const { model, saved } = random.pick(models);
    const bytes = changedSnapshot(random, random.pick(saved), library);
    const session = await model.restore(random.chance(0.2) ? shifted(bytes) : bytes);
    try {
      await writeOn(
        session.generate(model.info.encoderDecoder && session.usage.seen > 0 ? "" : "a", {
          maxTokens: 3,
          temperature: 0,
          logprobs: 1,
        }),
      );
      if (random.chance(0.2) && model.info.hasChatTemplate)
        await writeOn(session.chat("hi", { maxTokens: 2, temperature: 0 }));
      if (random.chance(0.2)) await session.save();
      if (random.chance(0.2)) await session.reset();
    } finally {
      await session.dispose();
    }
  },
};

async function savedSessions(model) {
  const saved = [];
  for (const options of SESSIONS) {
    const session = model.session(model.info.encoderDecoder ? { ...options, context: "full" } : options);
    saved.push(await session.save());
    await writeOn(session.generate("the cat sat on", { maxTokens: 5, temperature: 0, ignoreEnd: true }));
    saved.push(await session.save());
    if (!model.info.encoderDecoder) {
      await writeOn(session.chat("hi", { maxTokens: 3, temperature: 0, ignoreEnd: true }));
      saved.push(await session.save());
    }
    await session.dispose();
  }
  return saved;
}

/** The same bytes as a view into more of them. */
function shifted(bytes) {
  const more = Buffer.alloc(bytes.length + 16, 7);
  more.set(bytes, 3);
  return more.subarray(3, 3 + bytes.length);
}

function changedSnapshot(random, bytes, library) {
  const kind = random.below(10);
  if (kind < 2) return mutateBytes(random, bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const length = view.getUint32(LENGTH_AT, true);
  const header = bytes.subarray(HEADER_AT, HEADER_AT + length);
  const blocks = bytes.subarray(HEADER_AT + length);
  if (kind < 4) return whole(library, bytes, header, mutateBytes(random, blocks));
  if (kind < 5) return whole(library, bytes, header, changedNumbers(random, blocks));
  const changed = jsonBytes(
    random,
    mutateJson(random, JSON.parse(new TextDecoder().decode(header)), random.chance(0.5) ? undefined : smallWhole),
  );
  return whole(
    library,
    bytes,
    changed,
    random.chance(0.8) ? blocks : mutateBytes(random, blocks),
    random.chance(0.05) ? random.pick([0, 1, 2 ** 32 - 1]) : undefined,
  );
}

/** What passes for a count more often than other values do. */
function smallWhole(random) {
  return random.pick([0, 1, 2, 3, 8, 16, 17, 64, 100, 4096, 2 ** 31 - 1, 2 ** 32, 2 ** 52, null]);
}

function changedNumbers(random, blocks) {
  const changed = blocks.slice();
  const view = new DataView(changed.buffer);
  for (let i = random.pick([1, 10, 400]); i > 0; i--) {
    const at = 4 * random.below(Math.floor(changed.length / 4));
    if (at + 4 <= changed.length)
      view.setFloat32(at, random.pick([Number.NaN, Number.POSITIVE_INFINITY, -3e38, 1e30, 0]), true);
  }
  return changed;
}

function whole(library, original, header, blocks, length = header.length) {
  const bytes = Uint8Array.from(Buffer.concat([original.subarray(0, HEADER_AT), header, blocks]));
  const view = new DataView(bytes.buffer);
  view.setUint32(LENGTH_AT, length, true);
  view.setUint32(CHECKSUM_AT, library.xxhash32(bytes.subarray(LENGTH_AT)), true);
  return bytes;
}
