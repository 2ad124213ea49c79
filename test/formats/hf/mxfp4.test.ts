/** gpt-oss with its experts in MXFP4: blocks and scales of the folder become ggml's blocks, byte for byte. */
import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { openCheckpoint } from "../../../src/formats/open.js";
import { requireTensor } from "../../../src/formats/require-tensor.js";
import { FormatError } from "../../../src/util/errors.js";
import { Random } from "../../../src/util/random.js";
import { MemoryFiles } from "../../support/memory-files.js";
import { SHARED, SharedFiles } from "../../support/shared-files.js";
import { type SafetensorsTensorSpec, writeSafetensors } from "../../support/write-safetensors.js";
import { hfTensors, type Keys, randomTensors, spec } from "./twin.js";
import { LLAMA_TWINS } from "./twins-llama.js";

const EXPERTS = 3;
const WIDTH = 96;
const HIDDEN = 32;
const twin = LLAMA_TWINS["gpt-oss"];
const keys: Keys = {
  ...twin.keys,
  embedding_length: WIDTH,
  feed_forward_length: HIDDEN,
  expert_feed_forward_length: HIDDEN,
};

/** A block of ggml: an exponent, then bytes whose j-th has the codes of the elements j and j + 16. */
const codesOf = (block: Uint8Array) =>
  Array.from({ length: 32 }, (_, i) => (block[1 + (i % 16)] >> (i < 16 ? 0 : 4)) & 15);

/** Blocks of ggml as the folder has them: two neighbours in a byte, the first in its low half; exponents apart. */
function unpacked(name: string, ggml: readonly Uint8Array[], shape: readonly number[]): SafetensorsTensorSpec[] {
  const pairs = ggml.flatMap((block) => {
    const codes = codesOf(block);
    return Array.from({ length: 16 }, (_, j) => codes[2 * j] | (codes[2 * j + 1] << 4));
  });
  const scales = ggml.map(([exponent]) => exponent);
  return [
    { ...spec(`${name}_blocks`, [...shape, 16], Float32Array.from(pairs)), dtype: "U8" },
    { ...spec(`${name}_scales`, shape, Float32Array.from(scales)), dtype: "U8" },
  ];
}

function blocksOf(bytes: Uint8Array): Uint8Array[] {
  return Array.from({ length: bytes.length / 17 }, (_, i) => bytes.subarray(17 * i, 17 * i + 17));
}

/** Rows of two tensors in turns: gate, up, gate, ... */
function inTurns(gate: Uint8Array, up: Uint8Array, blocksInRow: number): Uint8Array[] {
  const [first, second] = [blocksOf(gate), blocksOf(up)];
  return Array.from({ length: first.length / blocksInRow }, (_, row) => [
    ...first.slice(row * blocksInRow, (row + 1) * blocksInRow),
    ...second.slice(row * blocksInRow, (row + 1) * blocksInRow),
  ]).flat();
}

interface Experts {
  readonly gate: Uint8Array;
  readonly up: Uint8Array;
  readonly down: Uint8Array;
}

function expertTensors(layer: number, { gate, up, down }: Experts, sizes: readonly [number, number, number]) {
  const [experts, width, hidden] = sizes;
  const at = `model.layers.${layer}.mlp.experts`;
  return [
    ...unpacked(`${at}.gate_up_proj`, inTurns(gate, up, width / 32), [experts, 2 * hidden, width / 32]),
    ...unpacked(`${at}.down_proj`, blocksOf(down), [experts, width, hidden / 32]),
  ];
}

function randomExperts(seed: number): Experts {
  const random = new Random(seed);
  const bytes = (rows: number, cols: number) =>
    Uint8Array.from({ length: (rows * cols * 17) / 32 }, () => random.below(256));
  return {
    gate: bytes(EXPERTS * HIDDEN, WIDTH),
    up: bytes(EXPERTS * HIDDEN, WIDTH),
    down: bytes(EXPERTS * WIDTH, HIDDEN),
  };
}

/** The folder with both layers' experts packed. */
function open(layers: readonly Experts[], change = (tensor: SafetensorsTensorSpec) => tensor) {
  const rest = hfTensors(twin, keys, randomTensors({ ...twin, keys }, 1)).filter(
    ({ name }) => !/experts\.\w+proj$/.test(name),
  );
  const packed = layers.flatMap((layer, i) => expertTensors(i, layer, [EXPERTS, WIDTH, HIDDEN]));
  const config = { ...twin.config(keys, () => true), quantization_config: { quant_method: "mxfp4" } };
  const tensors = [...rest, ...packed].map(change);
  return openCheckpoint(
    "hf",
    new MemoryFiles({ "hf/config.json": JSON.stringify(config), "hf/model.safetensors": writeSafetensors(tensors) }),
  );
}

test("blocks and scales", async () => {
  const layers = [randomExperts(1), randomExperts(2)];
  const checkpoint = await open(layers);
  expect([...(checkpoint.unsupportedTensors?.keys() ?? [])]).toEqual([]);
  for (const [layer, { gate, up, down }] of layers.entries()) {
    for (const [name, bytes, rows, cols] of [
      ["gate", gate, EXPERTS * HIDDEN, WIDTH],
      ["up", up, EXPERTS * HIDDEN, WIDTH],
      ["down", down, EXPERTS * WIDTH, HIDDEN],
    ] as const) {
      const entry = requireTensor(checkpoint, `blk.${layer}.ffn_${name}_exps.weight`);
      expect(entry).toMatchObject({ dtype: "mxfp4", rows, cols, bytes: bytes.length });
      for (const chunk of [bytes.length, 1000, 17]) {
        const found = new Uint8Array(bytes.length);
        for (let at = 0; at < found.length; at += chunk) await entry.read(at, found.subarray(at, at + chunk));
        expect(found).toEqual(bytes);
      }
    }
  }
});

describe("packed tensors that do not fit", () => {
  const reshaped = (pattern: RegExp, shape: readonly number[]) => (tensor: SafetensorsTensorSpec) =>
    pattern.test(tensor.name)
      ? { ...tensor, shape, values: new Float32Array(shape.reduce((product, n) => product * n, 1)) }
      : tensor;
  test.each<[RegExp, readonly number[], RegExp]>([
    [/0\.mlp\.experts\.gate_up_proj_blocks/, [EXPERTS, 64, 3, 8], /gate_up_proj_blocks" has the shape \[3, 64, 3, 8\]/],
    [/0\.mlp\.experts\.gate_up_proj_blocks/, [EXPERTS, 63, 3, 16], /gate_up_proj_blocks/],
    [/0\.mlp\.experts\.down_proj_blocks/, [2, WIDTH, 1, 16], /down_proj_blocks/],
    [/1\.mlp\.experts\.down_proj_scales/, [EXPERTS, WIDTH, 2], /down_proj_scales/],
  ])("%s %j", async (name, shape, message) => {
    const layers = [randomExperts(1), randomExperts(2)];
    await expect(open(layers, reshaped(name, shape))).rejects.toThrow(FormatError);
    await expect(open(layers, reshaped(name, shape))).rejects.toThrow(message);
  });

  test("scales are missing", async () => {
    const renamed = (tensor: SafetensorsTensorSpec) =>
      tensor.name.endsWith("0.mlp.experts.down_proj_scales") ? { ...tensor, name: "other" } : tensor;
    await expect(open([randomExperts(1), randomExperts(2)], renamed)).rejects.toThrow(
      /part 1 of the 2 of "blk\.0\.ffn_down_exps\.weight" is missing/,
    );
  });
});

const GOLDEN = `${SHARED}/golden/gpt-oss-mxfp4.gguf`;

test.skipIf(!existsSync(GOLDEN))("golden file", async () => {
  const gguf = await openCheckpoint(GOLDEN, new SharedFiles());
  const bytes = async (name: string) => {
    const entry = requireTensor(gguf, `blk.1.ffn_${name}_exps.weight`);
    const into = new Uint8Array(entry.bytes);
    await entry.read(0, into);
    return into;
  };
  const experts = { gate: await bytes("gate"), up: await bytes("up"), down: await bytes("down") };
  const config = { ...twin.config({ ...keys, expert_count: 4, block_count: 2 }, () => true) };
  const weights = writeSafetensors(expertTensors(1, experts, [4, 64, 64]));
  const files = new MemoryFiles({ "hf/config.json": JSON.stringify(config), "hf/model.safetensors": weights });
  const hf = await openCheckpoint("hf", files);
  for (const name of ["gate", "up", "down"] as const) {
    const into = new Uint8Array(experts[name].length);
    await requireTensor(hf, `blk.1.ffn_${name}_exps.weight`).read(0, into);
    expect(into).toEqual(experts[name]);
  }
});
