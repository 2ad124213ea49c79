/** Reading a choice of pages, for architectures whose scores differ: on both backends the same, in any chunks, from any save. */
import { describe, expect, it } from "vitest";
import { parsePolicy } from "../../src/context/policy-text.js";
import { SequenceMemory } from "../../src/context/sequence-memory.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import type { LocalModel } from "../../src/engine/local-model.js";
import type { BackendName } from "../../src/tensor/backend.js";
import { rowsOf } from "../support/batch-step.js";
import { familyNamed } from "../support/families.js";
import { worst } from "../support/logits.js";
import { FAMILY_TOKENS, randomGguf } from "../support/random-gguf.js";
import { randomIds } from "../support/random-model.js";

const VOCABULARY = FAMILY_TOKENS.length;
const GIVEN = 75;
const IDS = randomIds(110, VOCABULARY, 3);
const SOURCE = randomIds(21, VOCABULARY, 99);

/** Scores with slopes, buckets, caps, learned sinks, windows, beside states that nothing touches. */
const NAMES = [
  "llama",
  "gemma2",
  "gpt-oss",
  "bloom",
  "mpt",
  "falcon 7b",
  "jamba",
  "sluice, alibi with sinks",
  "sluice, relative with a window",
  "t5",
];

interface RunOptions {
  readonly policy: string;
  readonly chunk: number;
}

/** Logits after every id: those of a prompt in chunks, then one by one as if the model had written them. */
async function run({ runner, info }: LocalModel, { policy, chunk }: RunOptions): Promise<Float32Array[]> {
  const { backend, decoder } = runner;
  const settings = { policy: parsePolicy(policy), keyType: "f32", valueType: "f32", limit: 128 } as const;
  const memory = new SequenceMemory(backend, decoder.shapes, settings);
  if (info.encoderDecoder) await runner.encode(memory, SOURCE);
  const rows: Float32Array[] = [];
  for (let at = 0; at < IDS.length; ) {
    const origin = at < GIVEN ? "given" : "written";
    const count = at < GIVEN ? Math.min(chunk, GIVEN - at) : 1;
    const use = (logits: Float32Array) => rows.push(...rowsOf(logits, 0, count, VOCABULARY));
    await runner.run(memory, IDS.subarray(at, at + count), "all", use, origin);
    at += count;
  }
  memory.dispose();
  return rows;
}

describe.each(NAMES)("%s", (name) => {
  const { path } = randomGguf(familyNamed(name));
  const load = (backend: BackendName) => loadLocal(path, { backend, threads: 2 });

  it("reads the same on both backends, in any chunks, and what full reads where that is no more", async () => {
    const [wasm, reference] = [await load("wasm"), await load("reference")];
    const choosing = { policy: "full,read=quest:48,dense=0", chunk: GIVEN };
    const found = await run(wasm, choosing);
    expect(worst(await run(reference, choosing), found)).toBeLessThan(1e-4);
    for (const chunk of [32, 9]) expect(worst(found, await run(wasm, { ...choosing, chunk }))).toBeLessThan(1e-5);
    const full = await run(wasm, { policy: "full", chunk: GIVEN });
    expect(await run(wasm, { policy: "full,read=quest:112,dense=0", chunk: GIVEN })).toEqual(full);
    expect(found.slice(0, GIVEN)).toEqual(full.slice(0, GIVEN));
    await wasm.dispose();
    await reference.dispose();
  });
});
