/** How many commands a step is on the Wasm backend: those of a layer do not grow with the sequences and head sets in it. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as abi from "../../kernels/abi.js";
import { createWasmBackend, type WasmBackend } from "../../src/backends/wasm/index.js";
import type { ContextPolicy } from "../../src/context/policy.js";
import { parsePolicy } from "../../src/context/policy-text.js";
import type { Decoder } from "../../src/nn/decoder.js";
import { KV_TYPES } from "../../src/tensor/dtype.js";
import { drawHeadPolicy } from "../support/head-policies.js";
import { bind, type RandomModelShape, randomIds, randomModel, SMALL } from "../support/random-model.js";
import { Together } from "../support/sequences.js";

const LAYERS = 6;
const SHAPE: RandomModelShape = { ...SMALL, layers: LAYERS, kvHeads: 4, hidden: 32 };

let backend: WasmBackend;
let decoder: Decoder;
beforeAll(async () => {
  backend = await createWasmBackend({ threads: 2, parallelNs: 0 });
  decoder = bind(randomModel(SHAPE, 3), backend, "q8_0");
});
afterAll(() => backend.dispose());

/** How often each opcode is in a step in which `count` sequences, that have read `past` tokens and more, read one. */
async function commandsOf(count: number, past: number, policyOf: (index: number) => ContextPolicy) {
  const together = new Together(backend, decoder);
  const members = [];
  for (let i = 0; i < count; i++) {
    const memory = together.open({
      policy: policyOf(i),
      keyType: KV_TYPES[i % KV_TYPES.length],
      valueType: KV_TYPES[(i >> 1) % KV_TYPES.length],
    });
    await together.read(memory, randomIds(past + i, SHAPE.vocabulary, i), [64]);
    members.push({ memory, ids: Int32Array.of(i) });
  }
  const counts = new Map<number, number>();
  backend.watchCommands((opcode) => counts.set(opcode, (counts.get(opcode) ?? 0) + 1));
  await together.run(members);
  backend.watchCommands(undefined);
  for (const { memory } of members) memory.dispose();
  return { counts, all: [...counts.values()].reduce((sum, number) => sum + number, 0) };
}

const full = () => parsePolicy("full");
const streaming = () => parsePolicy("sinks:4,recent:20");

describe("a step of many sequences", () => {
  test.each([
    ["that keep all", 20, full],
    ["that stream", 40, streaming],
    ["whose long texts are cut into chunks", 1100, full],
  ] as const)("%s has the commands of one", async (_, past, policy) => {
    const [one, many] = [await commandsOf(1, past, policy), await commandsOf(past > 1000 ? 5 : 32, past, policy)];
    expect([...many.counts].sort()).toEqual([...one.counts].sort());
    expect(many.counts.get(abi.APPEND)).toBe(LAYERS);
    expect(many.counts.get(abi.ATTENTION)).toBe(LAYERS);
    expect(many.counts.get(abi.ATTENTION_MERGE)).toBe(past > 1000 ? LAYERS : undefined);
  });

  test("of mixed policies, head sets and cache types has at most twice those of one", async () => {
    const policies = Array.from({ length: 32 }, (_, index) => drawHeadPolicy(index).policy);
    const one = await commandsOf(1, 30, full);
    const many = await commandsOf(32, 30, (index) => policies[index]);
    expect(many.counts.get(abi.APPEND)).toBe(LAYERS);
    expect(many.counts.get(abi.ATTENTION)).toBe(LAYERS);
    expect(many.all).toBeLessThanOrEqual(2 * one.all);
  });
});
