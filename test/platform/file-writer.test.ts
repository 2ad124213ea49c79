/** Files that are whole at every moment: failures and kills in the middle of writing leave what was there. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { checkWritable, nodeFileWriter, writeFileAtomic } from "../../src/platform/file-writer-node.js";
import { WriteError } from "../../src/util/errors.js";

let folder: string;
/** The writer, for processes of their own. */
let module: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-writer-"));
  module = compiledWriter();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A new folder of the test's own. */
function place(name: string): string {
  const path = join(folder, name);
  mkdirSync(path);
  return path;
}

const isRoot = process.getuid?.() === 0;

/** A small file system of its own in memory; false where that is not allowed. */
function mounted(path: string, options: string): boolean {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", path], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

const bytes = (text: string) => new TextEncoder().encode(text);

async function* failing(after: number): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < after; i++) yield bytes("new");
  throw new Error("the source failed");
}

describe("writing a file", () => {
  it("writes chunks in order, also when one array carries them all", async () => {
    const path = join(place("chunks"), "a");
    const chunk = new Uint8Array(1000);
    async function* chunks() {
      for (let i = 0; i < 300; i++) yield chunk.fill(i & 255).subarray(0, 1 + i);
    }
    await writeFileAtomic(path, chunks());
    const expected = Buffer.concat(Array.from({ length: 300 }, (_, i) => Buffer.alloc(1 + i, i & 255)));
    expect(readFileSync(path).equals(expected)).toBe(true);
    await writeFileAtomic(path, [bytes("short")]);
    expect(readFileSync(path, "utf8")).toBe("short");
    expect(readdirSync(dirname(path))).toEqual(["a"]);
  });

  it.each([0, 3])(
    "keeps the old file when the source fails after %i chunks, and leaves nothing behind",
    async (after) => {
      const path = join(place(`fails-${after}`), "a");
      writeFileSync(path, "old");
      await expect(writeFileAtomic(path, failing(after))).rejects.toThrow("the source failed");
      expect(readFileSync(path, "utf8")).toBe("old");
      expect(readdirSync(dirname(path))).toEqual(["a"]);
    },
  );

  it("lets several write the same file: the last one to finish counts", async () => {
    const path = join(place("several"), "a");
    const texts = ["one", "two two", "three three three"];
    await Promise.all(texts.map((text) => writeFileAtomic(path, [bytes(text)])));
    expect(texts).toContain(readFileSync(path, "utf8"));
    expect(readdirSync(dirname(path))).toEqual(["a"]);
  });

  it.skipIf(process.platform === "win32")("writes where a link leads", async () => {
    const inner = place("link");
    writeFileSync(join(inner, "target"), "old");
    symlinkSync("target", join(inner, "link"));
    await writeFileAtomic(join(inner, "link"), [bytes("new")]);
    expect(readFileSync(join(inner, "target"), "utf8")).toBe("new");
  });

  it("writes names of any length, and of any letters", async () => {
    const inner = place("names");
    const names = ["x".repeat(255), "é".repeat(127), "a b\nc", "日本語"];
    for (const name of names) {
      for (const text of ["old", "new"]) await writeFileAtomic(join(inner, name), [bytes(text)]);
      expect(readFileSync(join(inner, name), "utf8")).toBe("new");
    }
    expect(readdirSync(inner)).toHaveLength(names.length);
  });

  it.skipIf(!isRoot)("keeps owner, group and mode", async () => {
    const path = join(place("owner"), "a");
    writeFileSync(path, "old");
    chownSync(path, 12_345, 23_456);
    chmodSync(path, 0o640);
    await writeFileAtomic(path, [bytes("new")]);
    expect(statSync(path)).toMatchObject({ uid: 12_345, gid: 23_456 });
    expect(statSync(path).mode & 0o777).toBe(0o640);
  });

  it("clears up what processes that died have left, and nothing that others are writing", async () => {
    const path = join(place("left"), "a");
    const host = hostname()
      .replace(/[^\w-]/g, "_")
      .slice(0, 40);
    const names = {
      dead: `.a.${host}-99999999-0a.partial`,
      // As earlier versions called them.
      deadBefore: ".a.99999999-3.partial",
      // In a container a new process may have the number of the one that died.
      sameNumber: `.a.${host}-${process.pid}-0b.partial`,
      alive: `.a.${host}-${process.ppid}-0c.partial`,
      mine: `.a.${host}-${process.pid}-0d.partial`,
      otherMachine: ".a.elsewhere-99999999-0e.partial",
      otherFile: `.ab.${host}-99999999-0f.partial`,
    };
    for (const name of Object.values(names)) writeFileSync(join(dirname(path), name), "half");
    utimesSync(join(dirname(path), names.sameNumber), 1, 1);
    await writeFileAtomic(path, [bytes("new")]);
    const { alive, mine, otherMachine, otherFile } = names;
    expect(readdirSync(dirname(path)).sort()).toEqual([alive, mine, otherMachine, otherFile, "a"].sort());
  });

  it.skipIf(!isRoot)("leaves the old file on a disk that is full, and nothing beside it", async (context) => {
    const disk = place("disk");
    if (!mounted(disk, "size=256k")) return context.skip("no file system can be mounted here");
    try {
      const path = join(disk, "a");
      writeFileSync(path, "old");
      const error: unknown = await writeFileAtomic(path, [new Uint8Array(1e6)]).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(WriteError);
      expect(error).toMatchObject({
        details: { code: "ENOSPC" },
        message: expect.stringMatching(/disk is full\. Free/),
      });
      expect(readFileSync(path, "utf8")).toBe("old");
      expect(readdirSync(disk)).toEqual(["a"]);
    } finally {
      execFileSync("umount", [disk]);
    }
  });

  it.skipIf(!isRoot)("says that a file system is read-only, for files and for folders", async (context) => {
    const disk = place("read-only");
    if (!mounted(disk, "ro")) return context.skip("no file system can be mounted here");
    try {
      const attempts = [
        () => writeFileAtomic(join(disk, "a"), []),
        () => checkWritable(join(disk, "a")),
        () => nodeFileWriter.makeFolder(join(disk, "a", "b")),
        () => nodeFileWriter.append(join(disk, "a"), bytes("x")),
      ];
      for (const attempt of attempts) await expect(attempt()).rejects.toThrow(/file system is read-only/);
    } finally {
      execFileSync("umount", [disk]);
    }
  });

  it.skipIf(isRoot || process.platform === "win32")("leaves alone a file that may not be written", async () => {
    const path = join(place("protected"), "a");
    writeFileSync(path, "old", { mode: 0o444 });
    await expect(writeFileAtomic(path, [bytes("new")])).rejects.toThrow(/permissions/);
    expect(readFileSync(path, "utf8")).toBe("old");
  });

  it.skipIf(!isRoot)("leaves alone a file that another user may not write, in a folder that it may", () => {
    const inner = place("other-user");
    const path = join(inner, "a");
    writeFileSync(path, "old");
    chmodSync(folder, 0o755);
    chmodSync(inner, 0o777);
    const nobody = "65534";
    const args = ["--input-type=module", "-e", ONE_WRITE, module, path, nobody];
    const write = () => execFileSync(process.execPath, args, { encoding: "utf8" });
    expect(write()).toMatch(/permissions/);
    expect(readFileSync(path, "utf8")).toBe("old");
    expect(readdirSync(inner)).toEqual(["a"]);
    chmodSync(path, 0o666);
    expect(write()).toBe("");
    expect(readFileSync(path, "utf8")).toBe("new");
  });

  it("says what is wrong", async () => {
    const path = place("wrong");
    await expect(writeFileAtomic(path, [])).rejects.toThrow(/found a folder/);
    const missing = writeFileAtomic(join(path, "none", "a"), []);
    await expect(missing).rejects.toThrow(/no such folder.*Make it/);
    await expect(missing).rejects.toBeInstanceOf(WriteError);
    if (process.platform !== "win32") await expect(writeFileAtomic("/dev/null", [])).rejects.toThrow(/device/);
  });
});

/** What is brought to the disk while `work` runs, in order: the names of folders, what files hold then. */
async function synced(inner: string, work: () => Promise<unknown>): Promise<string[]> {
  const all: string[] = [];
  const probe = await open(inner, "r");
  const prototype: FileHandle = Object.getPrototypeOf(probe);
  await probe.close();
  const { sync } = prototype;
  const spy = vi.spyOn(prototype, "sync").mockImplementation(async function (this: FileHandle) {
    const { ino, size } = await this.stat();
    const path = ["", ...readdirSync(inner, { recursive: true, encoding: "utf8" }).sort()].find(
      (name) => statSync(join(inner, name)).ino === ino,
    );
    all.push(path === undefined ? "elsewhere" : path.endsWith(".partial") ? `${size} bytes beside` : `/${path}`);
    await sync.call(this);
  });
  try {
    await work();
  } finally {
    spy.mockRestore();
  }
  return all;
}

describe.skipIf(process.platform === "win32")("what a crash of the machine must not take", () => {
  it("is on the disk before it gets its name, and then the name is", async () => {
    const inner = place("synced");
    const path = join(inner, "a");
    expect(await synced(inner, () => writeFileAtomic(path, [bytes("one"), bytes("two")]))).toEqual([
      "6 bytes beside",
      "/",
    ]);
    expect(await synced(inner, () => writeFileAtomic(path, [bytes("x")]))).toEqual(["1 bytes beside", "/"]);
  });

  it("is what was added to a file, folders that were made, moved and removed", async () => {
    const inner = place("synced-others");
    const { append, makeFolder, rename, remove } = nodeFileWriter;
    expect(await synced(inner, () => append(join(inner, "log"), bytes("line")))).toEqual(["/log"]);
    expect(await synced(inner, () => makeFolder(join(inner, "b", "c")))).toEqual(["/", "/b"]);
    expect(await synced(inner, () => rename(join(inner, "b", "c"), join(inner, "d")))).toEqual(["/", "/b"]);
    expect(await synced(inner, () => rename(join(inner, "d"), join(inner, "e")))).toEqual(["/"]);
    expect(await synced(inner, () => remove(join(inner, "e")))).toEqual(["/"]);
  });
});

describe("folders", () => {
  it("are made with those above them, moved and removed with what is in them", async () => {
    const inner = place("folders");
    await nodeFileWriter.makeFolder(join(inner, "a", "b", "c"));
    await nodeFileWriter.makeFolder(join(inner, "a", "b"));
    await nodeFileWriter.writeFile(join(inner, "a", "b", "c", "file"), [bytes("x")]);
    await nodeFileWriter.rename(join(inner, "a", "b"), join(inner, "moved"));
    expect(readFileSync(join(inner, "moved", "c", "file"), "utf8")).toBe("x");
    expect(readdirSync(join(inner, "a"))).toEqual([]);
    await nodeFileWriter.remove(join(inner, "moved"));
    await nodeFileWriter.remove(join(inner, "moved"));
    expect(readdirSync(inner)).toEqual(["a"]);
  });

  it("leave none behind where one of them cannot be made", async () => {
    const inner = place("undone");
    await expect(nodeFileWriter.makeFolder(join(inner, "a", "b", "x".repeat(300), "c"))).rejects.toThrow(/too long/);
    expect(readdirSync(inner)).toEqual([]);
    expect(await nodeFileWriter.makeFolder(join(inner, "a", "b"))).toEqual([join(inner, "a"), join(inner, "a", "b")]);
    expect(await nodeFileWriter.makeFolder(join(inner, "a", "b"))).toEqual([]);
  });

  it("are made once, whoever is faster", async () => {
    const inner = place("race");
    const made = await Promise.all([1, 2, 3].map(() => nodeFileWriter.makeFolder(join(inner, "a", "b", "c"))));
    expect(made.flat().sort()).toEqual(["a", "a/b", "a/b/c"].map((path) => join(inner, path)));
  });

  it.skipIf(process.platform !== "linux")("of the system's own are refused at once", async () => {
    for (const path of ["/proc/x", "/proc/x/y", "/proc/self/x", "/sys/x"]) {
      await expect(nodeFileWriter.makeFolder(path)).rejects.toBeInstanceOf(WriteError);
    }
  });

  it("do not replace others that hold something", async () => {
    const inner = place("full");
    await nodeFileWriter.makeFolder(join(inner, "a"));
    await nodeFileWriter.makeFolder(join(inner, "b", "c"));
    await expect(nodeFileWriter.rename(join(inner, "a"), join(inner, "b"))).rejects.toThrow(WriteError);
    writeFileSync(join(inner, "file"), "");
    await expect(nodeFileWriter.makeFolder(join(inner, "file", "d"))).rejects.toThrow(WriteError);
  });
});

const SOURCES = [
  "platform/file-writer-node",
  "platform/file-node",
  "platform/folders-node",
  "platform/partial-file-node",
  "platform/write-error-node",
  "util/errors",
];

/** The writer's sources as JavaScript, for a process of its own. */
function compiledWriter(): string {
  const root = place("compiled");
  const sources = fileURLToPath(new URL("../../src/", import.meta.url));
  writeFileSync(join(root, "package.json"), '{"type":"module"}');
  for (const file of SOURCES) {
    const options = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022, verbatimModuleSyntax: true };
    const { outputText } = ts.transpileModule(readFileSync(`${sources}${file}.ts`, "utf8"), {
      compilerOptions: options,
    });
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, `${file}.js`), outputText);
  }
  return join(root, "platform/file-writer-node.js");
}

/** Writes versions of a file one after the other, each of blocks with its number; `blocks` of them, or without end. */
const WRITER = `
  const [, module, path, blocks] = process.argv;
  const { writeFileAtomic } = await import(module);
  for (let version = 1; ; version++) {
    await writeFileAtomic(path, (async function* () {
      for (let i = 0; i < Number(blocks); i++) {
        yield new Uint8Array(65536).fill(version);
        if (i === 2) process.stdout.write(".");
      }
    })());
  }`;

/** Writes a file as another user, or says why not. */
const ONE_WRITE = `
  const [, module, path, user] = process.argv;
  const { writeFileAtomic } = await import(module);
  process.setgid(Number(user));
  process.setuid(Number(user));
  await writeFileAtomic(path, [new TextEncoder().encode("new")]).catch((error) => console.log(error.message));`;

async function killed(child: ChildProcess): Promise<void> {
  const closed = new Promise((resolve) => child.once("close", resolve));
  child.kill("SIGKILL");
  await closed;
}

const start = (path: string, blocks: number) =>
  spawn(process.execPath, ["--input-type=module", "-e", WRITER, module, path, String(blocks)], {
    stdio: ["ignore", "pipe", "inherit"],
  });

const output = (child: ChildProcess) => new Promise((resolve) => child.stdout?.once("data", resolve));

describe("a process that is killed while it writes", () => {
  it("leaves the old file whole, and the next write clears up behind it", async () => {
    const path = join(place("killed"), "a");
    writeFileSync(path, "old");
    const child = start(path, 1e9);
    await output(child);
    await killed(child);
    expect(readFileSync(path, "utf8")).toBe("old");
    // It did die in the middle of writing.
    expect(readdirSync(dirname(path))).toHaveLength(2);
    await writeFileAtomic(path, [bytes("new")]);
    expect(readFileSync(path, "utf8")).toBe("new");
    expect(readdirSync(dirname(path))).toEqual(["a"]);
  });

  it("leaves one version or the next, never parts of both", async () => {
    const path = join(place("versions"), "a");
    for (let round = 0; round < 4; round++) {
      writeFileSync(path, Buffer.alloc(8 * 65536, 0));
      const child = start(path, 8);
      await output(child);
      await new Promise((resolve) => setTimeout(resolve, 13 * round));
      await killed(child);
      const found = readFileSync(path);
      expect(found.length).toBe(8 * 65536);
      expect(found.equals(Buffer.alloc(found.length, found[0]))).toBe(true);
    }
  });
});
