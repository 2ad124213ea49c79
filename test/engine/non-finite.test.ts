/**
 * Numbers that are none, from the file to the answer: weights with an infinity or NaN do not load; what a step makes of too
 * large ones is an error, never a token; and a step that failed so has changed nothing.
 */
import { afterEach, describe, expect, it } from "vitest";
import { createBackend } from "../../src/backends/index.js";
import type { Session } from "../../src/engine/api.js";
import { loadLocal, specOf } from "../../src/engine/loading/load-local.js";
import { loadWeights, matchWeights } from "../../src/engine/loading/load-weights.js";
import type { LocalModel } from "../../src/engine/local-model.js";
import type { TensorEntry } from "../../src/formats/checkpoint.js";
import { openCheckpoint } from "../../src/formats/open.js";
import { weightUses } from "../../src/nn/weights.js";
import { quantiseRow } from "../../src/quant/index.js";
import type { BackendName } from "../../src/tensor/backend.js";
import { DTYPES, type DType, KV_TYPES, rowBytes } from "../../src/tensor/dtype.js";
import { NumericError } from "../../src/util/errors.js";
import { CONFIG, TENSORS } from "../formats/sample-hf.js";
import { familyNamed } from "../support/families.js";
import { MemoryFiles } from "../support/memory-files.js";
import { randomGguf } from "../support/random-gguf.js";
import { type TinyOptions, tinyFile } from "../support/tiny-gguf.js";
import type { GgufTensorSpec } from "../support/write-gguf.js";
import { type SafetensorsTensorSpec, writeSafetensors } from "../support/write-safetensors.js";

const models: LocalModel[] = [];
async function load(options: TinyOptions, backend: BackendName = "wasm"): Promise<LocalModel> {
  const model = await loadLocal(tinyFile(options), { threads: 1, backend });
  models.push(model);
  return model;
}
afterEach(async () => {
  for (const model of models.splice(0)) await model.dispose();
});

/** The tensor's bytes with `value` at the byte `place` of the block. */
function spoil(tensor: GgufTensorSpec, block: number, place: number, value: readonly number[]): GgufTensorSpec {
  const { dtype, rows, cols, values } = tensor;
  if (!(values instanceof Float32Array)) throw new Error(`${tensor.name} has stored values.`);
  const stride = rowBytes(dtype, cols);
  const bytes = new Uint8Array(rows * stride);
  for (let row = 0; row < rows; row++) quantiseRow(dtype, values.subarray(row * cols), bytes, row * stride, cols);
  bytes.set(value, block * DTYPES[dtype].blockBytes + place);
  return { ...tensor, values: bytes };
}

const INFINITE_HALF = [0, 0x7c];
const NO_HALF = [1, 0xfe];
const WRONG: readonly (readonly [DType, number, readonly number[]])[] = [
  ["f32", 0, [0, 0, 0x80, 0x7f]],
  ["f16", 0, INFINITE_HALF],
  ["bf16", 0, [0xc0, 0x7f]],
  ["q4_0", 0, INFINITE_HALF],
  ["q4_1", 2, NO_HALF],
  ["q5_0", 0, NO_HALF],
  ["q5_1", 2, INFINITE_HALF],
  ["q8_0", 0, INFINITE_HALF],
  ["q2_k", 82, NO_HALF],
  ["q3_k", 108, INFINITE_HALF],
  ["q4_k", 0, INFINITE_HALF],
  ["q5_k", 2, INFINITE_HALF],
  ["q6_k", 208, NO_HALF],
  ["iq4_nl", 0, INFINITE_HALF],
  ["mxfp4", 0, [255]],
];
const SIZE = { width: 256, hidden: 256, layers: 1 };

describe("GGUF", () => {
  const tensor = "blk.0.ffn_up.weight";

  it.each(WRONG)("%s with a number that is none is refused by tensor, type and block", async (dtype, place, value) => {
    for (const backend of ["wasm", "reference"] as const) {
      for (const block of [0, 5, 255]) {
        const edit = (x: GgufTensorSpec) => (x.name === tensor ? spoil(x, block, place, value) : x);
        const refused = load({ size: { ...SIZE, dtype }, edit }, backend);
        await expect(refused).rejects.toThrow(NumericError);
        await expect(refused).rejects.toMatchObject({ code: "not_a_number", details: { tensor, dtype, block } });
        await expect(refused).rejects.toThrow(/fetch it again/);
      }
    }
  });

  it("so are vectors, and embeddings of tokens that no text has", async () => {
    for (const name of ["blk.0.attn_norm.weight", "output_norm.weight", "token_embd.weight"]) {
      const edit = (x: GgufTensorSpec) => (x.name === name ? spoil(x, 31, 0, [0, 0, 0xc0, 0xff]) : x);
      await expect(load({ edit })).rejects.toMatchObject({ details: { tensor: name, dtype: "f32", block: 31 } });
    }
  });

  it("zeros of both signs, tiny and the largest halves load", async () => {
    const halves = [0, 0x80, 0, 0, 1, 0, 0xff, 3, 0xff, 0x7b, 0xff, 0xfb];
    const edit = (x: GgufTensorSpec) => (x.name === "blk.0.attn_q.weight" ? spoil(x, 0, 0, halves) : x);
    await load({ size: { ...SIZE, dtype: "f16" }, edit });
  });
});

describe("chunks of a large tensor", () => {
  it.each(["q6_k", "mxfp4", "f16"] as const)("%s: the block is counted from the tensor's start", async (dtype) => {
    const { blockBytes, blockSize } = DTYPES[dtype];
    const cols = 1024 * blockSize;
    const rows = Math.ceil((20 * 2 ** 20) / rowBytes(dtype, cols));
    for (const block of [0, Math.floor((8 * 2 ** 20) / blockBytes), 1024 * rows - 1]) {
      const bytes = new Uint8Array(1024 * rows * blockBytes);
      bytes.set(dtype === "mxfp4" ? [255] : NO_HALF, block * blockBytes + (dtype === "q6_k" ? 208 : 0));
      const read = async (at: number, into: Uint8Array) => into.set(bytes.subarray(at, at + into.length));
      const entry: TensorEntry = { name: "large", dtype, rows, cols, bytes: bytes.length, read };
      const use = { name: "large", ref: { tensor: "large", rows, cols, exact: false }, layer: 0 };
      const backend = await createBackend("reference", { threads: 1 });
      const loading = loadWeights(backend, [{ use, entry }], { onProgress: () => {} });
      await expect(loading).rejects.toMatchObject({ details: { tensor: "large", dtype, block } });
    }
  });
});

describe("safetensors", () => {
  async function loadFolder(tensors: readonly SafetensorsTensorSpec[]): Promise<void> {
    const files = { "hf/config.json": JSON.stringify(CONFIG), "hf/model.safetensors": writeSafetensors(tensors) };
    const checkpoint = await openCheckpoint("hf", new MemoryFiles(files));
    const entries = matchWeights(checkpoint, weightUses(await specOf(checkpoint)));
    await loadWeights(await createBackend("reference", { threads: 1 }), entries, { onProgress: () => {} });
  }

  it("loads without any", async () => {
    await loadFolder(TENSORS);
  });

  it.each([
    ["model.layers.0.mlp.up_proj.weight", "blk.0.ffn_up.weight"],
    ["model.layers.0.self_attn.k_proj.weight", "blk.0.attn_k.weight"],
    ["model.layers.0.self_attn.v_proj.weight", "blk.0.attn_v.weight"],
    ["model.norm.weight", "output_norm.weight"],
  ])("%s", async (name, tensor) => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const tensors = TENSORS.map((x) =>
        x.name === name ? { ...x, values: x.values.map((v, i) => (i === 5 ? bad : v)) } : x,
      );
      await expect(loadFolder(tensors)).rejects.toMatchObject({ code: "not_a_number", details: { tensor, block: 5 } });
    }
  });
});

/** The tiny model with the numbers of some tensors multiplied. */
function scaled(name: RegExp, by: number): TinyOptions {
  return {
    edit: (x) =>
      name.test(x.name) && x.values instanceof Float32Array ? { ...x, values: x.values.map((v) => v * by) } : x,
  };
}

const PROMPT = [1, 270, 265, 266, 280, 271];

async function finish(parts: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of parts);
}

/** What a session does with logits. */
const USES: Readonly<Record<string, (session: Session) => Promise<void>>> = {
  "generate, greedily": (session) => finish(session.generate(PROMPT, { temperature: 0, maxTokens: 3 })),
  "generate, with draws": (session) => finish(session.generate(PROMPT, { topK: 5, seed: 1, maxTokens: 3 })),
  "reading alone": (session) => finish(session.generate(PROMPT, { maxTokens: 0 })),
  score: (session) => finish(session.score(PROMPT)),
  "score in batches": (session) => finish(session.score(PROMPT, { batch: 4 })),
};

describe.each(["wasm", "reference"] as const)("%s: what a step makes of large numbers", (backend) => {
  describe.each(Object.entries(USES))("%s", (_, use) => {
    it("values beyond the range of an f16 cache are an error that names f32, which holds them; nothing was read", async () => {
      const model = await load(scaled(/attn_v/, 1e6), backend);
      const session = model.session({ kv: "f16" });
      await expect(use(session)).rejects.toThrow(/range.*kv: "f32"/);
      expect(session.usage.seen).toBe(0);
      await expect(use(session)).rejects.toThrow(NumericError);
      await use(model.session({ kv: "f32" }));
      await use(model.session({ kv: "q8" }));
    });

    it("keys and values that overflow are an error in every cache", async () => {
      const model = await load(scaled(/attn_(k|v|norm)/, 3e19), backend);
      for (const kv of KV_TYPES) {
        const session = model.session({ kv });
        await expect(use(session)).rejects.toThrow(NumericError);
        expect(session.usage.seen).toBe(0);
      }
    });

    it("so are logits", async () => {
      const model = await load(scaled(/^output/, 3e19), backend);
      const session = model.session();
      await expect(use(session)).rejects.toThrow(/logits/);
      expect(session.usage.seen).toBe(0);
    });
  });
});

describe.each(["wasm", "reference"] as const)("%s: what an encoder read", (backend) => {
  it("and does not fit into an f16 cache is an error before the decoder begins; no source is held", async () => {
    const small = { tensors: /cross_attn_v/, factor: 1e6 };
    const model = await loadLocal(randomGguf({ ...familyNamed("t5"), small }).path, { threads: 1, backend });
    models.push(model);
    const session = model.session({ kv: "f16" });
    const source = [4, 5, 6, 7, 8];
    // Also when it is tried again: what was read before is not taken for good.
    for (let again = 0; again < 2; again++) {
      await expect(finish(session.generate(source, { temperature: 0, maxTokens: 2 }))).rejects.toThrow(
        /range.*kv: "f32"/,
      );
      expect(session.usage).toMatchObject({ seen: 0, cacheBytes: 0 });
    }
    await finish(model.session({ kv: "f32" }).generate(source, { temperature: 0, maxTokens: 2 }));
  });
});
