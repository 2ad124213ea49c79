/** The forms that this machine can be forced into (SLUICE_FORM): those that a backend does not refuse. */
import { createWasmBackend } from "../../src/backends/wasm/index.js";
import { UnsupportedError } from "../../src/util/errors.js";
import { setPlatform } from "../../src/util/platform.js";
import { testPlatform } from "./test-platform.js";

export const ALL_FORMS = ["sixteen", "nibbles", "bytes"].flatMap((products) =>
  ["128", "256"].map((bits) => `${products},${bits}`),
);

/** At least one: 16 bits in vectors of 128. */
export async function possibleForms(): Promise<readonly string[]> {
  const possible: string[] = [];
  for (const form of ALL_FORMS) {
    setPlatform({ ...testPlatform, forcedForm: form });
    try {
      await (await createWasmBackend({ threads: 1 })).dispose();
      possible.push(form);
    } catch (error) {
      if (!(error instanceof UnsupportedError)) throw error;
    }
  }
  setPlatform(testPlatform);
  return possible;
}
