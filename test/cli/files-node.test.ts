import { execFileSync, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import {
  chmod,
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { nodeFiles } from "../../src/cli/files-node.js";

const modeOf = async (path: string) => (await stat(path)).mode & 0o777;
const posix = process.platform !== "win32";

describe("files of the process", () => {
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "sluice-files-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  test("are checked for writing without a change", async () => {
    const file = join(folder, "a.json");
    await writeFile(file, "before");
    await utimes(file, 1, 1);
    await symlink(join(folder, "absent.json"), join(folder, "link.json"));
    for (const name of ["a.json", "new.json", "link.json"]) await nodeFiles.checkWritable(join(folder, name));
    expect(await readFile(file, "utf8")).toBe("before");
    expect((await stat(file)).mtimeMs).toBe(1000);
    expect((await readdir(folder)).sort()).toEqual(["a.json", "link.json"]);
  });

  test("that cannot be written or read say why, as files, not as models", async () => {
    await mkdir(join(folder, "sub"));
    await writeFile(join(folder, "plain"), "");
    const wrong = [
      [join(folder, "nope", "x"), /cannot be written: there is no such folder/],
      [join(folder, "sub"), /found a folder/],
      [join(folder, "plain", "x"), /cannot be written: a part of the path is a file/],
      [join(folder, "x".repeat(300)), /cannot be written: its name is too long/],
    ] as const;
    for (const [path, message] of wrong) {
      const expected = { code: "write_failed", message: expect.stringMatching(message) };
      await expect(nodeFiles.checkWritable(path)).rejects.toMatchObject(expected);
      await expect(nodeFiles.write(path, "")).rejects.toMatchObject(expected);
    }
    const absent = join(folder, "absent");
    await expect(nodeFiles.read(absent)).rejects.toMatchObject({
      code: "file",
      message: `${absent} cannot be read: there is no such file or folder.`,
    });
  });

  test.skipIf(!posix)(
    "secret ones are for their owner alone where they are new; old ones keep their mode",
    async () => {
      for (const [name, secret, old, mode] of [
        ["new", true, undefined, 0o600],
        ["old", true, 0o640, 0o640],
        ["open", false, 0o604, 0o604],
        ["closed", false, 0o600, 0o600],
      ] as const) {
        const path = join(folder, name);
        if (old !== undefined) {
          await writeFile(path, "old");
          await chmod(path, old);
        }
        await nodeFiles.write(path, "new", { secret });
        expect([name, await modeOf(path), await readFile(path, "utf8")]).toEqual([name, mode, "new"]);
      }
    },
  );

  test.skipIf(!posix)("are written where links lead, also where nothing is yet", async () => {
    await mkdir(join(folder, "there"));
    await symlink("there/target", join(folder, "inner"));
    await symlink("inner", join(folder, "link"));
    for (const text of ["one", "two"]) {
      await nodeFiles.write(join(folder, "link"), text);
      expect(await readFile(join(folder, "there", "target"), "utf8")).toBe(text);
    }
    expect(await readlink(join(folder, "link"))).toBe("inner");
    await symlink("circle", join(folder, "circle"));
    await expect(nodeFiles.write(join(folder, "circle"), "")).rejects.toMatchObject({ code: "write_failed" });
  });

  test("are told apart by where they lie, not by their names", async () => {
    await writeFile(join(folder, "a"), "");
    await writeFile(join(folder, "b"), "");
    const same = (one: string, other: string) => nodeFiles.isSame(join(folder, one), join(folder, other));
    expect([await same("a", "b"), await same("a", "new"), await same("new", "newer")]).toEqual([false, false, false]);
    expect([await same("a", "./a"), await same("new", "./new")]).toEqual([true, true]);
    if (!posix) return;
    await symlink("a", join(folder, "soft"));
    await link(join(folder, "a"), join(folder, "hard"));
    await symlink("new", join(folder, "waiting"));
    expect([await same("a", "soft"), await same("a", "hard"), await same("waiting", "new")]).toEqual([
      true,
      true,
      true,
    ]);
    expect(await nodeFiles.isSame("/dev/null", "/dev/null")).toBe(false);
  });

  test("in folders that are not there are refused before the work, whatever the path looks like", async () => {
    const refused = { code: "write_failed", message: expect.stringMatching(/there is no such folder/) };
    for (const path of [`${folder}/new/`, `${folder}/missing/../new`, `${folder}/missing/new`, ""]) {
      await expect(nodeFiles.checkWritable(path)).rejects.toMatchObject(refused);
      await expect(nodeFiles.write(path, "x")).rejects.toMatchObject(refused);
    }
    if (!posix) return;
    await symlink("missing/new", join(folder, "link"));
    await expect(nodeFiles.checkWritable(join(folder, "link"))).rejects.toMatchObject(refused);
  });

  test.skipIf(!posix)("pipes get the bytes, and stay pipes", async () => {
    const pipe = join(folder, "pipe");
    execFileSync("mkfifo", [pipe]);
    const reader = spawn("cat", [pipe], { stdio: ["ignore", "pipe", "ignore"] });
    let got = "";
    reader.stdout.on("data", (chunk) => {
      got += chunk;
    });
    const ended = new Promise((resolve) => reader.on("close", resolve));
    await nodeFiles.checkWritable(pipe);
    // More than a pipe holds at once.
    await nodeFiles.write(pipe, "x".repeat(300_000));
    await ended;
    expect(got).toHaveLength(300_000);
    expect((await stat(pipe)).isFIFO()).toBe(true);
  });

  test.skipIf(!posix)("a descriptor's file goes on where it is, and is not replaced", async () => {
    const path = join(folder, "log");
    const descriptor = openSync(path, "w");
    try {
      await nodeFiles.write(`/dev/fd/${descriptor}`, "one, ");
      await nodeFiles.write(`/proc/self/fd/${descriptor}`, "two");
    } finally {
      closeSync(descriptor);
    }
    expect(await readFile(path, "utf8")).toBe("one, two");
  });

  test.skipIf(process.platform !== "linux")("places that take no files say what is the matter", async () => {
    const full = { message: expect.stringMatching(/disk is full/) };
    await expect(nodeFiles.write("/dev/full", "x")).rejects.toMatchObject(full);
    const refused = { message: expect.stringMatching(/its folder takes no new files/) };
    await expect(nodeFiles.checkWritable("/proc/x")).rejects.toMatchObject(refused);
    await expect(nodeFiles.write("/proc/x", "")).rejects.toMatchObject(refused);
  });

  test("what cannot be written is kept elsewhere, under its name", async () => {
    const kept = await nodeFiles.rescue(join(folder, "a.session"), Uint8Array.of(1, 2));
    expect(kept).toMatch(/[\\/]a\.session$/);
    expect([...(await readFile(kept))]).toEqual([1, 2]);
    if (posix) expect(await modeOf(kept)).toBe(0o600);
    await rm(dirname(kept), { recursive: true });
  });
});
