/** Packed token files: what is written is read again, in any stretches; broken files are refused. */
import { describe, expect, it } from "vitest";
import { PackedTokens, packedTokenBytes } from "../../../src/train/data/packed-tokens.js";
import { joinedTokens, tokensInMemory } from "../../../src/train/data/token-sequence.js";
import { ArgumentError, FormatError } from "../../../src/util/errors.js";
import { MemoryFiles } from "../../support/memory-files.js";

async function packed(ids: readonly number[], vocabularySize: number): Promise<Uint8Array> {
  const half = ids.length >> 1;
  const parts = [Int32Array.from(ids.slice(0, half)), new Int32Array(0), Int32Array.from(ids.slice(half))];
  const chunks: Uint8Array[] = [];
  for await (const chunk of packedTokenBytes(parts, { vocabularySize, fingerprint: 0xfedcba98 })) chunks.push(chunk);
  return new Uint8Array(Buffer.concat(chunks));
}

async function opened(bytes: Uint8Array): Promise<{ tokens: PackedTokens; files: MemoryFiles }> {
  const files = new MemoryFiles({ "a.tokens": bytes });
  return { tokens: await PackedTokens.open(await files.open("a.tokens")), files };
}

describe("packed token files", () => {
  it.each([
    [65_536, 2],
    [65_537, 4],
  ])("of %d tokens take %d bytes for each and give them back", async (vocabularySize, width) => {
    const ids = Array.from({ length: 1000 }, (_, i) => (i * 7919) % vocabularySize);
    ids[999] = vocabularySize - 1;
    const bytes = await packed(ids, vocabularySize);
    expect(bytes.length).toBe(24 + 1000 * width + 16);
    const { tokens, files } = await opened(bytes);
    expect([tokens.count, tokens.vocabularySize, tokens.fingerprint]).toEqual([1000, vocabularySize, 0xfedcba98]);
    expect([...(await tokens.read(0, 1000))]).toEqual(ids);
    files.bytesRead = 0;
    expect([...(await tokens.read(990, 10))]).toEqual(ids.slice(990));
    expect(files.bytesRead).toBe(10 * width);
    await tokens.close();
    expect(files.openCount).toBe(0);
  });

  it("are written in chunks that join without gaps", async () => {
    const ids = Array.from({ length: 1_200_000 }, (_, i) => i & 0xffff);
    const { tokens } = await opened(await packed(ids, 65_536));
    expect(tokens.count).toBe(ids.length);
    expect([...(await tokens.read(524_280, 16))]).toEqual(ids.slice(524_280, 524_296));
    expect([...(await tokens.read(1_199_990, 10))]).toEqual(ids.slice(-10));
  });

  it("may be empty", async () => {
    const { tokens } = await opened(await packed([], 10));
    expect([tokens.count, (await tokens.read(0, 0)).length]).toEqual([0, 0]);
  });

  it("refuse ids outside of the vocabulary and stretches outside of the file", async () => {
    await expect(packed([1, 10], 10)).rejects.toThrow(ArgumentError);
    await expect(packed([-1], 10)).rejects.toThrow(ArgumentError);
    const { tokens } = await opened(await packed([1, 2, 3], 10));
    for (const [start, count] of [
      [-1, 1],
      [0, 4],
      [4, 0],
      [0.5, 1],
      [0, Number.NaN],
    ]) {
      await expect(tokens.read(start, count)).rejects.toThrow(ArgumentError);
    }
  });

  const broken: readonly (readonly [string, (bytes: Uint8Array) => Uint8Array])[] = [
    ["cut at the front", (bytes) => bytes.subarray(1)],
    ["cut at the end", (bytes) => bytes.subarray(0, -1)],
    ["cut by an id", (bytes) => Uint8Array.from([...bytes.subarray(0, -18), ...bytes.subarray(-16)])],
    ["shorter than its frame", (bytes) => bytes.subarray(0, 39)],
    ["empty", () => new Uint8Array(0)],
    ["of another kind", (bytes) => bytes.with(0, 0x47)],
    ["of another version", (bytes) => bytes.with(8, 2)],
    ["of ids of 3 bytes", (bytes) => bytes.with(12, 3)],
    ["of ids of no bytes", (bytes) => bytes.with(12, 0)],
    ["without a vocabulary", (bytes) => bytes.with(16, 0)],
    ["with another end", (bytes) => bytes.with(bytes.length - 1, 0)],
    ["with a huge number of ids", (bytes) => bytes.with(bytes.length - 9, 0xff)],
  ];
  it.each(broken)("%s are refused and closed", async (_name, damage) => {
    const bytes = await packed([1, 2, 3, 4], 10);
    const files = new MemoryFiles({ x: damage(bytes) });
    await expect(files.open("x").then(PackedTokens.open)).rejects.toThrow(FormatError);
    expect(files.openCount).toBe(0);
  });

  it("tell a damaged id when it is read", async () => {
    const { tokens } = await opened((await packed([1, 2, 3, 4], 10)).with(24 + 4, 200));
    expect([...(await tokens.read(0, 2))]).toEqual([1, 2]);
    await expect(tokens.read(1, 2)).rejects.toThrow(/token 2 is 200/);
  });
});

describe("several sequences", () => {
  it("read as one", async () => {
    const parts = [[1, 2, 3], [], [4], [5, 6]].map(tokensInMemory);
    const joined = joinedTokens(parts);
    expect(joined.count).toBe(6);
    for (let start = 0; start <= 6; start++) {
      for (let count = 0; start + count <= 6; count++) {
        expect([...(await joined.read(start, count))]).toEqual([1, 2, 3, 4, 5, 6].slice(start, start + count));
      }
    }
    await expect(joined.read(5, 2)).rejects.toThrow(ArgumentError);
  });
});
