/**
 * The wide module in real processes of Node 24 and 26, of the built package: V8 takes up every function of it while the flag
 * is on, the command line turns it on by itself, and a program that was late is told so.
 */
import { execFileSync, type StdioOptions } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { describe, expect, test } from "vitest";
import { WIDE } from "../../src/backends/wasm/generated/kernels.js";
import { tinyFile } from "../support/tiny-gguf.js";

const { arch, env, versions } = process;
const isNode26 = versions.v8.startsWith("14.6.");
const widens = arch === "x64" && (isNode26 || versions.v8.startsWith("13.6.")) && env.SLUICE_WIDE !== "0";
const dist = (path: string) => new URL(`../../dist/${path}`, import.meta.url).href;

/** What a fresh process writes that runs this module: into a file, since V8's own lines get lost where a pipe is full. */
function output(script: string, options: readonly string[] = []): string {
  const folder = mkdtempSync(join(tmpdir(), "sluice-wide-"));
  const path = join(folder, "out");
  const file = openSync(path, "w");
  try {
    const stdio: StdioOptions = ["ignore", file, "inherit"];
    execFileSync(process.execPath, [...options, "--input-type=module", "--eval", script], { stdio, timeout: 60_000 });
    return readFileSync(path, "utf8");
  } finally {
    closeSync(file);
    rmSync(folder, { recursive: true });
  }
}

/** How many functions a module has of its own: the count that its section 3 begins with. */
function functionsOf(bytes: Uint8Array): number {
  let at = 8;
  const word = () => {
    for (let value = 0, shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  for (;;) {
    const [section, length] = [bytes[at++], word()];
    if (section === 3) return word();
    at += length;
  }
}

const ENABLE = `
  import { setFlagsFromString } from "node:v8";
  setFlagsFromString("--trace-wasm-compilation-times");
  setFlagsFromString("--trace-wasm-revectorize");
  const { enableWideVectors } = await import("${dist("index-node.js")}");
  const wide = await enableWideVectors();
  setFlagsFromString("--no-trace-wasm-compilation-times");
  console.log(JSON.stringify(wide));
`;

describe.skipIf(!widens)("the wide module", () => {
  const model = tinyFile();

  test("V8 optimises each of its functions while it is tried, and most to 256-bit vectors", () => {
    const trace = output(ENABLE);
    expect(trace).toContain('{"on":true}');
    const optimised = new Set([...trace.matchAll(/#(\d+) using TurboFan/g)].map(([, index]) => Number(index)));
    const count = functionsOf(Buffer.from(WIDE, "base64"));
    expect(count).toBeGreaterThan(15);
    expect([...optimised].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
    const joined = trace.match(/Decided? to vectorize/g)?.length ?? 0;
    expect(joined).toBeGreaterThan(count / 2);
  });

  test("the command line has it before its first model", () => {
    const script = `
      const { nodeRuntime } = await import("${dist("cli/runtime-node.js")}");
      const model = await nodeRuntime.load(${JSON.stringify(model)}, { threads: 1 });
      const { enableWideVectors } = await import("${dist("index-node.js")}");
      console.log(JSON.stringify(await enableWideVectors()));
      await model.dispose();
    `;
    expect(output(script)).toBe('{"on":true}\n');
  });

  test.each([
    ["asks first", "await enableWideVectors();", true],
    ["loads first", "", !isNode26],
    [
      "forbids it in its first load",
      "const first = await load(file, { wide: false }); await first.dispose();",
      !isNode26,
    ],
  ])("a program that %s", (_name, before, on) => {
    const script = `
      const { enableWideVectors, load } = await import("${dist("index-node.js")}");
      const file = ${JSON.stringify(model)};
      ${before}
      const model = await load(file, { threads: 1 });
      const { on, reason } = await enableWideVectors();
      console.log(JSON.stringify([on, reason ?? null]));
      await model.dispose();
    `;
    expect(output(script)).toBe(`${JSON.stringify([on, on ? null : "late"])}\n`);
  });
});

test("the cookbook's piece runs on every version, and says whether they are on", () => {
  const cookbook = readFileSync(new URL("../../docs/cookbook.md", import.meta.url), "utf8");
  const pieces = [...cookbook.matchAll(/```js\n([\s\S]*?)```/g)].map(([, piece]) => piece);
  const piece = pieces.find((one) => one.includes("enableWideVectors"));
  if (piece === undefined) throw new Error("The cookbook has no piece with enableWideVectors.");
  const script = piece
    .replace('"sluice"', `"${dist("index-node.js")}"`)
    .replace('"model.gguf"', JSON.stringify(tinyFile()));
  const says =
    "console.log(JSON.stringify([wide.on, typeof wide.reason, typeof wide.message])); await model.dispose();";
  const expected = widens ? [true, "undefined", "undefined"] : [false, "string", "string"];
  expect(output(`${script}\n${says}`)).toBe(`${JSON.stringify(expected)}\n`);
});

test("without WebAssembly the answer is no, and a model says what is missing", () => {
  const script = `
    const { enableWideVectors, load } = await import("${dist("index-node.js")}");
    const { on, reason } = await enableWideVectors();
    const code = await load(${JSON.stringify(tinyFile())}, { thread: false }).catch((error) => error.code);
    console.log(JSON.stringify([on, reason, code]));
  `;
  expect(output(script, ["--jitless"])).toBe(`${JSON.stringify([false, "runtime", "unsupported"])}\n`);
});
