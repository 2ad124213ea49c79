/** Saved and restored sessions: they go on bit for bit as if nothing had happened, and bad bytes are refused. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { GenerateOptions, Part, Session, SessionOptions } from "../../src/engine/api.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import type { LocalModel } from "../../src/engine/local-model.js";
import { ArgumentError, MemoryError, SluiceError, SnapshotError } from "../../src/util/errors.js";
import { xxhash32 } from "../../src/util/xxhash32.js";
import { tinyFile } from "../support/tiny-gguf.js";

const PROMPT = Array.from({ length: 30 }, (_, i) => 261 + ((i * 7) % 23));

/** Every number that a generation shows. */
async function write(session: Session, prompt: string | number[], options: GenerateOptions = {}): Promise<unknown[]> {
  const parts: Part[] = [];
  const all = { temperature: 0, ignoreEnd: true, logprobs: 280, maxTokens: 12, ...options };
  for await (const part of session.generate(prompt, all)) parts.push(part);
  return parts;
}

async function talk(session: Session, text: string): Promise<unknown[]> {
  const parts: Part[] = [];
  const options = { temperature: 0.9, seed: 5, maxTokens: 6, logprobs: 4, ignoreEnd: true };
  for await (const part of session.chat(text, options)) parts.push(part);
  return parts;
}

/** What one sees of a session but its speed, which begins anew. */
function shown({ usage, messages, context, notes }: Session): unknown {
  const { prefillTokensPerSecond: _, decodeTokensPerSecond: __, ...rest } = usage;
  return { usage: rest, messages: [...messages], context, notes };
}

const OPTIONS: readonly SessionOptions[] = [
  { context: "full", kv: "f32" },
  { context: "full", kv: "f16", contextLength: 200, chunk: 7 },
  { context: "sinks:4,recent:20", kv: "f32", chunk: 5 },
  { context: "sinks:3,recent:40,evict=9", kv: "q8/f16" },
  { context: "recent:1", kv: "f16" },
  { context: "sinks:20,recent:17,distance=text", kv: "q8" },
  { context: "recompute:16", kv: "f32", chunk: 6 },
  { context: "full,read=quest:32,dense=0", kv: "q8/f16", chunk: 11 },
  { context: "sinks:3,recent:40,evict=9", kv: "q4" },
  { context: "recent:30", kv: "q8/q4", chunk: 5 },
];

describe.each(["reference", "wasm"] as const)("a session on %s", (backend) => {
  let model: LocalModel;
  let other: LocalModel;
  const path = tinyFile({ metadata: { "llama.context_length": 400 } });
  beforeAll(async () => {
    model = await loadLocal(path, { backend, threads: 2 });
    other = await loadLocal(path, { backend, threads: 1 });
  });
  afterAll(async () => {
    await model.dispose();
    await other.dispose();
  });

  it.each(OPTIONS)(
    "goes on bit for bit under %j, in the same model and in another one of the same file",
    async (options) => {
      for (const length of [1, 15, 16, 17, 30, 48, 90]) {
        const prompt = Array.from({ length }, (_, i) => PROMPT[i % PROMPT.length]);
        const session = model.session(options);
        await write(session, prompt, { maxTokens: length % 2 });
        const saved = await session.save();
        const restored = await Promise.all([model.restore(saved), other.restore(saved)]);
        for (const again of restored) expect(shown(again)).toEqual(shown(session));
        const expected = [await write(session, []), await write(session, PROMPT, { repetitionPenalty: 1.3 })];
        for (const again of restored) {
          expect([await write(again, []), await write(again, PROMPT, { repetitionPenalty: 1.3 })]).toEqual(expected);
          expect(shown(again)).toEqual(shown(session));
          await again.dispose();
        }
        await session.dispose();
      }
    },
  );

  it("counts on what it has read and written, but speeds are of the work since", async () => {
    const session = model.session({ context: "sinks:4,recent:60" });
    await write(session, PROMPT, { maxTokens: 5 });
    expect(session.usage).toMatchObject({ promptTokens: 30, generatedTokens: 5 });
    expect([session.usage.prefillTokensPerSecond, session.usage.decodeTokensPerSecond]).not.toContain(null);
    const restored = await model.restore(await session.save());
    const none = { prefillTokensPerSecond: null, decodeTokensPerSecond: null };
    expect(restored.usage).toMatchObject({ promptTokens: 30, generatedTokens: 5, ...none });
    await write(restored, PROMPT, { maxTokens: 0 });
    expect(restored.usage).toMatchObject({ promptTokens: 60, generatedTokens: 5, decodeTokensPerSecond: null });
    expect(restored.usage.prefillTokensPerSecond).toBeGreaterThan(0);
    await restored.reset();
    expect(restored.usage).toMatchObject({ promptTokens: 0, generatedTokens: 0, ...none });
  });

  it("is saved before anything was read, and in the middle of nothing else", async () => {
    const session = model.session({ context: "recent:9", kv: "q8" });
    const restored = await model.restore(await session.save());
    expect(shown(restored)).toEqual(shown(session));
    const running = session.generate(PROMPT);
    await running.next();
    await expect(session.save()).rejects.toThrow(ArgumentError);
    await running.return();
    await session.dispose();
    await expect(session.save()).rejects.toThrow(ArgumentError);
    expect(await write(restored, PROMPT)).toEqual(
      await write(model.session({ context: "recent:9", kv: "q8" }), PROMPT),
    );
  });

  it("keeps the conversation: what was read is not read again, and earlier words count for penalties", async () => {
    const session = model.session({ context: "sinks:4,recent:60" });
    await talk(session, "the an");
    const restored = await other.restore(await session.save());
    expect(restored.messages).toEqual(session.messages);
    expect(await talk(restored, "in the")).toEqual(await talk(session, "in the"));
    expect(shown(restored)).toEqual(shown(session));
    expect(restored.messages).toHaveLength(4);
  });

  it("is saved after a step that failed as before it", async () => {
    const session = model.session({ context: "full", kv: "f32" });
    await write(session, PROMPT, { maxTokens: 1 });
    const before = await session.save();
    const { step } = model.runner;
    model.runner.step = ([{ state }]) => {
      state.begin(40);
      throw new MemoryError("none left", {});
    };
    await expect(write(session, PROMPT)).rejects.toThrow(MemoryError);
    model.runner.step = step;
    expect(await session.save()).toEqual(before);
  });

  describe("bytes that are not a saved session of this model", () => {
    let saved: Uint8Array;
    let bytesBefore: number;
    let page: Uint8Array;
    /** Sinks in one, what is recent in the other. */
    let pages: Header["text"]["memory"]["groups"][0];
    beforeAll(async () => {
      const session = model.session({ context: "sinks:4,recent:20", kv: "f32" });
      await write(session, [...PROMPT, ...PROMPT, ...PROMPT]);
      saved = await session.save();
      pages = headerOf(saved).text.memory.groups[0];
      page = new Uint8Array(session.text.reader.memory.cache.groups[0].store.pageBytes);
      await session.dispose();
      bytesBefore = model.runner.backend.memoryBytes;
    });

    async function refused(bytes: Uint8Array): Promise<SluiceError> {
      const error = await model.restore(bytes).then(
        () => new Error("was restored"),
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(SnapshotError);
      expect(model.runner.backend.memoryBytes).toBe(bytesBefore);
      return error instanceof SluiceError ? error : new SnapshotError("");
    }

    it("are refused with the reason: another model, backend, version, kind of file", async () => {
      const stranger = await loadLocal(tinyFile({ seed: 9, metadata: { "llama.context_length": 400 } }), { backend });
      const foreign = await loadLocal(path, { backend: backend === "wasm" ? "reference" : "wasm", threads: 1 });
      expect((await refused(await stranger.session().save())).message).toMatch(/another model/);
      expect((await refused(await foreign.session().save())).message).toMatch(/backend/);
      expect((await refused(edited(saved, (header) => header, 2))).message).toMatch(/version 2/);
      expect((await refused(new TextEncoder().encode("GGUF and so on"))).message).toMatch(/not a saved session/);
      await stranger.dispose();
      await foreign.dispose();
    });

    it("are refused when cut anywhere, lengthened, or changed anywhere", async () => {
      for (let length = 0; length < saved.length; length += length < 40 ? 1 : 997)
        await refused(saved.subarray(0, length));
      await refused(Uint8Array.from([...saved, 0]));
      const place = fc.record({ at: fc.nat(saved.length - 1), bit: fc.nat(7) });
      await fc.assert(
        fc.asyncProperty(place, async ({ at, bit }) => {
          const changed = saved.slice();
          changed[at] ^= 1 << bit;
          await refused(changed);
        }),
        { numRuns: 40 },
      );
    });

    it("are refused at random, also behind a right beginning and checksum", async () => {
      await fc.assert(
        fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.boolean(), async (random, honest) => {
          await refused(honest ? sealed(Uint8Array.from([...saved.subarray(0, 12), 0, 0, 0, 0, ...random])) : random);
        }),
        { numRuns: 100 },
      );
    });

    it("are refused with lengths, places and ids that cannot be", async () => {
      const hostile: Readonly<Record<string, (header: Header) => unknown>> = {
        "more logits": (h) => ({ ...h, logits: 2 ** 40 }),
        "no logits": (h) => ({ ...h, history: h.history - 1 }),
        "negative counts": (h) => ({ ...h, history: -1 }),
        "half counts": (h) => ({ ...h, newest: 0.5 }),
        "ids that are read again": (h) => ({ ...h, newest: 1, history: h.history - 1 }),
        "a token that is none": (h) => ({ ...h, waiting: 100_000 }),
        "no text": (h) => ({ ...h, text: null }),
        "an endless text": (h) => withMemory(h, { seen: 2 ** 52 }),
        "a longer text": (h) => withMemory(h, { seen: h.text.memory.seen + 16 }),
        "a shorter text": (h) => withMemory(h, { seen: 3 }),
        "another length beside the memory": (h) => ({ ...h, text: { ...h.text, seen: h.text.seen + 1 } }),
        "no pages": (h) => withMemory(h, { groups: [[]] }),
        "many pages": (h) => withMemory(h, { groups: [[{ first: 0, count: 2 ** 45 }]] }),
        "an endless cache": (h) => ({
          ...h,
          text: { seen: 2 ** 45, memory: { seen: 2 ** 45, source: 0, groups: [[{ first: 0, count: 2 ** 41 }]] } },
        }),
        "other sinks": (h) => withPages(h, [{ first: 1, count: 1 }, pages[1]]),
        "other recent text": (h) => withPages(h, [pages[0], { ...pages[1], first: pages[1].first - 1 }]),
        "pages of later text": (h) => withPages(h, [...pages, { first: 100, count: 1 }]),
        "pages of other numbers": (h) => withMemory(h, { groups: [[{ first: "0", count: 3 }]] }),
        "more groups": (h) => withMemory(h, { groups: [...h.text.memory.groups, []] }),
        "an encoder": (h) => withMemory(h, { source: 5 }),
        "an unknown policy": (h) => ({ ...h, options: { ...h.options, context: "everything" } }),
        "a senseless option": (h) => ({ ...h, options: { ...h.options, chunk: 0 } }),
        "a role that is none": (h) => ({ ...h, messages: [{ role: "nobody", content: "" }] }),
        "an endless system message": (h) => ({ ...h, divided: { system: { start: 0, end: 2 ** 52 }, starts: [] } }),
        "a message behind the text": (h) => ({
          ...h,
          divided: { system: null, starts: [{ at: h.text.seen + 1, answer: false }] },
        }),
        "a turn that is neither": (h) => ({
          ...h,
          divided: { system: null, starts: [{ at: 1, answer: false, turn: "yes" }] },
        }),
        "no header": () => [],
        "no header at all": () => null,
      };
      for (const [name, change] of Object.entries(hostile)) {
        expect(await refused(edited(saved, change)), name).toBeInstanceOf(SnapshotError);
        // Also where the length would be right.
        expect(await refused(edited(Uint8Array.from([...saved, ...page]), change)), name).toBeInstanceOf(SnapshotError);
      }
      const twice = (h: Header) => withPages(h, [pages[0], pages[0], pages[1]]);
      await refused(edited(Uint8Array.from([...saved, ...page]), twice));
      // The token -1.
      const end = HEADER_AT + new DataView(saved.buffer).getUint32(HEADER_AT - 4, true);
      await refused(sealed(saved.slice().fill(255, end)));
      const { options } = headerOf(saved);
      const plain = await model.restore(edited(saved, (header) => ({ ...header, options: { ...options, chunk: 3 } })));
      await plain.dispose();
    });
  });
});

interface Header {
  readonly history: number;
  readonly options: object;
  readonly text: {
    readonly seen: number;
    readonly memory: { readonly seen: number; readonly groups: { first: number; count: number }[][] };
  };
}

function withPages(header: Header, pages: unknown): unknown {
  return withMemory(header, { groups: [pages] });
}

function withMemory(header: Header, change: object): unknown {
  return { ...header, text: { ...header.text, memory: { ...header.text.memory, ...change } } };
}

const HEADER_AT = 20;

function headerOf(saved: Uint8Array): Header {
  const length = new DataView(saved.buffer, saved.byteOffset).getUint32(HEADER_AT - 4, true);
  return JSON.parse(new TextDecoder().decode(saved.subarray(HEADER_AT, HEADER_AT + length)));
}

/** With another header and version, and a right checksum. */
function edited(saved: Uint8Array, change: (header: Header) => unknown, version = 1): Uint8Array {
  const old = new DataView(saved.buffer, saved.byteOffset).getUint32(HEADER_AT - 4, true);
  const header = new TextEncoder().encode(JSON.stringify(change(headerOf(saved))));
  const bytes = Uint8Array.from([...saved.subarray(0, HEADER_AT), ...header, ...saved.subarray(HEADER_AT + old)]);
  const view = new DataView(bytes.buffer);
  view.setUint32(8, version, true);
  view.setUint32(HEADER_AT - 4, header.length, true);
  return sealed(bytes);
}

/** With a right checksum. */
function sealed(bytes: Uint8Array): Uint8Array {
  new DataView(bytes.buffer).setUint32(12, xxhash32(bytes.subarray(16)), true);
  return bytes;
}
