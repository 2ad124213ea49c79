/**
 * `npm run test:nodes -- [22 24 26 20-plain] [--required]`: the fast tests of backends, context, engine and platform on
 * other versions of Node, which npx fetches, and on Node 20 without relaxed SIMD, where every kernel runs in its plain SIMD
 * build. Prints a line for each and fails when a test does. A version that cannot be fetched is skipped, and its line says
 * so; with --required, or where the environment sets CI, that fails too.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const VITEST = fileURLToPath(new URL("../node_modules/vitest/vitest.mjs", import.meta.url));
const FOLDERS = ["test/backends", "test/context", "test/engine", "test/models", "test/platform"];
const FETCH_MS = 120_000;
const TESTS_MS = 600_000;

/** Relaxed SIMD needs a flag on Node 20 only, so only there can it be left off. */
const RUNS = [
  { name: "22", major: 22, simd: "relaxed" },
  { name: "24", major: 24, simd: "relaxed" },
  { name: "26", major: 26, simd: "relaxed" },
  { name: "20-plain", major: 20, simd: "plain" },
];

/** Starts a program to its end; its output is kept. */
function start(program, args, timeout, env = {}) {
  const options = { cwd: ROOT, encoding: "utf8", timeout, maxBuffer: 2 ** 28, env: { ...process.env, ...env } };
  return spawnSync(program, args, options);
}

/** The program of that version: this one, or npx's. Undefined when it cannot be had. */
function nodeOf(major) {
  if (Number(process.versions.node.split(".")[0]) === major) {
    return { path: process.execPath, version: process.versions.node };
  }
  const say = "JSON.stringify({ path: process.execPath, version: process.versions.node })";
  const { status, stdout } = start("npx", ["--yes", `--package=node@${major}`, "node", "-p", say], FETCH_MS);
  if (status !== 0) return undefined;
  const found = JSON.parse(stdout.trim().split("\n").at(-1));
  // When the package is there without its program, npx falls back to the Node that is installed.
  return found.version.startsWith(`${major}.`) ? found : undefined;
}

/** Runs the tests on that Node. @returns whether they passed, and a summary */
function test(node, simd) {
  const folder = mkdtempSync(join(tmpdir(), "sluice-nodes-"));
  try {
    const report = join(folder, "report.json");
    const args = [VITEST, "run", "--project", "fast", ...FOLDERS];
    const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
    const started = performance.now();
    const run = start(node.path, [...args, ...reporters], TESTS_MS, { SLUICE_TEST_SIMD: simd, NO_COLOR: "1" });
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    if (run.status !== 0) {
      process.stdout.write(`${run.stdout ?? ""}${run.stderr ?? ""}`);
      return { passed: false, summary: `FAILED after ${seconds} s (${run.error?.code ?? `exit ${run.status}`})` };
    }
    const { numPassedTests, numPendingTests } = JSON.parse(readFileSync(report, "utf8"));
    return { passed: true, summary: `${numPassedTests} tests passed, ${numPendingTests} skipped, ${seconds} s` };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const given = process.argv.slice(2);
const wanted = given.filter((name) => name !== "--required");
const required = given.length > wanted.length || Boolean(process.env.CI);
const unknown = wanted.find((name) => RUNS.every((run) => run.name !== name));
if (unknown !== undefined) {
  console.error(`Expected versions of ${RUNS.map(({ name }) => name).join(", ")}, or --required; found '${unknown}'.`);
  process.exit(2);
}
for (const { name, major, simd } of RUNS) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const node = nodeOf(major);
  const { passed, summary } = node
    ? test(node, simd)
    : { passed: !required, summary: `${required ? "FAILED" : "SKIPPED"}: npx could not fetch this version` };
  console.log(`node ${node?.version ?? major}, ${simd} SIMD: ${summary}`);
  if (!passed) process.exitCode = 1;
}
