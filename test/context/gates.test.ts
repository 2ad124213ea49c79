/** Gates of heads: both kinds of files, what is refused, which heads stream, and how they fit a model. */
import { describe, expect, it } from "vitest";
import {
  fitGates,
  gatesJson,
  gatesOfValue,
  type HeadGates,
  MOST_GATES_BYTES,
  parseGates,
  requireSameModel,
  streamingHeads,
} from "../../src/context/gates/index.js";
import { ArgumentError, FormatError } from "../../src/util/errors.js";
import { Random } from "../../src/util/random.js";

const bytes = (text: string) => new TextEncoder().encode(text);
const gates = (layers: readonly (readonly number[])[], threshold: number | null = null): HeadGates => ({
  model: null,
  layers,
  threshold,
  found: null,
});

const WHOLE: HeadGates = {
  model: { architecture: "llama", name: "a model", fingerprint: "0123456789abcdef" },
  layers: [
    [0, 1],
    [0.25, 1 / 3],
  ],
  threshold: 0.3,
  found: { method: "retrieval", prompts: 4, lengths: [256, 512], seed: 1 },
};

/** With one field changed, or left out. */
const changed = (fields: Record<string, unknown>) =>
  bytes(JSON.stringify({ ...JSON.parse(gatesJson(WHOLE)), ...fields }));

describe("files of gates", () => {
  it("in JSON are read as they were written", () => {
    expect(parseGates(bytes(gatesJson(WHOLE)))).toEqual(WHOLE);
    const bare = gates([[0.5], [1, 0, 0.125]]);
    expect(parseGates(bytes(gatesJson(bare)))).toEqual(bare);
    expect(gatesOfValue(WHOLE)).toEqual(WHOLE);
    expect(gatesOfValue(JSON.parse(gatesJson(WHOLE)))).toEqual(WHOLE);
  });

  it("that a caller gives with holes are refused", () => {
    const holed = (length: number): number[] => new Array(length);
    expect(() => gatesOfValue({ ...WHOLE, layers: holed(2) })).toThrow(FormatError);
    expect(() => gatesOfValue({ ...WHOLE, layers: holed(2) })).toThrow(
      /row 0 must have a gate for each KV head.*no list/,
    );
    expect(() => gatesOfValue({ ...WHOLE, layers: [[0, 1], holed(2)] })).toThrow(/row 1, KV head 0 must be a number/);
  });

  it("of the authors are rows of numbers, cut to [0, 1]", () => {
    const text = "9.999999776482582092e-01\t0.000000000000000000e+00\n\n1.000002\t-3e-7\r\n.5\t1.\n";
    expect(parseGates(bytes(text))).toEqual(
      gates([
        [0.9999999776482582, 0],
        [1, 0],
        [0.5, 1],
      ]),
    );
  });

  it.each<[string, Uint8Array, RegExp]>([
    ["nothing", bytes(" \n"), /empty/],
    ["no text", new Uint8Array([0x7b, 0xff, 0xfe]), /no UTF-8/],
    ["a JSON that was cut off", bytes(gatesJson(WHOLE)).subarray(0, 150), /cut off/],
    ["another JSON", bytes('{"model_type": "llama"}'), /"format" must be "sluice-gates"/],
    ["a later version", changed({ version: 2 }), /"version" must be 1; found 2/],
    ["no rows", changed({ gates: 3 }), /"gates" must be a list/],
    ["fewer rows than it says", changed({ attentionLayers: 3 }), /"attentionLayers" is 3, but "gates" has 2/],
    ["fewer heads than it says", changed({ kvHeads: [2, 3] }), /row 1 has 2/],
    ["heads of fewer rows", changed({ kvHeads: [2] }), /"kvHeads" must give/],
    [
      "a gate above 1",
      changed({
        gates: [
          [0, 1.01],
          [0, 1],
        ],
      }),
      /row 0, KV head 1 must be a number from 0 to 1/,
    ],
    [
      "a gate that is none",
      changed({
        gates: [
          [0, 1],
          [0, null],
        ],
      }),
      /row 1, KV head 1.*found null/,
    ],
    ["an empty row", changed({ gates: [[0, 1], []] }), /row 1 must have a gate/],
    ["no row", changed({ gates: [], attentionLayers: 0, kvHeads: [] }), /at least 1 and at most 4,096; found 0/],
    ["too many rows", changed({ gates: new Array(4097).fill([1]), attentionLayers: 4097 }), /at most 4,096/],
    ["a threshold beyond 1", changed({ threshold: 2 }), /"threshold"/],
    ["a model without fingerprint", changed({ model: { architecture: "llama" } }), /"model" must have/],
    ["an origin without method", changed({ found: {} }), /"method"/],
    ["NaN in a table", bytes("0.5\tnan\n"), /row 0, KV head 1 must be a number; found "nan"/],
    ["infinity in a table", bytes("1\n1e999\n"), /row 1, KV head 0.*Infinity/],
    ["a table that was cut off", bytes("0.1\t0.2\n0.3\n"), /row 1 has 1 gates, row 0 has 2/],
    ["a text", bytes("gates of a model\n"), /found "gates"/],
    ["a list where a word is due", changed({ format: [1] }), /found a list/],
    [
      "a gate that is an object",
      changed({
        gates: [
          [{ toString: 1 }, 1],
          [0, 1],
        ],
      }),
      /KV head 0.*found an object/,
    ],
    ["digits without end", bytes(`${"1".repeat(2 ** 20)}x\t1\n`), /found "1{40}"/],
    ["more rows than a model has", bytes("1\n".repeat(4097)), /at most 4,096; found 4,097/],
    ["too many bytes", new Uint8Array(MOST_GATES_BYTES + 1), /at most 16.8 MB/],
  ])("with %s are refused", (_, file, message) => {
    expect(() => parseGates(file, "g.json")).toThrow(FormatError);
    expect(() => parseGates(file, "g.json")).toThrow(message);
    expect(() => parseGates(file, "g.json")).toThrow(/^g\.json: /);
  });
});

describe("lists in lists without end", () => {
  const deep = "[".repeat(1_000_000) + "]".repeat(1_000_000);
  const { found: _, threshold: __, ...plain } = JSON.parse(gatesJson(WHOLE));
  it.each(["format", "version", "attentionLayers", "gates", "model", "threshold", "kvHeads"])(
    "as %s are refused",
    (field) => {
      const file = JSON.stringify({ ...plain, [field]: "HERE" }).replace('"HERE"', deep);
      expect(() => parseGates(bytes(file), "g.json")).toThrow(FormatError);
    },
  );

  it("as a gate and in what is said of their origin are refused", () => {
    for (const fields of [
      {
        gates: [
          ["HERE", 1],
          [0, 1],
        ],
      },
      { found: { method: "a", more: "HERE" } },
    ]) {
      const file = JSON.stringify({ ...plain, ...fields }).replace('"HERE"', deep);
      expect(() => parseGates(bytes(file), "g.json")).toThrow(FormatError);
    }
  });
});

/** Numbers of heads, a share, and how many of them `numpy.quantile` at that share has beyond (authors: sparsify_attention_heads). */
const COUNTS = [
  [6, 0, 0],
  [6, 0.1, 1],
  [6, 0.25, 2],
  [6, 0.5, 3],
  [6, 0.75, 4],
  [6, 0.9, 5],
  [6, 1, 6],
  [20, 0.1, 2],
  [20, 0.25, 5],
  [20, 0.3, 6],
  [20, 0.5, 10],
  [20, 0.55, 11],
  [20, 0.9, 18],
  [20, 1, 20],
  [88, 0.1, 9],
  [88, 0.3, 27],
  [88, 0.5, 44],
  [88, 0.75, 66],
  [256, 0.3, 77],
  [256, 0.55, 141],
  [256, 0.9, 230],
  [1, 0.5, 0],
  [1, 1, 1],
  [2, 0.1, 1],
  [2, 0.5, 1],
] as const;

describe("which heads stream", () => {
  it.each(COUNTS)("of %d gates at a share of %d: %d, the smallest", (count, share, expected) => {
    const random = new Random(7);
    const row = Array.from({ length: count }, () => random.double());
    const [streams] = streamingHeads(gates([row]), share);
    expect(streams.filter(Boolean)).toHaveLength(expected);
    const [most, least] = [row.filter((_, i) => streams[i]), row.filter((_, i) => !streams[i])];
    if (most.length > 0 && least.length > 0) expect(Math.max(...most)).toBeLessThan(Math.min(...least));
  });

  it("as many as the share says, though 100 * 0.07 is a little more than 7 in doubles", () => {
    const row = Array.from({ length: 101 }, (_, i) => i / 100);
    expect(
      streamingHeads(gates([row]), 0.07)
        .flat()
        .filter(Boolean),
    ).toHaveLength(7);
  });

  it("of equal gates those of the first layers and heads", () => {
    const equal = gates([
      [1, 1, 1],
      [1, 0, 1],
      [1, 1, 1],
    ]);
    expect(streamingHeads(equal, 0.5)).toEqual([
      [true, true, true],
      [false, true, false],
      [false, false, false],
    ]);
  });

  it("without a share those below the file's threshold, or a half", () => {
    const rows = [
      [0.2, 0.5],
      [0.49, 0.8],
    ];
    expect(streamingHeads(gates(rows))).toEqual([
      [true, false],
      [true, false],
    ]);
    expect(streamingHeads(gates(rows, 0.2))).toEqual([
      [false, false],
      [false, false],
    ]);
    expect(streamingHeads(gates(rows, 0.9))).toEqual([
      [true, true],
      [true, true],
    ]);
  });
});

describe("gates and a model", () => {
  const attention = [
    { layer: 4, kvHeads: 2 },
    { layer: 12, kvHeads: 2 },
  ];
  const own = { fingerprint: "0123456789abcdef", architecture: "llama", name: "a model" };

  it("rows are those of the layers with attention", () => {
    expect(fitGates(WHOLE, "g", { architecture: "jamba", attention }).layerNumbers).toEqual([4, 12]);
  });

  it("other sizes are refused", () => {
    const fitted = (one: HeadGates) => () => fitGates(one, "g", { architecture: "jamba", attention });
    expect(fitted(gates([[1, 1]]))).toThrow(ArgumentError);
    expect(fitted(gates([[1, 1]]))).toThrow(/are of 1 layer with attention; this jamba model has 2/);
    expect(fitted(gates([[1, 1], [1]]))).toThrow(/1 KV head in layer 12; this jamba model has 2/);
  });

  it("those of another model are refused, those of none are taken", () => {
    expect(() => requireSameModel(WHOLE, "g", own)).not.toThrow();
    expect(() => requireSameModel(gates([[1]]), "g", own)).not.toThrow();
    expect(() => requireSameModel(WHOLE, "g", { ...own, fingerprint: "f" })).toThrow(ArgumentError);
    expect(() => requireSameModel(WHOLE, "g", { ...own, fingerprint: "f" })).toThrow(
      /were found for a model \(llama\)/,
    );
  });

  it("the digest is of what decides which heads stream", () => {
    const digest = (one: HeadGates) => fitGates(one, "g", { architecture: "jamba", attention }).digest;
    const rows = WHOLE.layers;
    expect(digest({ ...WHOLE, model: null, found: null })).toBe(digest(WHOLE));
    expect(digest(WHOLE)).toMatch(/^[0-9a-f]{16}$/);
    const others = [
      digest(gates(rows)),
      digest(gates(rows, 0.4)),
      digest(
        gates(
          [
            [0, 1],
            [0.25, 0.3],
          ],
          0.3,
        ),
      ),
      digest(WHOLE),
    ];
    expect(new Set(others).size).toBe(others.length);
  });
});
