/** A session whose cache cannot fit is refused before anything is taken for it. */
import { describe, expect, it } from "vitest";
import type { SessionOptions } from "../../src/engine/api.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import type { LocalModel } from "../../src/engine/local-model.js";
import { MemoryError } from "../../src/util/errors.js";
import { tinyFile } from "../support/tiny-gguf.js";

const SMALL: SessionOptions = { context: "sinks:4,recent:28", kv: "q8", chunk: 16 };
const LARGE: SessionOptions = { context: "sinks:4,recent:50000", kv: "f32", chunk: 16 };

async function write(model: LocalModel, options: SessionOptions): Promise<number> {
  const session = model.session(options);
  let count = 0;
  for await (const _ of session.generate([270, 271, 272], { temperature: 0, maxTokens: 4, ignoreEnd: true })) count++;
  return count;
}

describe.each(["reference", "wasm"] as const)("on %s", (backend) => {
  it("the limit holds for what a session may come to take, not for what its first step takes", async () => {
    const path = tinyFile();
    const unlimited = await loadLocal(path, { backend, threads: 1 });
    const [small, large, taken] = [
      await unlimited.plan(SMALL),
      await unlimited.plan(LARGE),
      unlimited.runner.backend.memoryBytes,
    ];
    await unlimited.dispose();
    const memoryLimitBytes = taken + large.cacheBytes / 2;
    expect(small.cacheBytes + small.activationBytes).toBeLessThan(large.cacheBytes / 2);

    const model = await loadLocal(path, { backend, threads: 1, memoryLimitBytes });
    const before = model.runner.backend.memoryBytes;
    const error = await write(model, LARGE).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(MemoryError);
    expect(error).toMatchObject({ message: expect.stringMatching(/contextLength|budget/) });
    expect(model.runner.backend.memoryBytes).toBe(before);
    expect(await write(model, SMALL)).toBe(4);
    await model.dispose();
  });
});
