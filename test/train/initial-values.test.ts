/** Numbers that models begin with: their statistics, and that the seed decides them. */
import { describe, expect, it } from "vitest";
import { weightUses } from "../../src/nn/weights.js";
import type { ModelConfig } from "../../src/train/config.js";
import { initialValues } from "../../src/train/initial-values.js";
import { defineModel } from "../../src/train/model-definition.js";

const SIZES = {
  block_count: 2,
  context_length: 40,
  embedding_length: 64,
  feed_forward_length: 96,
  "attention.head_count": 4,
  "attention.layer_norm_rms_epsilon": 1e-5,
  "attention.layer_norm_epsilon": 1e-5,
};
const SSM = { "ssm.conv_kernel": 4, "ssm.inner_size": 128, "ssm.state_size": 16 };

function valuesOf(architecture: string, keys: ModelConfig["keys"] = {}, more: Partial<ModelConfig> = {}, seed = 5) {
  const config = {
    architecture,
    keys: { ...SIZES, ...keys },
    tied: false,
    sinks: "none",
    tensors: "",
    balance: 0,
  } as const;
  const { spec } = defineModel("m", { ...config, ...more }, 300);
  const uses = weightUses(spec);
  return new Map(uses.map((use) => [use.name, initialValues(spec, use, seed)]));
}

function numbers(values: ReadonlyMap<string, Float32Array>, name: string): Float32Array {
  const found = values.get(name);
  if (!found) throw new Error(`There is no ${name} among ${[...values.keys()]}.`);
  return found;
}

const mean = (x: Float32Array) => x.reduce((sum, value) => sum + value, 0) / x.length;
const deviation = (x: Float32Array) => Math.sqrt(x.reduce((sum, value) => sum + value ** 2, 0) / x.length);

/** Five times the deviation of a deviation of n normal numbers, 1 / sqrt(2 n): one of a million tests fails by chance. */
function expectNormal(x: Float32Array, expected: number): void {
  expect(Math.abs(mean(x))).toBeLessThan((5 * expected) / Math.sqrt(x.length));
  expect(Math.abs(deviation(x) / expected - 1)).toBeLessThan(5 / Math.sqrt(2 * x.length));
  // Of normal numbers 68.3% lie within one deviation; of uniform ones 57.7%.
  const within = x.filter((value) => Math.abs(value) < expected).length / x.length;
  expect(Math.abs(within - 0.6827)).toBeLessThan((5 * Math.sqrt(0.6827 * 0.3173)) / Math.sqrt(x.length));
}

describe("llama", () => {
  const values = valuesOf("llama");

  it.each([
    ["token_embd.weight", 0.02],
    ["output.weight", 0.5 / Math.sqrt(64)],
    ["blk.0.attn_q.weight", 0.5 / Math.sqrt(64)],
    ["blk.1.ffn_up.weight", 0.5 / Math.sqrt(64)],
    // The ends of branches, of which there are four.
    ["blk.0.attn_output.weight", 0.25 / Math.sqrt(64)],
    ["blk.1.ffn_down.weight", 0.25 / Math.sqrt(96)],
  ])("%s is normal with a deviation of %d", (name, expected) => {
    expectNormal(numbers(values, name), expected);
  });

  it.each(["output_norm.weight", "blk.0.attn_norm.weight", "blk.1.ffn_norm.weight"])("%s is 1", (name) => {
    expect(new Set(numbers(values, name))).toEqual(new Set([1]));
  });
});

describe("experts", () => {
  const values = valuesOf("gpt-oss", {
    expert_count: 3,
    expert_used_count: 2,
    expert_feed_forward_length: 80,
    "attention.sliding_window": 8,
  });

  it.each([
    ["blk.0.ffn_gate_inp.weight", 0.5 / Math.sqrt(64)],
    ["blk.0.ffn_gate_exps.weight", 0.5 / Math.sqrt(64)],
    ["blk.1.ffn_up_exps.weight", 0.5 / Math.sqrt(64)],
    ["blk.1.ffn_down_exps.weight", 0.25 / Math.sqrt(80)],
  ])("%s is normal with a deviation of %d", (name, expected) => {
    expectNormal(numbers(values, name), expected);
  });
});

it("biases, sinks and tables of distances begin at 0, all gains at 1", () => {
  for (const [architecture, more] of [
    ["gpt2", {}],
    ["qwen2", {}],
    ["qwen3", {}],
    ["gemma3", { "attention.sliding_window": 4 }],
    ["gpt-oss", { "attention.sliding_window": 4, expert_count: 2, expert_used_count: 1 }],
    ["bloom", {}],
    ["sluice", { "position.scheme": "relative" }],
  ] as const) {
    for (const [name, values] of valuesOf(architecture, more, { sinks: "learned" })) {
      const gain = /norm/.test(name) && !/bias/.test(name);
      const zero = /\.bias|attn_sinks|attn_rel_b/.test(name);
      if (gain || zero) expect([...new Set(values)], `${architecture}: ${name}`).toEqual([gain ? 1 : 0]);
      else expect(deviation(values), `${architecture}: ${name}`).toBeGreaterThan(0);
    }
  }
  expectNormal(numbers(valuesOf("gpt2"), "position_embd.weight"), 0.02);
});

describe("state spaces", () => {
  const mamba = valuesOf("mamba", { ...SSM, "ssm.time_step_rank": 8 });
  const mamba2 = valuesOf("mamba2", { ...SSM, "ssm.time_step_rank": 8, "ssm.group_count": 2 });

  it("decay from -1 to -N along the state, or over the heads", () => {
    const row = Array.from({ length: 16 }, (_, i) => -(i + 1));
    expect([...numbers(mamba, "blk.0.ssm_a")]).toEqual(Array.from({ length: 128 }, () => row).flat());
    expect([...numbers(mamba2, "blk.1.ssm_a")]).toEqual(row.slice(0, 8));
  });

  it("skip by 1", () => {
    for (const values of [mamba, mamba2]) expect(new Set(numbers(values, "blk.0.ssm_d"))).toEqual(new Set([1]));
  });

  it("have time steps that are log-uniform from 0.001 to 0.1", () => {
    const logs = numbers(mamba, "blk.0.ssm_dt.bias").map((bias) => Math.log(Math.log1p(Math.exp(bias))));
    for (const log of logs) {
      expect(log).toBeGreaterThan(Math.log(1e-3) - 1e-4);
      expect(log).toBeLessThan(Math.log(1e-1) + 1e-4);
    }
    // Uniform over ln 100: a deviation of ln 100 / sqrt 12, and of the mean of 128 of them.
    expect(Math.abs(mean(logs) - Math.log(1e-2))).toBeLessThan((5 * Math.log(100)) / Math.sqrt(12 * 128));
  });

  it("have kernels that are uniform within 1 / sqrt(width)", () => {
    const kernel = numbers(mamba, "blk.0.ssm_conv1d.weight[0]");
    const largest = kernel.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    expect(largest).toBeLessThanOrEqual(0.5);
    expect(largest).toBeGreaterThan(0.45);
    // Five deviations of the mean square of n uniform numbers: 2 / sqrt(45 n) of its square's bound.
    const square = deviation(kernel) ** 2;
    expect(Math.abs(square - 0.25 / 3)).toBeLessThan((5 * 0.25 * 2) / Math.sqrt(45 * kernel.length));
  });

  it("end in smaller numbers, of two branches", () => {
    expectNormal(numbers(mamba, "blk.0.ssm_out.weight"), 0.5 / Math.sqrt(128) / Math.sqrt(2));
  });
});

it("a seed gives the same numbers, and another one others", () => {
  expect(valuesOf("llama")).toEqual(valuesOf("llama"));
  const [five, six] = [valuesOf("llama"), valuesOf("llama", {}, {}, 6)];
  const name = "blk.0.attn_q.weight";
  expect(numbers(six, name)).not.toEqual(numbers(five, name));
});
