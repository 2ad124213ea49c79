/** The examples of the package, run as a reader of the documentation runs them. */
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { tinyFile } from "../support/tiny-gguf.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const BUNDLED = join(ROOT, "assets/sluice-tiny.gguf");

const run = (name: string, ...args: string[]) =>
  promisify(execFile)(process.execPath, [join(ROOT, "examples", name), ...args], { timeout: 120_000 });

test("a text without end", async () => {
  const { stdout, stderr } = await run("generate.mjs", BUNDLED);
  expect(stderr).toMatch(/1369728 parameters/);
  expect(stdout).toMatch(/seen 2005, kept 512, evicted 1493, recalls the newest 508/);
});

test("a conversation of two turns", async () => {
  const { stderr } = await run("chat.mjs", tinyFile(), "the sun", "and the rain");
  expect(stderr).toMatch(/read and wrote \d+ tokens/);
});

test("a book is read, saved, and gone on from", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-example-"));
  const book = join(folder, "book.txt");
  writeFileSync(book, readFileSync(join(ROOT, "assets/the-time-machine-opening.txt"), "utf8").slice(0, 6000));
  const saved = join(folder, "book.session");
  const { stdout, stderr } = await run("book.mjs", BUNDLED, book, saved);
  expect(stdout.length).toBeGreaterThan(20);
  expect(JSON.parse(stderr.trim().split("\n").at(-1) ?? "")).toMatchObject({ kept: 1024, horizon: 1020, sinks: 4 });
  expect(statSync(saved).mode & 0o777).toBe(0o600);
});

test("a server streams, tells errors, and ends when it is told to", async () => {
  const child = spawn(process.execPath, [join(ROOT, "examples/server.mjs"), BUNDLED, "0"], { stdio: "pipe" });
  try {
    const port = await new Promise<string>((resolve) => {
      child.stderr.on("data", (chunk) => {
        const found = /port (\d+)/.exec(String(chunk));
        if (found) resolve(found[1]);
      });
    });
    const url = `http://127.0.0.1:${port}`;
    const answers = await Promise.all(
      ["Once upon a time", "The Time Traveller"].map(async (body) => fetch(url, { method: "POST", body })),
    );
    for (const answer of answers) expect((await answer.text()).length).toBeGreaterThan(20);
    const long = await fetch(url, { method: "POST", body: "word ".repeat(4000) });
    expect(long.status).toBe(413);
    expect(await long.text()).toMatch(/^context_full: /);
  } finally {
    const ended = new Promise((resolve) => child.once("close", resolve));
    child.kill("SIGINT");
    expect(await ended).toBe(0);
  }
});

describe("what cannot be done is said in one line", () => {
  const failed = (name: string, ...args: string[]) =>
    run(name, ...args).then(
      () => undefined,
      ({ code, stderr }: { code: number; stderr: string }) => ({ code, stderr }),
    );

  test.each(["chat", "book", "generate", "server"])(
    "%s without a model, and with one that is not there",
    async (name) => {
      expect(await failed(`${name}.mjs`)).toEqual({
        code: 2,
        stderr: expect.stringMatching(new RegExp(`^usage: node examples/${name}\\.mjs MODEL.*\\n$`)),
      });
      expect(await failed(`${name}.mjs`, "absent.gguf", "9")).toEqual({
        code: 1,
        stderr: expect.stringMatching(/^error: .*absent\.gguf.*\n$/),
      });
    },
  );

  test("a chat with a model that has no template", async () => {
    expect(await failed("chat.mjs", BUNDLED, "hello")).toEqual({
      code: 1,
      stderr: expect.stringMatching(/^error: .*template.*\n$/),
    });
  });

  test("a book that is not there", async () => {
    expect(await failed("book.mjs", BUNDLED, "absent.txt")).toEqual({
      code: 1,
      stderr: expect.stringMatching(/^error: .*absent\.txt.*\n$/),
    });
  });
});
