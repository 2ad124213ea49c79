/** The built command and what it writes over: kills, full disks and two processes at once leave whole files. */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, watch, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sluiceProcess } from "./support/sluice-process.js";

const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const ASSETS = fileURLToPath(new URL("../../assets/", import.meta.url));
const MODEL = join(ASSETS, "sluice-tiny.gguf");
const BOOK = join(ASSETS, "the-time-machine-opening.txt");

let folder: string;
let prompt: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-lost-"));
  prompt = join(folder, "prompt.txt");
  writeFileSync(prompt, readFileSync(BOOK, "utf8").slice(0, 12_000));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** As much text as makes a session of some megabytes. */
const readFlags = () => ["--file", prompt, "--context-length", "20000", "--kv", "f32"];
const run = (...flags: string[]) => ["run", MODEL, "--max-tokens", "0", "--quiet", ...flags];

/** Starts a command and kills it so many milliseconds after the temporary file beside `path` has appeared. */
function killedWhileWriting(args: readonly string[], path: string, delayMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: "ignore" });
    const watcher = watch(folder, (_, name) => {
      if (!name?.startsWith(`.${basename(path)}.`)) return;
      // The check before the work makes one too, and removes it at once.
      if (!existsSync(join(folder, name)) || statSync(join(folder, name)).size === 0) return;
      watcher.close();
      setTimeout(() => child.kill("SIGKILL"), delayMs);
    });
    child.on("close", (_, signal) => {
      watcher.close();
      resolve(signal === "SIGKILL");
    });
  });
}

describe("a session that is saved over itself", () => {
  test("survives six kills of six, at any moment of the save, and is for its owner alone", async () => {
    const session = join(folder, "book.session");
    expect(await sluiceProcess(run(...readFlags(), "--save", session))).toMatchObject({ code: 0, err: "" });
    if (process.platform !== "win32") expect(statSync(session).mode & 0o777).toBe(0o600);
    const whole = readFileSync(session);
    expect(whole.length).toBeGreaterThan(3e6);
    const again = run("--resume", session, "--save", session, "--prompt", "");
    let killed = 0;
    for (let round = 0; round < 6; round++) {
      if (await killedWhileWriting(again, session, round)) killed += 1;
      // Nothing was added, so the old session and the new one are the same bytes.
      expect(readFileSync(session).equals(whole)).toBe(true);
    }
    expect(killed).toBeGreaterThan(0);
    expect(await sluiceProcess(again)).toMatchObject({ code: 0, err: "" });
    expect(readFileSync(session).equals(whole)).toBe(true);
    // What the killed ones left was cleared up by the last one.
    expect(readdirSync(folder).filter((name) => name.endsWith(".partial"))).toEqual([]);
  });

  test("is whole when two processes save it at once", async () => {
    const session = join(folder, "two.session");
    const texts = ["one", "another text"];
    const save = (text: string, path: string) => sluiceProcess(run("--prompt", text, "--save", path));
    const alone = texts.map((_, at) => join(folder, `${at}.session`));
    for (const [at, text] of texts.entries()) await save(text, alone[at]);
    for (const outcome of await Promise.all(texts.map((text) => save(text, session)))) expect(outcome.code).toBe(0);
    const found = readFileSync(session);
    expect(alone.some((path) => readFileSync(path).equals(found))).toBe(true);
  });
});

const canMount = process.getuid?.() === 0 && process.platform === "linux";

describe.skipIf(!canMount)("a disk that is full (a small file system, which only root can mount)", () => {
  let disk = "";
  beforeAll(() => {
    disk = mkdtempSync(join(tmpdir(), "sluice-disk-"));
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=400k", "tmpfs", disk]);
  });
  afterAll(() => {
    execFileSync("umount", [disk]);
    rmSync(disk, { recursive: true });
  });

  test("keeps the old session, says so, and puts the new one elsewhere", async () => {
    const session = join(disk, "a.session");
    await sluiceProcess(run("--prompt", "short", "--context", "recent:16", "--save", session));
    const old = readFileSync(session);
    const { code, err } = await sluiceProcess(run(...readFlags(), "--save", session));
    expect(code).toBe(1);
    const kept = /kept in (\S+): move it/.exec(err)?.[1] ?? "";
    expect(err).toMatch(/^error: '.*a\.session' cannot be written: the disk is full\. Free some space\.\n/);
    expect(readFileSync(session).equals(old)).toBe(true);
    expect(readdirSync(disk)).toEqual(["a.session"]);
    const resumed = await sluiceProcess([
      "run",
      MODEL,
      "--resume",
      kept,
      "--prompt",
      "",
      "--max-tokens",
      "3",
      "--quiet",
    ]);
    expect(resumed.code).toBe(0);
    rmSync(join(kept, ".."), { recursive: true });
  });

  test("keeps old figures and plots", async () => {
    const paths = [join(disk, "o.json"), join(disk, "p.svg")];
    for (const path of paths) writeFileSync(path, "old");
    const rest = join(disk, "rest");
    expect(() => writeFileSync(rest, Buffer.alloc(1e6))).toThrow(/ENOSPC/);
    const text = join(folder, "short.txt");
    writeFileSync(text, "The Time Traveller smiled round at us.");
    const flags = ["--file", text, "--context", "full", "--quiet", "--json", paths[0], "--plot", paths[1]];
    const { code, out, err } = await sluiceProcess(["stream", MODEL, ...flags]);
    expect(code).toBe(1);
    expect(out).toMatch(/^full +\d+ /m);
    expect(paths.map((path) => readFileSync(path, "utf8"))).toEqual(["old", "old"]);
    expect(readdirSync(disk).sort()).toEqual(["a.session", "o.json", "p.svg", "rest"]);
    const kept = [...err.matchAll(/kept in (\S+): move it/g)].map(([, path]) => path);
    expect(kept.map((path) => basename(path)).sort()).toEqual(["o.json", "p.svg"]);
    for (const path of kept) {
      expect(statSync(path).size).toBeGreaterThan(100);
      rmSync(join(path, ".."), { recursive: true });
    }
  });
});
