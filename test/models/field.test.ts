/**
 * Files of the kinds on which models went wrong in silence, with the probabilities that llama.cpp gives: Gemma 3 without a
 * window, with one of width 0 and with another pattern, and a scaling factor without its kind.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import type { LocalModel } from "../../src/engine/local-model.js";
import { hasShared, SHARED } from "../support/shared-files.js";

interface Golden {
  readonly tolerance: { readonly logprob: number };
  readonly runs: readonly {
    readonly context_size: number;
    readonly tokens: readonly number[];
    readonly next_logprobs: readonly number[];
  }[];
}

const FILES = ["no-window-softcap30", "window-0", "pattern-3", "factor-without-type"];

describe.skipIf(!hasShared).each(["reference", "wasm"] as const)("on %s", (backend) => {
  describe.each(FILES)("%s", (name) => {
    let model: LocalModel;
    beforeAll(async () => {
      model = await loadLocal(join(SHARED, "field", `${name}.gguf`), { backend, threads: 2 });
    });
    afterAll(() => model?.dispose());

    it("has llama.cpp's probabilities, token by token and in chunks", async () => {
      const golden: Golden = JSON.parse(readFileSync(join(SHARED, "field", `${name}.json`), "utf8"));
      const { runs, tolerance } = golden;
      for (const { tokens, context_size: contextLength, next_logprobs: expected } of runs) {
        for (const batch of [1, 19]) {
          const session = model.session({ kv: "f32", contextLength });
          const found: number[] = [];
          for await (const { logprobs } of session.score(tokens, { batch })) found.push(...logprobs);
          await session.dispose();
          expect(found.length).toBe(expected.length);
          const worst = found.reduce((most, logprob, i) => Math.max(most, Math.abs(logprob - expected[i])), 0);
          expect(worst).toBeLessThanOrEqual(tolerance.logprob);
        }
      }
    });
  });
});
