/** `memoryLimitBytes` holds for all sessions of a model together, and for all that a call takes. */
import { afterEach, describe, expect, it } from "vitest";
import type { LoadOptions, Session, SessionOptions } from "../../src/engine/api.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import type { LocalModel } from "../../src/engine/local-model.js";
import { MemoryError } from "../../src/util/errors.js";
import { tinyFile } from "../support/tiny-gguf.js";

/** A cache of some megabytes, and little beside it. */
const LONG: SessionOptions = { context: "full", contextLength: 8000, chunk: 32 };
const FILE = tinyFile({ metadata: { "llama.context_length": 8192 } });

/** Weights begin at multiples of 64 bytes. */
const SPARE_BYTES = 4096;

const open: LocalModel[] = [];
afterEach(async () => {
  for (const model of open.splice(0)) await model.dispose();
});

async function load(options: LoadOptions): Promise<LocalModel> {
  const model = await loadLocal(FILE, { threads: 1, ...options });
  open.push(model);
  return model;
}

/** A model with room for `sessions` sessions with these options, and half of one more cache. */
async function modelFor(
  options: SessionOptions,
  sessions: number,
  backend: LoadOptions["backend"],
): Promise<LocalModel> {
  const probe = await load({ backend });
  const { weightBytes, cacheBytes, activationBytes } = await probe.plan(options);
  return load({ backend, memoryLimitBytes: weightBytes + (sessions + 0.5) * cacheBytes + activationBytes });
}

async function read(session: Session, tokens: number, batch = 32): Promise<void> {
  for await (const _ of session.score(
    Array.from({ length: tokens }, (_, i) => 261 + (i % 20)),
    { batch, every: 1000 },
  ));
}

describe.each<NonNullable<LoadOptions["backend"]>>(["wasm", "reference"])("sessions on %s", (backend) => {
  it("that each fit alone do not both fit where there is room for one", async () => {
    const model = await modelFor(LONG, 1, backend);
    const { availableBytes } = await model.plan(LONG);
    const [first, second] = [model.session(LONG), model.session(LONG)];
    await read(first, 40);
    // Its cache is promised, though most of it is not taken yet.
    const error = await read(second, 40).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(MemoryError);
    expect(error).toMatchObject({
      message: expect.stringMatching(
        /A cache of 8,000 tokens .* need .*, but only .* are available: .* are promised to another session/,
      ),
      details: { promisedBytes: (await model.plan(LONG)).cacheBytes },
    });
    expect(second.usage).toMatchObject({ seen: 0, cacheBytes: 0 });
    // Grown far beyond what a limit without promises would have left to both.
    await read(first, backend === "wasm" ? 7000 : 100);
    expect(model.runner.backend.memoryBytes).toBeLessThanOrEqual(availableBytes ?? 0);
  });

  it("fit into what the plan says, one after the other", async () => {
    const options: SessionOptions = { ...LONG, chunk: 256 };
    const { weightBytes, cacheBytes, activationBytes } = await (await load({ backend })).plan(options);
    const model = await load({ backend, memoryLimitBytes: weightBytes + cacheBytes + activationBytes + SPARE_BYTES });
    for (let round = 0; round < 3; round++) {
      const session = model.session(options);
      await read(session, backend === "wasm" ? 300 : 40, 1);
      await session.dispose();
    }
    await expect(read(model.session({ ...options, contextLength: 8192, kv: "f32" }), 10)).rejects.toThrow(
      /smaller contextLength/,
    );
  });

  it("are told of smaller chunks where the steps take most", async () => {
    const model = await load({ backend });
    const options: SessionOptions = { context: "full", contextLength: 4096, chunk: 4096 };
    const { weightBytes, activationBytes } = await model.plan(options);
    const small = await load({ backend, memoryLimitBytes: weightBytes + activationBytes - 1e5 });
    await expect(read(small.session(options), 10)).rejects.toThrow(
      /A cache of 4,096 tokens \(.*\) and steps of up to 4,096 tokens \(.*\) need .*smaller chunk/,
    );
    await read(small.session({ ...options, chunk: 16 }), 10);
  });

  it.each(["reset", "dispose"] as const)("give back what they were promised with %s", async (way) => {
    const model = await modelFor(LONG, 1, backend);
    const [first, second] = [model.session(LONG), model.session(LONG)];
    await read(first, 20);
    await expect(read(second, 20)).rejects.toThrow(MemoryError);
    await first[way]();
    await read(second, 20);
    expect(second.usage.seen).toBe(20);
    await expect(read(way === "reset" ? first : model.session(LONG), 20)).rejects.toThrow(MemoryError);
  });

  it("as many as fit are admitted, and no more", async () => {
    const model = await modelFor(LONG, 3, backend);
    const sessions = Array.from({ length: 4 }, () => model.session(LONG));
    for (const session of sessions.slice(0, 3)) await read(session, 20);
    await expect(read(sessions[3], 20)).rejects.toThrow(/promised to 3 other sessions/);
    // A small one still fits.
    await read(model.session({ context: "recent:64", chunk: 32 }), 100);
  });

  it("that could not be opened hold no promise", async () => {
    const model = await modelFor(LONG, 1, backend);
    const { backend: memories } = model.runner;
    const session = model.session(LONG);
    memories.kvStore = () => {
      throw new MemoryError("mine", {});
    };
    await expect(read(session, 20)).rejects.toThrow("mine");
    Reflect.deleteProperty(memories, "kvStore");
    await read(model.session(LONG), 20);
    // And it holds none beside the one that was admitted meanwhile.
    await expect(read(session, 20)).rejects.toThrow(/promised to another session/);
  });

  it("that could not be restored hold no promise", async () => {
    const model = await modelFor(LONG, 1, backend);
    const session = model.session(LONG);
    await read(session, 20);
    const saved = await session.save();
    await expect(model.restore(saved)).rejects.toThrow(MemoryError);
    await session.dispose();
    const restored = await model.restore(saved);
    expect(restored.usage.seen).toBe(20);
    await expect(model.restore(saved)).rejects.toThrow(MemoryError);
  });
});

describe("logits of many rows", () => {
  // 289 tokens in the vocabulary, so 2048 rows of logits are 2.3 MiB.
  const options: SessionOptions = { context: "recent:64", chunk: 2048 };

  it("are planned for, and refused before anything is read", async () => {
    const model = await modelFor(options, 1, "wasm");
    const session = model.session(options);
    const error = await read(session, 2048, 2048).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(MemoryError);
    expect(error).toMatchObject({
      message: expect.stringMatching(/Reading 2,048 tokens at once with the logits of each needs .* a smaller batch/),
    });
    expect(session.usage.seen).toBe(0);
    await read(session, 2048, 16);
    expect(session.usage.seen).toBe(2048);
    expect(model.runner.backend.memoryBytes).toBeLessThanOrEqual((await model.plan(options)).availableBytes ?? 0);
  });

  it("of a short text are those of its tokens", async () => {
    const model = await modelFor(options, 1, "wasm");
    const session = model.session(options);
    await read(session, 10, 2048);
    expect(session.usage.seen).toBe(10);
  });
});
