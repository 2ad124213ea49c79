/** Which build of the kernels a backend takes: the relaxed one where the engine has it, else the plain one. */
import { afterEach, expect, it } from "vitest";
import { createWasmBackend, type WasmBackend, type WasmBackendOptions } from "../../src/backends/wasm/index.js";
import { relaxedSimd } from "../support/test-platform.js";

const made: WasmBackend[] = [];
async function create(options: WasmBackendOptions): Promise<WasmBackend> {
  const backend = await createWasmBackend({ threads: 1, ...options });
  made.push(backend);
  return backend;
}
afterEach(async () => {
  for (const backend of made.splice(0)) await backend.dispose();
});

it(`takes the ${relaxedSimd ? "relaxed" : "plain"} build by itself`, async () => {
  expect((await create({})).relaxed).toBe(relaxedSimd);
});

it("takes the plain one when told to", async () => {
  expect((await create({ relaxed: false })).relaxed).toBe(false);
});

it.runIf(relaxedSimd)("takes the relaxed one when told to", async () => {
  expect((await create({ relaxed: true })).relaxed).toBe(true);
});

it.skipIf(relaxedSimd)("refuses the relaxed build on an engine without relaxed SIMD", async () => {
  await expect(create({ relaxed: true })).rejects.toMatchObject({ code: "unsupported" });
});
