/** An encoder that is cancelled while it reads: between its layers, with nothing held and the session as it was. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Part } from "../../src/engine/api.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import type { LocalModel } from "../../src/engine/local-model.js";
import type { BackendName, ScopeBody } from "../../src/tensor/backend.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { FAMILIES } from "../support/families.js";
import { randomGguf } from "../support/random-gguf.js";

const OPTIONS = { temperature: 0, maxTokens: 3, ignoreEnd: true };
const PROMPT = [4, 5, 6, 7, 8];

async function collect(parts: AsyncIterable<Part>): Promise<Part[]> {
  const all: Part[] = [];
  for await (const part of parts) all.push(part);
  return all;
}

describe.each<BackendName>(["reference", "wasm"])("a source on %s", (backendName) => {
  let model: LocalModel;
  beforeAll(async () => {
    const family = FAMILIES.find(({ name }) => name === "t5");
    if (!family) throw new Error("There is no family t5.");
    model = await loadLocal(randomGguf(family).path, { backend: backendName, threads: 1 });
  });
  afterAll(() => model.dispose());

  /** Runs `work` and tells how many layers began; `each` is called as one begins. */
  async function layersOf(each: (count: number) => void, work: () => Promise<void>): Promise<number> {
    const { backend } = model.runner;
    const scope = backend.scope.bind(backend);
    let count = 0;
    backend.scope = <I>(body: ScopeBody<I>, x: Tensor, input: I) => {
      each(++count);
      return scope(body, x, input);
    };
    try {
      await work();
    } finally {
      Reflect.deleteProperty(backend, "scope");
    }
    return count;
  }

  it("is read no further than the layer in which the signal came; then nothing is held", async () => {
    const session = model.session();
    const abort = new AbortController();
    let parts: Part[] = [];
    const began = await layersOf(
      (count) => count === 1 && abort.abort(),
      async () => {
        parts = await collect(session.generate(PROMPT, { ...OPTIONS, signal: abort.signal }));
      },
    );
    expect(parts).toEqual([{ text: "", id: undefined, finish: "cancelled" }]);
    expect(began).toBe(1);
    expect(session.usage).toMatchObject({ seen: 0, promptTokens: 0, cacheBytes: 0 });
    const fresh = model.session();
    expect(await collect(session.generate(PROMPT, OPTIONS))).toEqual(await collect(fresh.generate(PROMPT, OPTIONS)));
    await session.dispose();
    await fresh.dispose();
  });

  it("is read with memory that comes back, also where that fails", async () => {
    const { backend } = model.runner;
    const reads = async (fails: boolean) => {
      const session = model.session();
      const reading = () => collect(session.generate(PROMPT, OPTIONS));
      const fail = () => {
        throw new RangeError("a layer failed");
      };
      if (fails) await layersOf(fail, () => expect(reading()).rejects.toThrow("a layer failed"));
      else await reading();
      await session.dispose();
    };
    await reads(false);
    const before = backend.memoryBytes;
    for (const fails of [false, true, false, true, false]) {
      await reads(fails);
      expect(backend.memoryBytes).toBe(before);
    }
  });

  it("is not held when reading it failed", async () => {
    const session = model.session();
    await layersOf(
      (count) => {
        if (count === 2) throw new RangeError("a layer failed");
      },
      () => expect(collect(session.generate(PROMPT, OPTIONS))).rejects.toThrow("a layer failed"),
    );
    expect(session.usage.cacheBytes).toBe(0);
    await session.dispose();
  });
});
