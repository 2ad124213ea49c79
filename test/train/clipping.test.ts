/** Gradients are clipped by the norm of all of them together, and only where it is larger. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createBackend } from "../../src/backends/create.js";
import { createWasmBackend } from "../../src/backends/wasm/index.js";
import type { Backend } from "../../src/tensor/backend.js";
import { differing, numbersOf, type TinyChange, tinyConfig, tinyTrainer } from "../support/tiny-training.js";

const CHANGES: readonly [string, TinyChange][] = [
  ["a llama", {}],
  [
    "a Mamba, whose decays learn apart",
    {
      model: { architecture: "mamba" },
      keys: { "ssm.conv_kernel": 3, "ssm.inner_size": 32, "ssm.state_size": 4, "ssm.time_step_rank": 2 },
    },
  ],
];

describe.each([
  { name: "reference", create: () => createBackend("reference", { threads: 1 }) },
  {
    name: "wasm",
    create: () => createWasmBackend({ threads: 2, parallelNs: 0, maxMemoryBytes: 2 ** 28 }),
  },
])("on $name", ({ create }) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await create();
  });
  afterAll(() => backend.dispose());

  describe.each(CHANGES)("%s", (_, change) => {
    /** The norm that the first step reports, and all numbers after it. */
    async function firstStep(clip: number) {
      const trainer = tinyTrainer(backend, tinyConfig({ ...change, optimizer: { clip } }));
      const { gradientNorm } = await trainer.step();
      return { gradientNorm, numbers: await numbersOf(trainer) };
    }

    it("beyond the limit gradients are scaled to it", async () => {
      const free = await firstStep(1e9);
      expect(free.gradientNorm).toBeGreaterThan(0);
      const clipped = await firstStep(free.gradientNorm / 4);
      expect(clipped.gradientNorm).toBe(free.gradientNorm);
      let moved = 0;
      for (const [name, values] of free.numbers) {
        const kind = /^(first|second) of /.exec(name)?.[1];
        if (!kind) continue;
        // The moments begin at zero and take a quarter of each gradient, and a sixteenth of its square: exact in floats.
        const scale = kind === "first" ? 1 / 4 : 1 / 16;
        expect(clipped.numbers.get(name), name).toEqual(values.map((value) => value * scale));
        if (values.some((value) => value !== 0)) moved++;
      }
      expect(moved).toBeGreaterThan(10);
    });

    it("below it they are left alone", async () => {
      const free = await firstStep(1e9);
      const within = await firstStep(free.gradientNorm * 1.01);
      expect(differing(within.numbers, free.numbers)).toEqual([]);
    });
  });
});
