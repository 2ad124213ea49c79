/** Gates given at load, in place and by the engine's thread: where they come from, what is refused, and sessions under duo. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { gatesJson, type HeadGates } from "../../src/context/gates/index.js";
import type { GatesSource, GenerateOptions, Model, Part, Session } from "../../src/engine/api.js";
import { load } from "../../src/engine/loading/load.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import { ArgumentError, FormatError, NotFoundError, PolicyError, SnapshotError } from "../../src/util/errors.js";
import { tinyFile } from "../support/tiny-gguf.js";
import { loadAs, MODES } from "./channel-thread.js";

const file = tinyFile({ metadata: { "llama.context_length": 400 } });
const PROMPT = Array.from({ length: 90 }, (_, i) => 261 + ((i * 7) % 23));
const none = { model: null, threshold: null, found: null };
const MIXED: HeadGates = {
  ...none,
  layers: [
    [1, 0],
    [0, 0.75],
  ],
};
const OTHER: HeadGates = {
  ...none,
  layers: [
    [0, 1],
    [0, 0.75],
  ],
};

async function write(session: Session, prompt: readonly number[], more: GenerateOptions = {}): Promise<Part[]> {
  const parts: Part[] = [];
  const options = { temperature: 0, ignoreEnd: true, logprobs: 5, maxTokens: 12, ...more };
  for await (const part of session.generate(prompt, options)) parts.push(part);
  return parts;
}

function put(name: string, content: string): string {
  const path = join(mkdtempSync(join(tmpdir(), "sluice-")), name);
  writeFileSync(path, content);
  return path;
}

describe.each(MODES)("gates of a model %s", (mode) => {
  let model: Model;
  const bytes = new TextEncoder().encode(gatesJson(MIXED));
  const path = put("g.json", gatesJson(MIXED));
  const tsv = "1.0\t0.0\n0.0\t0.75\n";
  const sources: Record<string, GatesSource> = {
    path,
    url: pathToFileURL(path),
    "g.tsv": put("g.tsv", tsv),
    bytes,
    view: new DataView(Uint8Array.from([1, ...bytes, 2]).buffer, 1, bytes.length),
    buffer: bytes.slice().buffer,
    object: MIXED,
    json: JSON.parse(gatesJson(MIXED)),
    OTHER,
  };
  beforeAll(async () => {
    model = await loadAs(mode, file, { threads: 1, gates: sources });
  });
  afterAll(() => model.dispose());

  it("are the same wherever they come from", async () => {
    const texts: unknown[] = [];
    for (const name of Object.keys(sources)) {
      const session = model.session({ context: `duo:${name},sinks:2,recent:20` });
      expect(session.context).toBe(`duo:${name},sinks:2,recent:20`);
      texts.push(await write(session, PROMPT));
      await session.dispose();
    }
    for (const text of texts.slice(0, -1)) expect(text).toEqual(texts[0]);
    expect(texts.at(-1)).not.toEqual(texts[0]);
  });

  it("whose file is not there are told as gates", async () => {
    const gates = { x: join(tmpdir(), "sluice-no-gates.json") };
    const error = { code: "not_found", details: { option: "gates" } };
    await expect(loadAs(mode, file, { threads: 1, gates })).rejects.toMatchObject(error);
  });

  it("that are not there are told at their place in the policy, with those that are", () => {
    const open = () => model.session({ context: "recent:4,duo:more" });
    expect(open).toThrow(PolicyError);
    expect(open).toThrow(/no gates "more"; there are "path", "url"/);
    expect(open).toThrow(expect.objectContaining({ details: expect.objectContaining({ position: 13 }) }));
  });

  it("usage and plan tell what groups of heads keep", async () => {
    const session = model.session({ context: "duo:object,sinks:2,recent:20", kv: "f16", chunk: 16 });
    expect(session.usage.groups).toEqual([]);
    await write(session, PROMPT, { maxTokens: 1 });
    const { groups, kept, horizon, cacheBytes } = session.usage;
    // Keys and values of 8 halves each; 90 tokens are 6 pages.
    const page = 2 * 16 * 8 * 2;
    expect([kept, horizon]).toEqual([90, null]);
    expect(groups).toEqual([
      { keeps: "everything", layers: [0, 1], heads: 2, kept: 90, bytes: 2 * 6 * page },
      { keeps: "the first 2 and the newest 20 tokens", layers: [0, 1], heads: 2, kept: 22, bytes: expect.any(Number) },
    ]);
    expect(groups[0].bytes + groups[1].bytes).toBe(cacheBytes);
    const plan = await model.plan({ context: "duo:object,sinks:2,recent:20", contextLength: 200, chunk: 16 });
    expect(plan.groups.map(({ keeps, kept: most, bytes: own }) => [keeps, most, own])).toEqual([
      ["everything", 200, 2 * 13 * page],
      ["the first 2 and the newest 20 tokens", 22, 2 * (3 + 2) * page],
    ]);
    expect(plan.groups.reduce((sum, one) => sum + one.bytes, 0)).toBe(plan.cacheBytes);
    await session.dispose();
  });

  it.each(["f16", "q8"])("a restored session goes on as one that was never saved (%s)", async (kv) => {
    const session = model.session({ context: "duo:object@0.5,sinks:2,recent:20", kv, chunk: 7 });
    await write(session, PROMPT);
    const saved = await session.save();
    const restored = await model.restore(saved);
    expect(restored.context).toBe(session.context);
    expect(await write(restored, PROMPT)).toEqual(await write(session, PROMPT));
    for (const one of [session, restored]) await one.dispose();
  });

  it("a session is not restored without its gates or with others", async () => {
    const session = model.session({ context: "duo:object" });
    await write(session, PROMPT);
    const saved = await session.save();
    const without = await loadAs(mode, file, { threads: 1 });
    await expect(without.restore(saved)).rejects.toThrow(SnapshotError);
    await expect(without.restore(saved)).rejects.toThrow(/with the gates "object", and the model was loaded with none/);
    const others = await loadAs(mode, file, { threads: 1, gates: { object: OTHER } });
    await expect(others.restore(saved)).rejects.toThrow(SnapshotError);
    await expect(others.restore(saved)).rejects.toThrow(/with other gates of that name/);
    for (const one of [without, others]) await one.dispose();
  });

  it.each<[string, unknown, { readonly name: string; readonly prototype: Error }, RegExp]>([
    [
      "of other layers",
      { ...none, layers: [[1, 1]] },
      ArgumentError,
      /"g" are of 1 layer with attention; this llama model has 2/,
    ],
    [
      "of other heads",
      {
        ...none,
        layers: [
          [1, 1],
          [1, 1, 1],
        ],
      },
      ArgumentError,
      /3 KV heads in layer 1/,
    ],
    [
      "of another model",
      { ...MIXED, model: { architecture: "llama", name: null, fingerprint: "0" } },
      ArgumentError,
      /were found for a model without a name/,
    ],
    ["that are damaged", new Uint8Array([123]), FormatError, /"g".*cut off/],
    ["in no file", "/there/is/no/such/gates.json", NotFoundError, /gates\.json/],
    ["that are a number", 3, ArgumentError, /gates\.g must be a path, a URL, bytes or gates; found 3/],
    ["that are no gates", { layers: "none" }, FormatError, /"format" must be/],
  ])("%s are refused", async (_, gates, type, message) => {
    const loading = () => loadAs(mode, file, { threads: 1, gates: { g: gates as GatesSource } });
    await expect(loading()).rejects.toMatchObject({ name: type.name });
    await expect(loading()).rejects.toThrow(message);
  });

  it.each(["a b", "", "a@1", "a,b", "-x"])("have names that a policy can have, not %j", async (name) => {
    await expect(loadAs(mode, file, { gates: { [name]: MIXED } })).rejects.toThrow(/has the name/);
  });
});

it("gates of this very model are taken", async () => {
  const first = await loadLocal(file, { threads: 1 });
  const { architecture, name, fingerprint } = first.info;
  await first.dispose();
  const own = { ...MIXED, model: { architecture, name, fingerprint } };
  const model = await load(file, { thread: false, threads: 1, gates: { own } });
  expect(model.session({ context: "duo:own" }).context).toBe("duo:own,sinks:64,recent:256");
  await model.dispose();
});

it("what a caller changes after the call changes nothing", async () => {
  const bytes = new TextEncoder().encode(gatesJson(MIXED));
  const layers = [
    [1, 0],
    [0, 0.75],
  ];
  const loading = load(file, { thread: false, threads: 1, gates: { bytes, object: { ...none, layers } } });
  bytes.fill(0);
  layers[0][0] = 7;
  const model = await loading;
  expect(() => model.session({ context: "duo:object" })).not.toThrow();
  await model.dispose();
});
