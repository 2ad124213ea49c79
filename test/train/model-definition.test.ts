/** Models to come: what the configuration says in place of a checkpoint's tensors and metadata. */
import { describe, expect, it } from "vitest";
import { weightUses } from "../../src/nn/weights.js";
import { type ModelConfig, parseConfig } from "../../src/train/config.js";
import { defineModel, stageDefinition } from "../../src/train/model-definition.js";
import { ArgumentError, FormatError, UnsupportedError } from "../../src/util/errors.js";

const KEYS = {
  block_count: 2,
  context_length: 32,
  embedding_length: 24,
  feed_forward_length: 20,
  "attention.head_count": 3,
  "attention.layer_norm_rms_epsilon": 1e-5,
};
const LLAMA: ModelConfig = { architecture: "llama", keys: KEYS, tied: true, sinks: "none", tensors: "", balance: 0 };

const define = (change: Partial<ModelConfig> = {}, keys?: ModelConfig["keys"]) =>
  defineModel("m", { ...LLAMA, ...change }, 50, keys);
const names = (change: Partial<ModelConfig> = {}) => weightUses(define(change).spec).map(({ name }) => name);

it("has its metadata under the architecture, and the vocabulary's size", () => {
  const { architecture, metadata, spec } = define();
  expect(architecture).toBe("llama");
  expect(Object.fromEntries(metadata)).toMatchObject({
    "general.architecture": "llama",
    "general.name": "m",
    "llama.vocab_size": 50,
    "llama.block_count": 2,
  });
  expect(spec).toMatchObject({ vocabulary: 50, width: 24, contextLength: 32 });
  expect(spec.layers).toHaveLength(2);
});

it("has a head of its own only where it is not tied", () => {
  expect(names()).not.toContain("output.weight");
  expect(names({ tied: false })).toContain("output.weight");
});

it("has sinks where they are asked for, zero or learned", () => {
  const study = { architecture: "sluice" };
  const sinks = (of: Partial<ModelConfig>) => names({ ...study, ...of }).filter((name) => /attn_sinks/.test(name));
  expect(sinks({})).toEqual([]);
  expect(sinks({ sinks: "zero" })).toEqual(["blk.0.attn_sinks.weight", "blk.1.attn_sinks.weight"]);
  expect(sinks({ sinks: "learned" })).toEqual(["blk.0.attn_sinks.weight", "blk.1.attn_sinks.weight"]);
});

it("has the optional tensors that its architecture usually has, and those of the pattern", () => {
  expect(names({ architecture: "qwen2" })).toContain("blk.0.attn_q.bias");
  expect(names()).not.toContain("blk.1.attn_q.bias");
  expect(names({ tensors: "1\\.attn_q\\.bias$" }).filter((name) => /bias/.test(name))).toEqual(["blk.1.attn_q.bias"]);
});

it("lists of whole numbers are such, others keep their fractions", () => {
  const { metadata } = define({}, { whole: [1, 2], broken: [1, 0.5] });
  expect(metadata.get("llama.whole")).toEqual(Int32Array.of(1, 2));
  expect(metadata.get("llama.broken")).toEqual(Float32Array.of(1, 0.5));
});

describe("errors", () => {
  it.each(["t5", "mixtral", "constructor", ""])(
    "of the architecture %j name those that can be trained",
    (architecture) => {
      expect(() => define({ architecture })).toThrow(UnsupportedError);
      expect(() => define({ architecture })).toThrow(/those that can are llama, /);
    },
  );

  it("of keys that are missing or wrong name them", () => {
    const { block_count: _, ...keys } = KEYS;
    expect(() => define({ keys })).toThrow(FormatError);
    expect(() => define({ keys })).toThrow("llama.block_count");
    expect(() => define({}, { "attention.head_count": 0.5 })).toThrow("llama.attention.head_count");
    expect(() => define({ architecture: "sluice" }, { "position.scheme": "polar" })).toThrow("polar");
  });

  it("of a pattern that is none are the caller's", () => {
    expect(() => define({ tensors: "[" })).toThrow(ArgumentError);
  });
});

describe("a stage", () => {
  const config = parseConfig(
    {
      name: "m",
      model: { keys: { ...KEYS, "rope.freq_base": 10000 } },
      tokenizer: { vocabularySize: 300 },
      stages: [
        { name: "a", tokens: 1, contextLength: 16, batchTokens: 16 },
        { name: "b", tokens: 1, contextLength: 64, batchTokens: 64, keys: { "rope.freq_base": 40000 } },
        {
          name: "c",
          tokens: 1,
          contextLength: 128,
          batchTokens: 128,
          keys: { "rope.scaling.type": "linear", "rope.scaling.factor": 2 },
        },
      ],
    },
    "x",
  );
  const value = (stage: number, key: string) => stageDefinition(config, 300, stage).metadata.get(`llama.${key}`);

  it("has what the stages before have changed", () => {
    expect([0, 1, 2].map((stage) => value(stage, "rope.freq_base"))).toEqual([10000, 40000, 40000]);
    expect([0, 1, 2].map((stage) => value(stage, "rope.scaling.factor"))).toEqual([undefined, undefined, 2]);
  });

  it("has the same weights as the others", () => {
    const uses = [0, 1, 2].map((stage) => weightUses(stageDefinition(config, 300, stage).spec));
    expect(uses[1]).toEqual(uses[0]);
    expect(uses[2]).toEqual(uses[0]);
  });

  it("is trained for its own length, unless the model says another", () => {
    expect(value(1, "context_length")).toBe(32);
    const { context_length: _, ...keys } = config.model.keys;
    const free = { ...config, model: { ...config.model, keys } };
    expect([0, 1, 2].map((stage) => stageDefinition(free, 300, stage).spec.contextLength)).toEqual([16, 64, 128]);
  });

  it("behind the last is the last", () => {
    expect(stageDefinition(config, 300, 3)).toEqual(stageDefinition(config, 300, 2));
  });
});
