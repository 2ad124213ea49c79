// The engine's thread as users get it: from the built package, with a real model.
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, describe, expect, it } from "vitest";
import type { Model, Part } from "../../src/engine/api.js";

// Through a variable: types come from the sources, so that checking them needs no build.
const PACKAGE: string = "sluice";
const {
  load,
  ContextFullError,
  CancelledError,
  MemoryError,
  NotFoundError,
  PolicyError,
  SnapshotError,
}: typeof import("../../src/index-node.js") = await import(PACKAGE);

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const MODEL = fileURLToPath(new URL("../golden/llama.gguf", import.meta.url));
const PROMPT = [1, 5, 9, 30, 7, 2, 11];

const open: Model[] = [];
afterEach(async () => {
  for (const model of open.splice(0)) await model.dispose();
});

async function loaded(options: Parameters<typeof load>[1] = {}): Promise<Model> {
  const model = await load(MODEL, { threads: 1, ...options });
  open.push(model);
  return model;
}

async function collect(parts: AsyncIterable<Part>): Promise<Part[]> {
  const all: Part[] = [];
  for await (const part of parts) all.push(part);
  return all;
}

describe("the engine's thread", () => {
  it("writes what the engine in place writes", async () => {
    const [there, here] = [await loaded(), await loaded({ thread: false })];
    expect(there.info).toEqual(here.info);
    const options = { maxTokens: 30, seed: 3, temperature: 1, logprobs: 2, ignoreEnd: true };
    const run = (model: Model) => collect(model.session({ context: "sinks:2,recent:14" }).generate(PROMPT, options));
    const expected = await run(here);
    expect(expected).toHaveLength(30);
    expect(await run(there)).toEqual(expected);
  });

  it("saves a session that goes on there and in place", async () => {
    const [there, here] = [await loaded(), await loaded({ thread: false })];
    const options = { maxTokens: 20, temperature: 0, logprobs: 2, ignoreEnd: true };
    const session = there.session({ context: "sinks:2,recent:14", kv: "q8" });
    await collect(session.generate(PROMPT, options));
    const saved = await session.save();
    const expected = await collect(session.generate([], options));
    for (const model of [there, here]) {
      const restored = await model.restore(saved);
      expect(restored.context).toBe("sinks:2,recent:14");
      expect(restored.usage.seen).toBe(PROMPT.length + 19);
      expect(await collect(restored.generate([], options))).toEqual(expected);
    }
    await expect(there.restore(saved.subarray(1))).rejects.toThrow(SnapshotError);
  });

  it("mirrors usage and scores", async () => {
    const [there, here] = [await loaded(), await loaded({ thread: false })];
    const score = async (model: Model) => {
      const session = model.session({ context: "recent:8" });
      const logprobs: number[] = [];
      for await (const part of session.score(Int32Array.from({ length: 40 }, (_, i) => (i * 7) % 50))) {
        logprobs.push(...part.logprobs);
      }
      return { logprobs, seen: session.usage.seen, kept: session.usage.kept, context: session.context };
    };
    expect(await score(there)).toEqual(await score(here));
  });

  it("leaves the caller's event loop free during a prefill, and is cancelled from it", async () => {
    const model = await loaded({ backend: "reference" });
    const session = model.session({ context: "recent:512", chunk: 16 });
    const abort = new AbortController();
    let turns = 0;
    let progress = 0;
    const ticking = setInterval(() => turns++, 1);
    const parts = await collect(
      session.generate(new Array(100_000).fill(5), {
        signal: abort.signal,
        onPrefill: (done) => {
          progress = done;
          if (turns > 50) abort.abort();
        },
      }),
    );
    clearInterval(ticking);
    expect(parts.at(-1)?.finish).toBe("cancelled");
    expect(turns).toBeGreaterThan(50);
    expect(progress).toBeLessThan(100_000);
    expect(session.usage.seen).toBeGreaterThanOrEqual(progress);
    expect(await collect(session.generate([5], { maxTokens: 2, ignoreEnd: true }))).toHaveLength(2);
  });

  it("carries typed errors", async () => {
    await expect(load(`${MODEL}.none`)).rejects.toThrow(NotFoundError);
    await expect(load(MODEL, { memoryLimitBytes: 1000 })).rejects.toThrow(MemoryError);
    await expect(load(MODEL, { signal: AbortSignal.abort() })).rejects.toThrow(CancelledError);
    const model = await loaded();
    expect(() => model.session({ context: "recent:x" })).toThrow(PolicyError);
    const session = model.session({ contextLength: 4 });
    await expect(collect(session.generate(PROMPT))).rejects.toThrow(ContextFullError);
    expect(session.usage.seen).toBe(0);
  });

  it("lets the process end while a model is loaded, an iteration open, and nothing pending", async () => {
    const script = `
      import { load } from "sluice";
      const model = await load(${JSON.stringify(MODEL)}, { threads: 2 });
      const session = model.session();
      const parts = session.generate([1, 5], { maxTokens: 50, ignoreEnd: true });
      await parts.next();
      for await (const part of model.session().score([4, 5])) console.log(part.count);
    `;
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script], {
      cwd: ROOT,
      timeout: 60_000,
    });
    expect(stdout).not.toBe("");
  });
});

describe("the package", () => {
  const exported: Record<string, { types: string } | string> = JSON.parse(
    readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
  ).exports;

  const modules = Object.entries(exported).filter(([name]) => !["./package.json", "./engine-thread"].includes(name));

  it.each(modules)("exports %s", async (name, entry) => {
    const exports: object = await import(PACKAGE + name.slice(1));
    expect(Object.keys(exports).length).toBeGreaterThan(0);
    const types = typeof entry === "string" ? "" : entry.types;
    expect(readFileSync(new URL(`../../${types}`, import.meta.url), "utf8")).toContain("export");
  });

  it("has an entry for the engine's thread, which is nothing to import", async () => {
    await expect(import(`${PACKAGE}/engine-thread`)).rejects.toThrow(/import "sluice"/);
  });

  it.each(["index.js", "engine-thread-browser.js"])("reaches nothing of Node from the browser's %s", (entry) => {
    const seen = new Set<string>();
    const foreign = new Set<string>();
    const visit = (url: URL): void => {
      if (seen.has(url.href)) return;
      seen.add(url.href);
      const source = readFileSync(url, "utf8");
      const imports = /^(?:import|export [{*])[^"\n]*"([^"]+)";$|\bimport\("([^"]+)"\)/gm;
      for (const [, still, later] of source.matchAll(imports)) {
        const specifier = still ?? later;
        if (specifier.startsWith(".")) visit(new URL(specifier, url));
        else foreign.add(specifier);
      }
    };
    visit(new URL(`../../dist/${entry}`, import.meta.url));
    expect(seen.size).toBeGreaterThan(20);
    const allowed = ["oniguruma-parser/parser"];
    expect([...foreign].filter((name) => !allowed.includes(name))).toEqual([]);
  });

  it("ships the build, the bundled model with its card and text, examples and docs, and nothing else", async () => {
    const { stdout } = await promisify(execFile)("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
      cwd: ROOT,
    });
    const [{ files }]: [{ files: { path: string }[] }] = JSON.parse(stdout);
    const paths = files.map(({ path }) => path);
    expect(paths).toContain("dist/engine-thread-node.js");
    expect(paths).toContain("dist/cli/main.js");
    const others = paths.filter((path) => !/^(dist|assets|examples)\/|^docs\/[^/]+\.(md|svg)$/.test(path));
    const notices = /^(package\.json|README\.md|CHANGELOG\.md|CONTRIBUTING\.md|LICENSE)$/;
    expect(others.filter((path) => !notices.test(path))).toEqual([]);
    expect(paths.filter((path) => /(^|[/.])(test|bench)[/.]/.test(path))).toEqual([]);
  });
});
