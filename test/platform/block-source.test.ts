/** Blocks of a file behind a URL: what failed is fetched anew, what was not used for long is let go. */
import { describe, expect, it } from "vitest";
import { BLOCK_BYTES, BlockSource } from "../../src/platform/block-source.js";
import type { RemoteFile } from "../../src/platform/remote-file.js";
import { CancelledError, NetworkError } from "../../src/util/errors.js";

/** A file of so many blocks; each byte is the number of its block. `fails` tells of a fetch whether it does. */
function remote(blocks: number, fails: (block: number, fetches: number) => boolean = () => false) {
  const fetched: number[] = [];
  const file: RemoteFile = {
    url: "http://server/a.gguf",
    size: blocks * BLOCK_BYTES,
    version: undefined,
    read: async (offset, into) => {
      const block = offset / BLOCK_BYTES;
      fetched.push(block);
      if (fails(block, fetched.filter((other) => other === block).length)) {
        throw new NetworkError(`Block ${block} is not there.`, {});
      }
      into.fill(block, 0, 100);
    },
  };
  return { file, fetched };
}

async function byteOf(source: BlockSource, block: number): Promise<number> {
  const into = new Uint8Array(1);
  await source.read(block * BLOCK_BYTES + 50, into);
  return into[0];
}

describe("a block that could not be fetched", () => {
  it("is an error for all who asked, and is fetched anew for the next", async () => {
    const { file, fetched } = remote(1, (_, fetches) => fetches === 1);
    const source = new BlockSource(file);
    const both = await Promise.allSettled([byteOf(source, 0), byteOf(source, 0)]);
    expect(both.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(fetched).toEqual([0]);
    expect(await byteOf(source, 0)).toBe(0);
    expect(await byteOf(source, 0)).toBe(0);
    expect(fetched).toEqual([0, 0]);
    await source.close();
  });

  it("ahead of its reader fails nobody, and is fetched anew when it is read", async () => {
    const { file, fetched } = remote(3, (block, fetches) => block > 0 && fetches === 1);
    const source = new BlockSource(file);
    expect(await byteOf(source, 0)).toBe(0);
    expect(fetched).toEqual([0, 1, 2]);
    expect([await byteOf(source, 1), await byteOf(source, 2)]).toEqual([1, 2]);
    expect(fetched).toEqual([0, 1, 2, 1, 2]);
    await source.close();
  });
});

describe("blocks in memory", () => {
  it("are eight at most: the one that was not used for the longest time is let go", async () => {
    const { file, fetched } = remote(40);
    const source = new BlockSource(file);
    // Not in order, so none is fetched ahead.
    const all = [20, 18, 16, 14, 12, 10, 8, 6];
    for (const block of all) expect(await byteOf(source, block)).toBe(block);
    await byteOf(source, 20);
    expect(fetched).toEqual(all);
    await byteOf(source, 4);
    await byteOf(source, 20);
    expect(fetched).toEqual([...all, 4]);
    await byteOf(source, 18);
    expect(fetched).toEqual([...all, 4, 18]);
    await source.close();
  });

  it("are of all files together, and a file that is closed has none", async () => {
    const [one, other] = [remote(40), remote(40)];
    const [source, second] = [new BlockSource(one.file), new BlockSource(other.file)];
    const all = [20, 18, 16, 14, 12, 10, 8, 6];
    for (const block of all.slice(0, 4)) await byteOf(second, block);
    for (const block of [20, 18, 16, 14]) await byteOf(source, block);
    await source.close();
    for (const block of all.slice(4)) await byteOf(second, block);
    for (const block of all) await byteOf(second, block);
    expect(other.fetched).toEqual(all);
    expect(one.fetched).toEqual([20, 18, 16, 14]);
    await expect(byteOf(source, 20)).rejects.toThrow(CancelledError);
    await second.close();
  });
});
