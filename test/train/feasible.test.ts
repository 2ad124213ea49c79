/** Configurations that can be carried out are let through: those that are shipped, and every kind of model that is tested. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { byteLevelJson } from "../../src/tokenizer/train/tokenizer-json.js";
import { parseConfig } from "../../src/train/config.js";
import { checkExport, checkModel } from "../../src/train/feasible.js";
import { UnsupportedError } from "../../src/util/errors.js";
import { TRAINING_MODELS } from "../support/training-models.js";

const stage = { name: "a", tokens: 64, contextLength: 16, batchTokens: 32 };
const config = (model: unknown, more: readonly object[] = []) =>
  parseConfig({ name: "m", model, tokenizer: { vocabularySize: 300 }, stages: [stage, ...more] }, "test");

describe("what is let through", () => {
  test.each(["examples/tiny.json", "assets/sluice-tiny.json"])("%s", (path) => {
    const text = readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
    checkModel(parseConfig(JSON.parse(text), path));
  });

  test.each(TRAINING_MODELS)("$name", ({ model }) => {
    checkModel(config(model));
  });
});

describe("what would come to nothing", () => {
  const [{ model }] = TRAINING_MODELS;

  test("sinks that the architecture does not have", () => {
    expect(() => checkModel(config({ ...model, architecture: "llama", sinks: "zero" }))).toThrow(/model\.sinks: llama/);
    checkModel(config({ ...model, architecture: "sluice", sinks: "zero" }));
  });

  test("optional tensors that no name matches", () => {
    expect(() => checkModel(config({ ...model, tensors: "atn_q" }))).toThrow(/model\.tensors: .*"atn_q"/);
    checkModel(config({ ...model, tensors: "attn_[qkv]\\.bias" }));
  });

  test("distances that a pattern cannot have", () => {
    const wrong = { ...stage, attention: "sinks:1,recent:4,distance=cache" };
    expect(() => checkModel({ ...config(model), stages: [{ ...config(model).stages[0], ...wrong }] })).toThrow(
      /leave distance= out/,
    );
  });
});

describe("what could not be written", () => {
  const [{ model }] = TRAINING_MODELS;
  const json = byteLevelJson(["<|end|>", ..."abc"], [], 1);

  test("is found before anything is trained", async () => {
    const tokenizer = { vocabulary: 4, json, names: {} };
    await checkExport(config(model), tokenizer);
    const dynamic = { ...model.keys, "rope.scaling.type": "dynamic", "rope.scaling.factor": 2 };
    await expect(checkExport(config({ ...model, keys: dynamic }))).rejects.toThrow(UnsupportedError);
    const split = { ...json, pre_tokenizer: { type: "Split", pattern: { Regex: "." }, behavior: "Isolated" } };
    await expect(checkExport(config(model), { ...tokenizer, json: split })).rejects.toThrow(/pre-tokenizer/);
    await expect(checkExport(config(model), { ...tokenizer, vocabulary: 5 })).rejects.toThrow(/4 tokens.*5 rows/);
  });
});

describe("learned positions", () => {
  const model = (keys: object) => ({
    architecture: "sluice",
    keys: { ...TRAINING_MODELS[0].model.keys, "position.scheme": "learned", ...keys },
  });
  const longer = [{ ...stage, name: "b", contextLength: 32 }];

  test("have as many rows as the model's own context_length says", () => {
    checkModel(config(model({ context_length: 32 }), longer));
  });

  test("end with their table", () => {
    expect(() => checkModel(config(model({ context_length: 16 }), longer))).toThrow(
      'Stage "b": The model has learned embeddings for 16 positions, and samples have 32 tokens.',
    );
  });

  test("cannot follow the stages", () => {
    const { context_length: _, ...keys } = TRAINING_MODELS[0].model.keys;
    const wrong = config({ architecture: "sluice", keys: { ...keys, "position.scheme": "learned" } }, longer);
    expect(() => checkModel(wrong)).toThrow('Stage "b" changes the shape of "position_embd.weight"');
  });
});
