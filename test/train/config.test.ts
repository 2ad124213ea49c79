/** Configurations: defaults, and errors that name what is wrong and where. */
import { describe, expect, it } from "vitest";
import { parseConfig } from "../../src/train/config.js";
import { ArgumentError } from "../../src/util/errors.js";

const SMALLEST = {
  name: "a",
  model: { keys: { block_count: 1 } },
  tokenizer: { vocabularySize: 258 },
  stages: [{ name: "one", tokens: 1000, contextLength: 10, batchTokens: 40 }],
};

const parse = (json: unknown) => parseConfig(json, "x.json");
const stages = (...changes: object[]) => ({
  ...SMALLEST,
  stages: changes.map((change) => ({ ...SMALLEST.stages[0], ...change })),
});

function errorOf(json: unknown): ArgumentError {
  try {
    parse(json);
  } catch (error) {
    if (error instanceof ArgumentError) return error;
    throw error;
  }
  throw new Error("no error");
}

it("everything but model, tokenizer, stages and a name has a default", () => {
  expect(parse(SMALLEST)).toEqual({
    name: "a",
    seed: 1,
    model: { architecture: "llama", keys: { block_count: 1 }, tied: true, sinks: "none", tensors: "", balance: 0.01 },
    tokenizer: { vocabularySize: 258 },
    sinkToken: false,
    data: { paths: [], heldOut: [], mixture: [{ source: "text", share: 1 }] },
    stages: [{ name: "one", tokens: 1000, contextLength: 10, batchTokens: 40, attention: "full", keys: {} }],
    optimizer: {
      rate: 3e-3,
      finalRate: 0.1,
      warmupSteps: 100,
      schedule: "cosine",
      decayShare: 0.3,
      beta1: 0.9,
      beta2: 0.95,
      epsilon: 1e-8,
      decay: 0.1,
      clip: 1,
    },
    evaluation: { everySteps: 200, windows: 16 },
    checkpoints: { everySteps: 200, keep: 2 },
    activationCheckpointing: false,
  });
});

it("a configuration written with its defaults reads as the same", () => {
  const config = parse(SMALLEST);
  expect(parse(JSON.parse(JSON.stringify(config)))).toEqual(config);
});

describe("errors", () => {
  it("keep decays of moments below 1, and sizes possible", () => {
    expect(errorOf({ ...SMALLEST, optimizer: { beta1: 1 } }).message).toContain("optimizer.beta1");
    expect(errorOf({ ...SMALLEST, optimizer: { beta2: 1 } }).message).toContain("optimizer.beta2");
    expect(errorOf(stages({ contextLength: 1e15, batchTokens: 1e15 })).message).toContain("stages[0].contextLength");
  });

  it("refuse a weight of answers where there are none", () => {
    const mixture = (source: string) => ({ ...SMALLEST, data: { mixture: [{ source, share: 1, answerWeight: 2 }] } });
    for (const source of ["text", "cycle", "copy"])
      expect(errorOf(mixture(source)).message).toContain("data.mixture[0].answerWeight: means nothing to");
    expect(parse(mixture("repeat")).data.mixture[0].answerWeight).toBe(2);
  });

  it("name every wrong place", () => {
    const { message, details } = errorOf({
      ...SMALLEST,
      seed: -1,
      model: { keys: { block_count: null }, sinks: "some" },
      optimizer: { rate: 0, beta1: 1.5 },
      stages: [{ ...SMALLEST.stages[0], tokens: 1.5, mixture: [] }],
    });
    expect(message).toContain("x.json is no training configuration");
    const places = ["seed", "model.keys.block_count", "model.sinks", "optimizer.rate", "optimizer.beta1"];
    for (const place of [...places, "stages[0].tokens", "stages[0].mixture"]) expect(message).toContain(`${place}: `);
    expect(details).toMatchObject({ file: "x.json" });
  });

  it.each([
    [{ ...SMALLEST, optimiser: {} }, "optimiser"],
    [stages({ contextlength: 10 }), "contextlength"],
    [{ ...SMALLEST, model: { ...SMALLEST.model, tie: true } }, "tie"],
    [{ ...SMALLEST, data: { path: [] } }, "path"],
  ])("name keys that are not known: %#", (json, key) => {
    expect(errorOf(json).message).toContain(key);
  });

  it.each([undefined, null, 3, "a", []])("of %j name the whole", (json) => {
    expect(errorOf(json).message).toMatch(/configuration:\n\s*\S.*expected object/);
  });

  it.each([
    [{ vocabularySize: 257 }, "tokenizer"],
    [{ file: "" }, "tokenizer"],
    [{ file: "a.json", vocabularySize: 300 }, "tokenizer"],
    [{}, "tokenizer"],
  ])("of the tokenizer %j", (tokenizer, place) => {
    expect(errorOf({ ...SMALLEST, tokenizer }).message).toContain(place);
  });

  it("of a pattern that is none say so", () => {
    const { message } = errorOf({ ...SMALLEST, model: { ...SMALLEST.model, tensors: "attn_(" } });
    expect(message).toContain("model.tensors: expected a regular expression");
    expect(message).toContain("attn_(");
  });

  it.each([
    { contextLength: 10, batchTokens: 45 },
    { contextLength: 10, batchTokens: 5 },
    { contextLength: 10, batchTokens: 40, microBatchTokens: 15 },
    { contextLength: 10, batchTokens: 40, microBatchTokens: 30 },
    { contextLength: 10, batchTokens: 40, microBatchTokens: 80 },
    { contextLength: 40, batchTokens: 40, microBatchTokens: 20 },
  ])("of batches that cannot be parted: %j", (sizes) => {
    const { message, details } = errorOf(stages({}, { ...sizes, name: "long" }));
    expect(message).toContain('stage "long"');
    expect(message).toContain(`found ${sizes.batchTokens}, ${sizes.microBatchTokens ?? sizes.batchTokens} and`);
    expect(details).toMatchObject({ stage: "long" });
  });
});

it("batches of one sample, and passes of one of several, are right", () => {
  const sizes = [
    { batchTokens: 10 },
    { batchTokens: 40, microBatchTokens: 10 },
    { batchTokens: 40, microBatchTokens: 20 },
  ];
  expect(parse(stages(...sizes)).stages).toMatchObject(sizes);
});
