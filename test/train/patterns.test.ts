/** What queries see while a model learns: the definitions by brute force, and that no gradient comes from the future. */
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { createBackend } from "../../src/backends/create.js";
import { EVERYTHING } from "../../src/context/policies/full.js";
import { windowRetention } from "../../src/context/policies/window.js";
import { type ContextPolicy, policyOf } from "../../src/context/policy.js";
import { parsePolicy } from "../../src/context/policy-text.js";
import { SequenceMemory } from "../../src/context/sequence-memory.js";
import { StepRunner } from "../../src/engine/step/step-runner.js";
import type { Backend } from "../../src/tensor/backend.js";
import { parsePattern } from "../../src/train/patterns/pattern.js";
import { ArgumentError } from "../../src/util/errors.js";
import { prepareModel, readGradients, VOCABULARY } from "../support/prepared-model.js";
import type { TrainingModel } from "../support/training-models.js";

const KV_HEADS = 4;
const LENGTH = 70;

/** For every KV head: whether query t sees key j. */
function seen(text: string, kvHeads = KV_HEADS): ((t: number, j: number) => boolean)[] {
  return parsePattern(text)
    .headSets(0, kvHeads)
    .flatMap(({ heads, retention }) =>
      heads.map(() => (t: number, j: number) => retention.visible(t).some((r) => r.start <= j && j < r.end)),
    );
}

/** By its definition: whether head h of KV_HEADS lets t see j <= t. */
type Definition = (h: number, t: number, j: number) => boolean;

const shifted =
  (size: number): Definition =>
  (h, t, j) => {
    const shift = h < KV_HEADS / 2 ? 0 : Math.floor(size / 2);
    return Math.floor((t + shift) / size) === Math.floor((j + shift) / size);
  };

const EXACT: readonly (readonly [string, Definition])[] = [
  ["full", () => true],
  ["recent:9", (_, t, j) => t - j < 9],
  ["sinks:3,recent:5", (_, t, j) => j < 3 || t - j < 5],
  ["shifted:8", shifted(8)],
  ["shifted:7", shifted(7)],
  ["shifted:2", shifted(2)],
  ["shifted:1", (_, t, j) => t === j],
  ["shifted:100", (h, t, j) => h < KV_HEADS / 2 || Math.floor((t + 50) / 100) === Math.floor((j + 50) / 100)],
];

test.each(EXACT)("%s is its definition", (text, defined) => {
  const heads = seen(text);
  expect(heads).toHaveLength(KV_HEADS);
  const wrong: string[] = [];
  for (const [h, sees] of heads.entries()) {
    for (let t = 0; t < LENGTH; t++) {
      for (let j = 0; j < LENGTH; j++) {
        if (sees(t, j) !== (j <= t && defined(h, t, j))) wrong.push(`head ${h}, query ${t}, key ${j}`);
      }
    }
  }
  expect(wrong).toEqual([]);
});

describe.each([...EXACT.map(([text]) => text), "bigbird", "bigbird:16", "bigbird:32,seed=5"])("%s", (text) => {
  it.each([1, 2, 3, 4])(
    "for %d KV heads has each once, and ranges that ascend, end by the query and hold it",
    (kvHeads) => {
      const sets = parsePattern(text).headSets(0, kvHeads);
      const heads = sets.flatMap((set) => set.heads);
      expect(heads.toSorted((a, b) => a - b)).toEqual(Array.from({ length: kvHeads }, (_, i) => i));
      for (const { retention } of sets) {
        for (let t = 0; t < LENGTH; t++) {
          const ranges = retention.visible(t);
          expect(ranges.at(-1)?.end).toBe(t + 1);
          let last = -1;
          for (const { start, end } of ranges) {
            expect(start).toBeGreaterThan(last);
            expect(end).toBeGreaterThan(start);
            last = end;
          }
        }
      }
    },
  );
});

describe("shifted groups", () => {
  it("the half-groups at both ends are apart: the first sees nothing of the last, and the last nothing of the first", () => {
    const [size, length] = [8, 32];
    const heads = seen(`shifted:${size}`);
    for (const sees of heads.slice(KV_HEADS / 2)) {
      const from = (t: number) => Array.from({ length }, (_, j) => j).filter((j) => sees(t, j));
      expect(from(size / 2 - 1)).toEqual([0, 1, 2, 3]);
      expect(from(size / 2)).toEqual([4]);
      expect(from(length - 1)).toEqual([28, 29, 30, 31]);
    }
  });

  it("one KV head has no half: its groups are not shifted", () => {
    const [sees] = seen("shifted:8", 1);
    expect([sees(7, 0), sees(8, 7)]).toEqual([true, false]);
  });
});

describe("a text", () => {
  it.each(["shifted", "shifted:", "shifted:0", "shifted:-8", "shifted:2.5", "shifted:4,4"])(
    "%j is refused with the form that is expected",
    (text) => {
      expect(() => parsePattern(text)).toThrow(ArgumentError);
      expect(() => parsePattern(text)).toThrow(/Expected a pattern of the form "shifted:N"/);
    },
  );

  it.each(["bigbird:x", "bigbird:8", "bigbird:24", "bigbird:64,seed=-1", "bigbird:64,evict=2"])(
    "%j is refused with the forms that there are",
    (text) => {
      expect(() => parsePattern(text)).toThrow(ArgumentError);
      expect(() => parsePattern(text)).toThrow(/bigbird:N,seed=M +blocks of N/);
    },
  );

  it("of another way to run a model is refused, and of none", () => {
    expect(() => parsePattern("recompute:8")).toThrow(/write "recent:N"/);
    expect(() => parsePattern("everything")).toThrow(/Cannot read the attention pattern/);
  });

  it("may have spaces around it", () => {
    expect(parsePattern(" shifted:4 ").text).toBe("shifted:4");
  });
});

describe.each(["reference", "wasm"] as const)("gradients on %s", (name) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await createBackend(name, { threads: name === "wasm" ? 2 : 1 });
  });
  afterAll(() => backend.dispose());

  /** One block with a head of its own, so that the embedding's gradient is that of what is read. */
  const model = (attention: string, blocks: number): TrainingModel => ({
    name: "m",
    attention,
    model: {
      architecture: "llama",
      keys: {
        block_count: blocks,
        context_length: 32,
        embedding_length: 24,
        feed_forward_length: 20,
        "attention.head_count": 4,
        "attention.head_count_kv": 4,
        "attention.key_length": 8,
        "attention.value_length": 8,
        "attention.layer_norm_rms_epsilon": 1e-5,
      },
      tied: false,
      sinks: "none",
      tensors: "",
      balance: 0,
    },
  });
  const rows = VOCABULARY - 1;

  /** By place: whether the loss of row t alone moves with the token there. Every place has a token of its own. */
  async function moving(attention: string, blocks: number, t: number): Promise<boolean[]> {
    const prepared = prepareModel(backend, model(attention, blocks));
    const ids = Int32Array.from({ length: rows + 1 }, (_, i) => (i * 5 + 3) % VOCABULARY);
    const weights = new Float32Array(rows);
    weights[t] = 1;
    await prepared.pass.learn([{ ids, weights }], 1);
    const table = prepared.weights.learning.findIndex(({ use }) => use.name === "token_embd.weight");
    const gradient = (await readGradients(prepared))[table];
    prepared.pass.dispose();
    prepared.weights.dispose();
    return Array.from({ length: rows }, (_, place) =>
      gradient.subarray(ids[place] * 24, (ids[place] + 1) * 24).some((value) => value !== 0),
    );
  }

  it.each(["full", "recent:5", "sinks:2,recent:4", "shifted:6", "bigbird:16"])(
    "of a row's loss under %s come from what the row sees, through one block, and never from the future",
    async (attention) => {
      const heads = seen(attention);
      for (const t of [0, 1, 2, 6, 10, 17, 20, rows - 1]) {
        const expected = Array.from({ length: rows }, (_, j) => heads.some((sees) => sees(t, j)));
        expect(await moving(attention, 1, t), `row ${t}`).toEqual(expected);
        const deeper = await moving(attention, 3, t);
        expect(deeper.slice(t + 1).some(Boolean), `row ${t} of three blocks`).toBe(false);
        expect(expected.every((sees, j) => !sees || deeper[j])).toBe(true);
      }
    },
  );

  it("bigbird lets a model that runs see what it saw when it learned", async () => {
    const text = "bigbird:16,seed=3";
    const { pass } = prepareModel(backend, model(text, 2));
    const length = 150;
    const ids = Int32Array.from({ length: length + 1 }, (_, i) => (i * i * 5 + 3 * i) % VOCABULARY);
    const [losses] = await pass.evaluate([{ ids, weights: new Float32Array(length).fill(1) }]);
    const lossesUnder = async (policy: string) => {
      const settings = { policy: parsePolicy(policy), keyType: "f32", valueType: "f32", limit: length } as const;
      const memory = new SequenceMemory(backend, pass.decoder.shapes, settings);
      const found: number[] = [];
      for (let at = 0; at < length; at += 50) {
        const rows = ids.subarray(at, at + 50);
        await new StepRunner(backend, pass.decoder).run(memory, rows, "all", (logits) => {
          for (let row = 0; row < 50; row++) {
            const own = logits.subarray(row * VOCABULARY, (row + 1) * VOCABULARY);
            found.push(Math.log(own.reduce((sum, logit) => sum + Math.exp(logit), 0)) - own[ids[at + row + 1]]);
          }
        });
      }
      memory.dispose();
      return found;
    };
    (await lossesUnder(text)).forEach((loss, row) => {
      expect(losses[row], `row ${row}`).toBeCloseTo(loss, 4);
    });
    for (const other of ["full", "bigbird:16,seed=4"]) {
      const others = await lossesUnder(other);
      expect(Math.max(...others.map((loss, row) => Math.abs(loss - losses[row])))).toBeGreaterThan(1e-3);
    }
    pass.dispose();
  });

  it("the same head sets, scattered ones too, mean the same to a model that learns and to one that runs", async () => {
    const narrow = windowRetention(2, 3, { evict: 1, distance: "text" });
    const policy: ContextPolicy = {
      ...policyOf(EVERYTHING, { text: "scattered", summary: "for a test", recompute: false }),
      headSets: (layer) => [
        { heads: [0, 2, 3].map((head) => (head + layer) % 4).sort(), retention: narrow },
        { heads: [(1 + layer) % 4], retention: EVERYTHING },
      ],
    };
    const { pass } = prepareModel(backend, model("full", 2), false, policy);
    const ids = Int32Array.from({ length: rows + 1 }, (_, i) => (i * 5 + 3) % VOCABULARY);
    const [losses] = await pass.evaluate([{ ids, weights: new Float32Array(rows).fill(1) }]);
    const { decoder } = pass;
    const settings = { policy, keyType: "f32", valueType: "f32", limit: rows } as const;
    const memory = new SequenceMemory(backend, decoder.shapes, settings);
    const expected = await new StepRunner(backend, decoder).run(memory, ids.subarray(0, rows), "all", (logits) =>
      Float32Array.from({ length: rows }, (_, row) => {
        const own = logits.subarray(row * VOCABULARY, (row + 1) * VOCABULARY);
        return Math.log(own.reduce((sum, logit) => sum + Math.exp(logit), 0)) - own[ids[row + 1]];
      }),
    );
    memory.dispose();
    losses.forEach((loss, row) => {
      expect(loss, `row ${row}`).toBeCloseTo(expected[row], 4);
    });
    // Not what all heads would see.
    const full = prepareModel(backend, model("full", 2));
    const [others] = await full.pass.evaluate([{ ids, weights: new Float32Array(rows).fill(1) }]);
    expect(Math.max(...others.map((loss, row) => Math.abs(loss - losses[row])))).toBeGreaterThan(1e-3);
    for (const one of [pass, full.pass]) one.dispose();
  });
});
