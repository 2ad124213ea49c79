/**
 * Element types of weights, as stored in files. Quantised types are blocks: `blockSize` elements in `blockBytes` bytes.
 * Sizes and ids are those of ggml (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
 */
export const DTYPES = {
  f32: { ggml: 0, blockSize: 1, blockBytes: 4 },
  f16: { ggml: 1, blockSize: 1, blockBytes: 2 },
  q4_0: { ggml: 2, blockSize: 32, blockBytes: 18 },
  q4_1: { ggml: 3, blockSize: 32, blockBytes: 20 },
  q5_0: { ggml: 6, blockSize: 32, blockBytes: 22 },
  q5_1: { ggml: 7, blockSize: 32, blockBytes: 24 },
  q8_0: { ggml: 8, blockSize: 32, blockBytes: 34 },
  q2_k: { ggml: 10, blockSize: 256, blockBytes: 84 },
  q3_k: { ggml: 11, blockSize: 256, blockBytes: 110 },
  q4_k: { ggml: 12, blockSize: 256, blockBytes: 144 },
  q5_k: { ggml: 13, blockSize: 256, blockBytes: 176 },
  q6_k: { ggml: 14, blockSize: 256, blockBytes: 210 },
  iq4_nl: { ggml: 20, blockSize: 32, blockBytes: 18 },
  bf16: { ggml: 30, blockSize: 1, blockBytes: 2 },
  mxfp4: { ggml: 39, blockSize: 32, blockBytes: 17 },
} as const satisfies Record<string, { ggml: number; blockSize: number; blockBytes: number }>;

export type DType = keyof typeof DTYPES;

const BY_GGML_ID: ReadonlyMap<number, DType> = new Map(
  (Object.keys(DTYPES) as DType[]).map((dtype) => [DTYPES[dtype].ggml, dtype]),
);

/** The type with this ggml id, or undefined when Sluice has no kernel for it. */
export function dtypeOfGgml(id: number): DType | undefined {
  return BY_GGML_ID.get(id);
}

/** Bytes of one row of `columns` elements; `columns` must be a multiple of the block size. */
export function rowBytes(dtype: DType, columns: number): number {
  const { blockSize, blockBytes } = DTYPES[dtype];
  return (columns / blockSize) * blockBytes;
}

/** How keys or values of the cache are stored: q8 and q4 are 8 and 4 bits with one scale for (token, group of at most 32 dims). */
export const KV_TYPES = ["f32", "f16", "q8", "q4"] as const;
/** Of keys, or of values: what one of the two can be. The `kv` option takes a `CacheType`, which says it of both. */
export type KvType = (typeof KV_TYPES)[number];
