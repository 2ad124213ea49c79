import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { nodeFiles } from "../../src/cli/files-node.js";

describe("files of the process", () => {
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "sluice-files-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  test("are checked for writing without a change", async () => {
    const file = join(folder, "a.json");
    await writeFile(file, "before");
    await symlink(join(folder, "absent.json"), join(folder, "link.json"));
    for (const name of ["a.json", "new.json", "link.json"]) await nodeFiles.checkWritable(join(folder, name));
    expect(await readFile(file, "utf8")).toBe("before");
    expect((await readdir(folder)).sort()).toEqual(["a.json", "link.json"]);
  });

  test("that cannot be written or read say why, as files, not as models", async () => {
    await mkdir(join(folder, "sub"));
    await writeFile(join(folder, "plain"), "");
    const wrong = [
      [join(folder, "nope", "x"), "there is no such file or folder"],
      [join(folder, "sub"), "it is a folder"],
      [join(folder, "plain", "x"), "a part of the path is no folder"],
    ];
    for (const [path, reason] of wrong) {
      const message = `${path} cannot be written: ${reason}.`;
      await expect(nodeFiles.checkWritable(path)).rejects.toMatchObject({ code: "file", message });
      await expect(nodeFiles.write(path, "")).rejects.toMatchObject({ code: "file", message });
    }
    const absent = join(folder, "absent");
    await expect(nodeFiles.read(absent)).rejects.toMatchObject({
      code: "file",
      message: `${absent} cannot be read: there is no such file or folder.`,
    });
  });
});
