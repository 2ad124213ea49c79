/**
 * `npm run test:nodes -- [22 24 26 20-plain] [--form FORM] [--all] [--required]`: the fast tests of backends and platform on other
 * versions of Node, which npx fetches, and on Node 20 without relaxed SIMD, where every kernel runs in its plain SIMD build,
 * since versions differ in what V8 makes of kernels; with --all those of context, engine and models too;
 * then, but on 22 only with --all, the wide module as V8 makes it there, and the tiny quantised models in every form that the
 * machine computes exactly. Prints a line for each and fails when a test does. --form runs all of it in one form (SLUICE_FORM in
 * CONTRIBUTING.md). A version that cannot be fetched is skipped, and its line says so; with --required, or where the
 * environment sets CI, that fails too. Build first.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const VITEST = fileURLToPath(new URL("../node_modules/vitest/vitest.mjs", import.meta.url));
const FOLDERS = ["test/backends", "test/platform"];
const ABOVE = ["test/context", "test/engine", "test/models"];
/** Those of the built package that belong to a version. */
const FULL = ["test/platform/wide-functions.full.test.ts", "test/golden/forms.full.test.ts"];
const FETCH_MS = 120_000;
const TESTS_MS = 600_000;

/** Its V8 has no wide module, and picks the forms that Node 20 picks, which the main run tests: the built package only with --all. */
const AS_THE_MAIN_RUN = "22";

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

/** Runs the tests of a project on that Node. @returns how many passed and were skipped, or how the run failed */
function testProject(node, project, files, env) {
  const folder = mkdtempSync(join(tmpdir(), "sluice-nodes-"));
  try {
    const report = join(folder, "report.json");
    const args = [VITEST, "run", "--project", project, ...files];
    const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
    const run = start(node.path, [...args, ...reporters], TESTS_MS, env);
    if (run.status !== 0) {
      process.stdout.write(`${run.stdout ?? ""}${run.stderr ?? ""}`);
      return { failure: `${run.error?.code ?? `exit ${run.status}`}` };
    }
    const { numPassedTests, numPendingTests } = JSON.parse(readFileSync(report, "utf8"));
    return { passed: numPassedTests, skipped: numPendingTests };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs the tests on that Node, `full`: those of the built package too. @returns whether they passed, and a summary */
function test(node, simd, form, folders, full) {
  const env = { SLUICE_TEST_SIMD: simd, NO_COLOR: "1", ...(form !== undefined && { SLUICE_FORM: form }) };
  const started = performance.now();
  const results = [testProject(node, "fast", folders, env)];
  if (full) results.push(testProject(node, "full", FULL, env));
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  const failure = results.find((result) => result.failure !== undefined)?.failure;
  if (failure !== undefined) return { passed: false, summary: `FAILED after ${seconds} s (${failure})` };
  const sum = (key) => results.reduce((all, result) => all + result[key], 0);
  return { passed: true, summary: `${sum("passed")} tests passed, ${sum("skipped")} skipped, ${seconds} s` };
}

/** Ends with exit code 2 for a wrong command line. */
function readOptions() {
  const names = RUNS.map(({ name }) => name).join(", ");
  try {
    const { values, positionals } = parseArgs({
      options: {
        required: { type: "boolean", default: false },
        all: { type: "boolean", default: false },
        form: { type: "string" },
      },
      allowPositionals: true,
    });
    const unknown = positionals.find((name) => RUNS.every((run) => run.name !== name));
    if (unknown === undefined) return { ...values, wanted: positionals };
    console.error(`Expected versions of ${names}, --form FORM, --all or --required; found '${unknown}'.`);
  } catch (error) {
    console.error(`${error.message} Expected versions of ${names}, --form FORM, --all or --required.`);
  }
  process.exit(2);
}

const { wanted, form, all, required: asked } = readOptions();
const required = asked || Boolean(process.env.CI);
for (const { name, major, simd } of RUNS) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const node = nodeOf(major);
  const { passed, summary } = node
    ? test(node, simd, form, all ? [...FOLDERS, ...ABOVE] : FOLDERS, all || name !== AS_THE_MAIN_RUN)
    : { passed: !required, summary: `${required ? "FAILED" : "SKIPPED"}: npx could not fetch this version` };
  console.log(`node ${node?.version ?? major}, ${simd} SIMD${form === undefined ? "" : `, ${form}`}: ${summary}`);
  if (!passed) process.exitCode = 1;
}
