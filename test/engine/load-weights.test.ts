/** Weights come into backends whose memory the host reaches, and into others, which are given pieces: the same bytes. */
import { writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ReferenceBackend } from "../../src/backends/reference/reference.js";
import { loadWeights, matchWeights } from "../../src/engine/loading/load-weights.js";
import type { TensorEntry } from "../../src/formats/checkpoint.js";
import { openCheckpoint } from "../../src/formats/open.js";
import { architectureOf } from "../../src/models/index.js";
import { ModelMetadata } from "../../src/models/metadata.js";
import { weightUses } from "../../src/nn/weights.js";
import type { WeightRequest } from "../../src/tensor/backend.js";
import { DTYPES, rowBytes } from "../../src/tensor/dtype.js";
import type { WeightSlot } from "../../src/tensor/tensor.js";
import { NumericError } from "../../src/util/errors.js";
import { testPlatform } from "../support/test-platform.js";
import { TINY_TOKENS, tinyFile, tinyGguf } from "../support/tiny-gguf.js";

/** Large enough for several chunks of a tensor. */
const LARGE = { width: 1024, hidden: 10240, layers: 1, dtype: "q8_0" } as const;

/** As a device would: it has memory of its own, and copies what it is given. */
class Elsewhere extends ReferenceBackend {
  readonly pieces: number[] = [];

  override allocWeight(request: WeightRequest): WeightSlot {
    const { weight, write } = super.allocWeight(request);
    return {
      weight,
      write: (offset, bytes) => {
        this.pieces.push(bytes.length);
        write(offset, bytes);
        bytes.fill(0xff);
      },
    };
  }
}

async function load(path: string, backend: ReferenceBackend) {
  const checkpoint = await openCheckpoint(path, testPlatform);
  const spec = architectureOf("llama").build(new ModelMetadata(checkpoint), TINY_TOKENS.length, new Map());
  const entries = matchWeights(checkpoint, weightUses(spec));
  const { weights, checksum } = await loadWeights(backend, entries, { onProgress: () => {} });
  const rows: Float32Array[] = [];
  for (const { use } of entries) {
    const weight = weights.get(use.ref);
    for (const id of [0, weight.rows >> 1, weight.rows - 1]) {
      rows.push((await backend.read(backend.embed(weight, backend.input(Int32Array.of(id))))).slice());
    }
  }
  await checkpoint.close();
  return { rows, checksum };
}

test("pieces make the same weights and the same fingerprint", async () => {
  const path = tinyFile({ size: LARGE });
  const elsewhere = new Elsewhere();
  const expected = await load(path, new ReferenceBackend());
  expect(await load(path, elsewhere)).toEqual(expected);
  expect(expected.rows.every((row) => row.every(Number.isFinite) && row.some((value) => value !== 0))).toBe(true);
  // Each of the feed-forward's matrices has 11 MB, and comes in two.
  expect(elsewhere.pieces.filter((bytes) => bytes > 2 ** 20).length).toBeGreaterThan(6);
});

test("chunks are whole blocks and end at words, which devices copy by", async () => {
  for (const dtype of ["q6_k", "q8_0", "mxfp4", "f16"] as const) {
    const { blockBytes, blockSize } = DTYPES[dtype];
    const [rows, cols] = [Math.ceil((9 * 2 ** 20) / (32 * blockBytes)), 32 * blockSize];
    const entry: TensorEntry = {
      name: "large",
      dtype,
      rows,
      cols,
      bytes: rows * rowBytes(dtype, cols),
      read: async (_, into) => {
        into.fill(0);
      },
    };
    const use = { name: "large", ref: { tensor: "large", rows, cols, exact: false }, layer: 0 };
    const elsewhere = new Elsewhere();
    await loadWeights(elsewhere, [{ use, entry }], { onProgress: () => {} });
    const { pieces } = elsewhere;
    expect(pieces.reduce((sum, bytes) => sum + bytes, 0)).toBe(entry.bytes);
    expect(pieces).toHaveLength(2);
    expect(pieces.map((bytes) => [bytes % blockBytes, bytes % 4])).toEqual(pieces.map(() => [0, 0]));
  }
});

test("damaged weights are found on their way to both", async () => {
  const bytes = tinyGguf();
  new DataView(bytes.buffer, bytes.byteOffset).setFloat32(bytes.length - 64, Number.NaN, true);
  const path = tinyFile();
  writeFileSync(path, bytes);
  for (const backend of [new ReferenceBackend(), new Elsewhere()]) {
    await expect(load(path, backend)).rejects.toThrow(NumericError);
  }
});
