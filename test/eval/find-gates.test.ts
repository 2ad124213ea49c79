/** Heads that retrieve: attention to marked places is what the reference backend computes, and the scores are of what was asked. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { attentionWeights } from "../../src/backends/reference/attention.js";
import { parsePolicy } from "../../src/context/policy-text.js";
import { SequenceMemory } from "../../src/context/sequence-memory.js";
import { loadLocal } from "../../src/engine/loading/load-local.js";
import { StepRunner } from "../../src/engine/step/step-runner.js";
import { findGates } from "../../src/eval/gates/find-gates.js";
import { MarkedValues } from "../../src/eval/gates/marked-values.js";
import { probePrompts } from "../../src/eval/gates/probe-prompts.js";
import { observedBackend } from "../../src/eval/observed-backend.js";
import { ArgumentError, CancelledError, UnsupportedError } from "../../src/util/errors.js";
import { FAMILIES } from "../support/families.js";
import { FAMILY_TOKENS, randomGguf } from "../support/random-gguf.js";
import { randomIds } from "../support/random-model.js";

const BUNDLED = "assets/sluice-tiny.gguf";
const FILLER = readFileSync("assets/the-time-machine-opening.txt", "utf8");
const LENGTH = 70;
const MARKS = [[60], [10, 11, 62], [68], []];

/** [probe][layer][head]: the probability that the last rows give to their marks, as the definition has it. */
async function expected(path: string, ids: Int32Array): Promise<number[][]> {
  const model = await loadLocal(path, { backend: "reference" });
  const { backend, decoder } = model.runner;
  const found: number[][] = [];
  const observed = observedBackend(backend, {
    attention(call) {
      const { parts, group } = call;
      const masses: number[] = [];
      for (let probe = 0; probe < MARKS.length; probe++) {
        const row = LENGTH - MARKS.length + probe;
        // A prompt's rows are in several parts.
        const own = parts.filter(({ first, rows }) => first <= row && row < first + rows);
        const heads = own.reduce((sum, { slice }) => sum + slice.heads.length, 0) * group;
        for (const part of own) {
          for (const [index, kvHead] of part.slice.heads.entries()) {
            for (let g = 0; g < group; g++) {
              const head = kvHead * group + g;
              const { slots, weights, total } = attentionWeights(call, part, row, index, head);
              const mass = weights.reduce((sum, weight, j) => sum + (MARKS[probe].includes(slots[j]) ? weight : 0), 0);
              masses[probe * heads + head] = mass / total;
            }
          }
        }
      }
      found.push(masses);
    },
  });
  const memory = memoryFor(observed, decoder);
  await new StepRunner(observed, decoder).run(memory, ids, "last", () => {});
  memory.dispose();
  await model.dispose();
  return found;
}

type Runner = ConstructorParameters<typeof StepRunner>;

function memoryFor(backend: Runner[0], decoder: Runner[1]): SequenceMemory {
  const settings = { policy: parsePolicy("full"), keyType: "f32", valueType: "f32", limit: LENGTH } as const;
  return new SequenceMemory(backend, decoder.shapes, settings);
}

/** The same through marked values, in chunks. */
async function marked(path: string, backend: "wasm" | "reference", ids: Int32Array): Promise<number[][]> {
  const model = await loadLocal(path, { backend, threads: backend === "wasm" ? 2 : 1, precise: true });
  const { backend: inner, decoder } = model.runner;
  const heads = decoder.shapes.attention.map((shape) => shape.heads);
  const before = inner.memoryBytes;
  const watched = new MarkedValues(inner, 8, heads);
  const runner = new StepRunner(watched.backend, decoder);
  const found: number[][] = [];
  // Twice: the pages of the first text are those of the second.
  for (let turn = 0; turn < 2; turn++) {
    const memory = memoryFor(watched.backend, decoder);
    found.length = 0;
    for (const [start, rows] of [
      [0, 30],
      [30, 36],
      [66, 4],
    ]) {
      watched.expect({ start, rows, marks: MARKS, observed: start === 66 });
      await runner.run(memory, ids.subarray(start, start + rows), "last", () => {});
    }
    const read = await watched.read();
    read.forEach((numbers, layer) => {
      found.push(
        MARKS.flatMap((_, probe) =>
          Array.from({ length: heads[layer] }, (__, head) => numbers[(probe * heads[layer] + head) * 8 + probe]),
        ),
      );
    });
    watched.forget(memory);
    memory.dispose();
  }
  watched.dispose();
  expect(inner.memoryBytes - before).toBeLessThan(2 ** 23);
  await model.dispose();
  return found;
}

const WATCHED = FAMILIES.filter(({ name }) =>
  /^(llama|gemma2|gpt-oss|bloom|gpt2|jamba|phi3 with a window)$/.test(name),
);

describe.each(["reference", "wasm"] as const)("attention to marked places on %s", (backend) => {
  it.each(WATCHED.map(({ name }) => name))("of %s is what the definition has", async (name) => {
    const family = WATCHED.find((one) => one.name === name);
    if (!family) throw new Error(name);
    const keys = { ...family.keys, context_length: 128 };
    const { path } = randomGguf({ ...family, keys });
    const ids = randomIds(LENGTH, FAMILY_TOKENS.length, 3);
    const [exact, got] = [await expected(path, ids), await marked(path, backend, ids)];
    expect(got.map(({ length }) => length)).toEqual(exact.map(({ length }) => length));
    got.flat().forEach((mass, i) => {
      expect(Math.abs(mass - exact.flat()[i])).toBeLessThan(2e-5);
    });
    expect(exact.flat().some((mass) => mass > 0.01)).toBe(true);
  });
});

describe("gates by retrieval", () => {
  it("probes look where the next token stands", async () => {
    const model = await loadLocal(BUNDLED, { threads: 1 });
    const { tokenizer } = model;
    const filler = tokenizer.encode(FILLER, { addSpecial: false, parseSpecial: false });
    const options = { tokenizer, seed: 3, length: 256, prompts: 3, filler, firstToken: 5, most: 32 };
    const prompts = probePrompts(options);
    expect(prompts.map(({ kind }) => kind)).toEqual(["copy", "passkey", "copy", "passkey", "copy", "passkey"]);
    for (const { kind, ids, targets } of prompts) {
      expect(ids[0]).toBe(5);
      targets.forEach((places, k) => {
        const row = ids.length - targets.length + k;
        for (const place of places) expect(place).toBeLessThan(row - 100);
        // The next token, which the last probe's prompt does not have.
        if (kind === "copy" && k + 1 < targets.length) {
          expect(ids[places[0]]).toBe(ids[row + 1]);
          expect(ids[places[0] - 1]).toBe(ids[row]);
        }
        if (kind === "passkey") {
          expect(tokenizer.decode(Int32Array.from(places, (place) => ids[place])).trim()).toMatch(/^\d{5}/);
          if (k + 1 < targets.length) expect(places.map((place) => ids[place])).toContain(ids[row + 1]);
        }
      });
    }
    expect(probePrompts(options)).toEqual(prompts);
    expect(probePrompts({ ...options, seed: 4 })).not.toEqual(prompts);
    expect(() => probePrompts({ ...options, length: 100 })).toThrow(ArgumentError);
    await model.dispose();
  });

  it("of the bundled model are those of its copying heads", async () => {
    const model = await loadLocal(BUNDLED, { threads: 2 });
    const filler = model.tokenizer.encode(FILLER, { addSpecial: false, parseSpecial: false });
    const seen: number[] = [];
    const options = { filler, lengths: [512], prompts: 3, seed: 1, onProgress: (done: number) => void seen.push(done) };
    const { gates, scores } = await findGates(model, options);
    const ranked = gates.layers.flatMap((row, layer) => row.map((gate, head) => ({ gate, at: [layer, head] })));
    ranked.sort((a, b) => b.gate - a.gate);
    expect(ranked.slice(0, 2)).toEqual([
      { gate: 1, at: [4, 0] },
      { gate: expect.any(Number), at: [4, 1] },
    ]);
    expect(ranked[1].gate).toBeGreaterThan(5 * ranked[2].gate);
    for (const { copy, passkey } of scores)
      for (const mass of [...copy, ...passkey]) expect(mass).toBeLessThanOrEqual(1.0001);
    expect(gates).toMatchObject({
      model: { architecture: "llama" },
      found: { method: "retrieval", seed: 1, lengths: [512] },
    });
    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect((await findGates(model, options)).gates).toEqual(gates);
    await model.dispose();
  });

  it("can be cancelled, and leaves no memory behind", async () => {
    const model = await loadLocal(BUNDLED, { threads: 1 });
    const abort = new AbortController();
    const onProgress = (done: number) => done === 1 && abort.abort();
    const finding = findGates(model, { filler: [7, 8, 9], lengths: [256], signal: abort.signal, onProgress });
    await expect(finding).rejects.toThrow(CancelledError);
    const session = model.session();
    for await (const part of session.generate("Once", { maxTokens: 2 })) expect(part).toBeDefined();
    await model.dispose();
  });

  it("are not looked for where there are none, or attention cannot be watched", async () => {
    const family = (name: string) => {
      const found = FAMILIES.find((one) => one.name === name);
      if (!found) throw new Error(name);
      return found;
    };
    for (const [name, why] of [
      ["mamba", /has no attention/],
      ["t5", /has an encoder/],
    ] as const) {
      const model = await loadLocal(randomGguf(family(name)).path, { threads: 1 });
      await expect(findGates(model, { filler: [7] })).rejects.toThrow(UnsupportedError);
      await expect(findGates(model, { filler: [7] })).rejects.toThrow(why);
      await model.dispose();
    }
    const model = await loadLocal(BUNDLED, { threads: 1 });
    await expect(findGates(model, { filler: [7], lengths: [64] })).rejects.toThrow(
      /lengths must be whole numbers from 128/,
    );
    await expect(findGates(model, { filler: [7], prompts: 0 })).rejects.toThrow(ArgumentError);
    await model.dispose();
  });
});
