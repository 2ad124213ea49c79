/** With quantised weights too, sequences that share steps have the bits of each alone. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parsePolicy } from "../../src/context/policy-text.js";
import { SequenceMemory } from "../../src/context/sequence-memory.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import type { LocalModel } from "../../src/engine/local-model.js";
import type { DType } from "../../src/tensor/dtype.js";
import { batchStep } from "../support/batch-step.js";
import type { Family } from "../support/families.js";
import { FAMILY_TOKENS, randomGguf } from "../support/random-gguf.js";
import { randomIds } from "../support/random-model.js";

const SIZES = {
  block_count: 2,
  context_length: 128,
  embedding_length: 256,
  feed_forward_length: 256,
  "attention.head_count": 4,
  "attention.head_count_kv": 2,
  "attention.layer_norm_rms_epsilon": 1e-5,
};
const DENSE: Family = { name: "llama", architecture: "llama", keys: SIZES, has: /^output|ffn_gate\.w/ };
const EXPERTS: Family = {
  name: "mixtral",
  architecture: "llama",
  keys: { ...SIZES, expert_count: 5, expert_used_count: 2 },
  has: /^output/,
};
const CASES = (["q4_0", "q8_0", "q4_k", "q6_k", "mxfp4", "f16"] as const).flatMap((dtype) =>
  [DENSE, EXPERTS].map((family): [DType, string, Family] => [dtype, family.name, family]),
);
const PLACES: readonly (readonly ["reference" | "wasm", number, typeof CASES])[] = [
  // It has one form.
  ["reference", 1, [["q4_0", DENSE.name, DENSE]]],
  ["wasm", 1, CASES],
  ["wasm", 2, CASES],
];

/** Rows of each sequence in each step. */
const STEPS: readonly (readonly (readonly number[])[])[] = [
  [[1], [3], [8], [20]],
  [
    [9, 1, 2],
    [30, 1, 9],
    [2, 12, 1],
    [7, 7, 8],
  ],
  Array.from({ length: 32 }, (_, i) => [1 + ((i * 5) % 13), 1, 1]),
];

describe.each(PLACES)("on %s, %i threads", (backend, threads, cases) => {
  describe.each(cases)("%s %s", (dtype, _, family) => {
    let model: LocalModel;
    beforeAll(async () => {
      const { path } = randomGguf(family, 3, dtype);
      model = await loadLocal(path, { backend, threads });
    });
    afterAll(() => model.dispose());

    const memory = () => {
      const { backend: ops, decoder } = model.runner;
      const settings = {
        policy: parsePolicy("sinks:4,recent:28"),
        keyType: "f16",
        valueType: "q8",
        limit: 128,
      } as const;
      return new SequenceMemory(ops, decoder.shapes, settings);
    };

    it.each(STEPS.map((counts): [number, readonly (readonly number[])[]] => [counts.length, counts]))(
      "%i sequences in one step are each alone, bit by bit",
      async (__, counts) => {
        const sequences = counts.map((own, i) => ({
          together: memory(),
          alone: memory(),
          own,
          text: randomIds(
            own.reduce((total, count) => total + count, 0),
            FAMILY_TOKENS.length,
            i,
          ),
        }));
        let largest = 0;
        for (const step of counts[0].keys()) {
          const idsOf = ({ own, text }: (typeof sequences)[number]) => {
            const start = own.slice(0, step).reduce((total, count) => total + count, 0);
            return text.subarray(start, start + own[step]);
          };
          const found = await batchStep(
            model,
            sequences.map((sequence) => ({ memory: sequence.together, ids: idsOf(sequence) })),
          );
          for (const [i, sequence] of sequences.entries()) {
            const [expected] = await batchStep(model, [{ memory: sequence.alone, ids: idsOf(sequence) }]);
            expect(found[i], `sequence ${i}, step ${step}`).toEqual(expected);
            for (const row of expected) largest = row.reduce((most, value) => Math.max(most, Math.abs(value)), largest);
          }
        }
        expect(largest).toBeGreaterThan(0.1);
        for (const { together, alone } of sequences) for (const one of [together, alone]) one.dispose();
      },
    );
  });
});
