/**
 * Whether compiling the wide module (docs/architecture.md, "256-bit vectors") is safe in this version of Node:
 * `node scripts/wide-trial.mjs [--processes 40] [--path PATH] [--model FILE]`. Many fresh processes load a quantised model and
 * read a prompt. Every process must end well, and all must write the same. To be run whenever the module, the flags or V8
 * change, on every path by which the module is made:
 *
 * - `default`: `load` alone, while a thread compiles and runs the other kernels all the time. The module is made in Node 24.
 * - `early`: `enableWideVectors` first, under its conditions: that thread begins when it has answered. Node 24 and 26.
 * - `beside`: the same against its conditions: that thread runs before. Proves nothing that is promised.
 * - `cli`: the command line, `sluice run`.
 *
 * With SLUICE_WIDE=0 in the environment the same in 128 bits, to compare. Build first.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker } from "node:worker_threads";

const MODEL = fileURLToPath(new URL("../../shared/golden/llama-q4_0.gguf", import.meta.url));
const CLI = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const PATHS = ["default", "early", "beside", "cli"];
const ENDED = "ended with";
const KERNELS = new URL("../src/backends/wasm/generated/kernels.ts", import.meta.url);
const PROMPT = Array.from({ length: 300 }, (_, i) => (i * 7 + 3) % 300);

/** Compiles the other kernels again and again: a custom section makes each module new to V8's cache. */
function compileForever() {
  const source = readFileSync(KERNELS, "utf8");
  const bytesOf = (name) => Buffer.from(new RegExp(`${name} =\\s*"([^"]+)"`).exec(source)[1], "base64");
  const builds = [bytesOf("RELAXED"), bytesOf("PLAIN")];
  parentPort.postMessage("compiling");
  for (let turn = 0; ; turn++) {
    for (const build of builds) {
      const salt = Buffer.from([0, 6, 1, 0x78, turn & 255, turn >> 8, process.pid & 255, (process.pid >> 8) & 255]);
      const module = new WebAssembly.Module(Buffer.concat([build, salt]));
      const memory = new WebAssembly.Memory({ initial: 64, maximum: 65536, shared: true });
      const { exports } = new WebAssembly.Instance(module, { env: { memory } });
      const words = new Int32Array(memory.buffer);
      // Arguments of map at 1,024: enough work for the optimising compiler to take it up.
      words.set([65536, 131072, 196608, 8192, 0], 256);
      for (let i = 0; i < 300; i++) exports.map(1024, 0, 1);
    }
  }
}

/** A thread that compiles, some time after it began. */
async function startBusy() {
  const busy = new Worker(new URL(import.meta.url));
  await new Promise((resolve) => busy.once("message", resolve));
  await new Promise((resolve) => setTimeout(resolve, Math.random() * 60));
}

async function one(path, threads, thread, file) {
  if (path !== "early") await startBusy();
  const { enableWideVectors, load } = await import("sluice");
  const wide = path === "default" ? undefined : await enableWideVectors();
  if (path === "early") await startBusy();
  const model = await load(file, { threads, thread });
  const session = model.session({ contextLength: 600 });
  const ids = [];
  for await (const { id } of session.generate(PROMPT, { maxTokens: 4, temperature: 0, ignoreEnd: true })) ids.push(id);
  const said = wide ? `, 256 bits ${wide.on ? "on" : `off: ${wide.reason}`}` : "";
  process.stdout.write(`ids ${ids.join()}${said}`);
  process.exit(0);
}

/** What one process of a path is started with. */
function argumentsOf(path, i, model) {
  const threads = String(1 + (i & 1));
  if (path !== "cli") return [fileURLToPath(import.meta.url), "one", path, threads, String((i & 2) > 0), model];
  const options = [
    "--prompt",
    PROMPT.slice(0, 90).join(" "),
    "--max-tokens",
    "4",
    "--temperature",
    "0",
    "--threads",
    threads,
  ];
  return [CLI, "run", model, ...options];
}

function trial() {
  const { values } = parseArgs({
    options: {
      processes: { type: "string", default: "40" },
      path: { type: "string", default: "default" },
      model: { type: "string", default: MODEL },
    },
  });
  const { path, model } = values;
  if (!PATHS.includes(path)) throw new Error(`--path: expected ${PATHS.join(", ")}; found '${path}'.`);
  if (!existsSync(model)) throw new Error(`There is no ${model}: give --model FILE, a quantised one.`);
  const answers = new Map();
  for (let i = 0; i < Number(values.processes); i++) {
    const { status, signal, stdout } = spawnSync(process.execPath, argumentsOf(path, i, model), {
      encoding: "utf8",
      timeout: 60_000,
    });
    const answer = status === 0 && stdout !== "" ? stdout.trim() : `${ENDED} ${signal ?? `status ${status}`}`;
    answers.set(answer, (answers.get(answer) ?? 0) + 1);
  }
  console.log(`Node ${process.versions.node}, V8 ${process.versions.v8}, path ${path}`);
  for (const [answer, count] of answers) console.log(`${count} processes: ${answer}`);
  process.exitCode = answers.size === 1 && ![...answers.keys()][0].startsWith(ENDED) ? 0 : 1;
}

if (!isMainThread) compileForever();
else if (process.argv[2] === "one") {
  const [path, threads, thread, file] = process.argv.slice(3);
  await one(path, Number(threads), thread === "true", file);
} else trial();
