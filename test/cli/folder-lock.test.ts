/** A run that could not begin takes back what it made, and nothing that was there before. */
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { lockFolder } from "../../src/cli/train/folder-lock.js";
import { nodePlatform } from "../../src/platform/node.js";
import { setPlatform } from "../../src/util/platform.js";

test("a run's folder that is given up", async () => {
  setPlatform(nodePlatform);
  const base = await mkdtemp(join(tmpdir(), "sluice-lock-"));
  try {
    const old = join(base, "old");
    await mkdir(old);
    await writeFile(join(old, "book.txt"), "mine");
    await (await lockFolder(old)).abandon();
    expect(await readdir(old)).toEqual(["book.txt"]);
    const made = await lockFolder(join(base, "a", "b"));
    await writeFile(join(base, "a", "b", "config.json"), "{}");
    await made.abandon();
    expect(await readdir(base)).toEqual(["old"]);
  } finally {
    await rm(base, { recursive: true });
  }
});
