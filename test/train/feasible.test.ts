/** Configurations that can be carried out are let through: those that are shipped, and every kind of model that is tested. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../src/train/config.js";
import { checkModel } from "../../src/train/feasible.js";
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

describe("learned positions", () => {
  const model = (keys: object) => ({
    architecture: "sluice",
    keys: { ...TRAINING_MODELS[0].model.keys, "position.scheme": "learned", ...keys },
  });
  const longer = [{ ...stage, name: "b", contextLength: 32 }];

  test("have as many rows as the model's own context_length says", () => {
    checkModel(config(model({ context_length: 32 }), longer));
  });

  test("cannot follow the stages", () => {
    const { context_length: _, ...keys } = TRAINING_MODELS[0].model.keys;
    const wrong = config({ architecture: "sluice", keys: { ...keys, "position.scheme": "learned" } }, longer);
    expect(() => checkModel(wrong)).toThrow('Stage "b" changes the shape of "position_embd.weight"');
  });
});
