/**
 * The quantised ones of the tiny models in every form that this machine computes exactly (SLUICE_FORM), not only in its own:
 * their log-probabilities beside llama.cpp's, token by token and in chunks.
 */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Model } from "../../src/engine/api.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import { setPlatform } from "../../src/util/platform.js";
import { possibleForms } from "../support/possible-forms.js";
import { testPlatform } from "../support/test-platform.js";
import { folder, goldens, mean, nextLogprobs, worst } from "./goldens.js";

const quantised = goldens.filter(({ tolerance }) => tolerance.mean_logprob !== undefined);

describe.skipIf(quantised.length === 0).each(await possibleForms())("in %s", (form) => {
  beforeAll(() => setPlatform({ ...testPlatform, forcedForm: form }));
  afterAll(() => setPlatform(testPlatform));
  test.each(quantised)("$name", async ({ name, runs, tolerance: { logprob, mean_logprob = 0 } }) => {
    const model: Model = await loadLocal(join(folder, `${name}.gguf`), { backend: "wasm", threads: 2 });
    try {
      for (const run of runs) {
        for (const batch of [1, 19]) {
          const all = await nextLogprobs(model, run, batch);
          expect(mean(all, run.next_logprobs)).toBeLessThanOrEqual(mean_logprob);
          expect(worst(all, run.next_logprobs)).toBeLessThanOrEqual(logprob);
        }
      }
    } finally {
      await model.dispose();
    }
  });
});
