/**
 * Whether compiling the wide module (docs/architecture.md, "256-bit vectors") is safe in this version of Node:
 * `node scripts/wide-trial.mjs [--processes 40] [--model FILE]`. Many fresh processes load a quantised model and read a
 * prompt while a thread of theirs compiles and runs the other kernels all the time. Every process must end well, and all must
 * write the same ids. To be run whenever the module, the flags or V8 change. Build first.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker } from "node:worker_threads";

const MODEL = fileURLToPath(new URL("../../shared/golden/llama-q4_0.gguf", import.meta.url));
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

async function one(threads, thread, file) {
  const busy = new Worker(new URL(import.meta.url));
  await new Promise((resolve) => busy.once("message", resolve));
  await new Promise((resolve) => setTimeout(resolve, Math.random() * 60));
  const { load } = await import("sluice");
  const model = await load(file, { threads, thread });
  const session = model.session({ contextLength: 600 });
  const ids = [];
  for await (const { id } of session.generate(PROMPT, { maxTokens: 4, temperature: 0, ignoreEnd: true })) ids.push(id);
  process.stdout.write(`ids ${ids.join()}`);
  process.exit(0);
}

function trial() {
  const { values } = parseArgs({
    options: { processes: { type: "string", default: "40" }, model: { type: "string", default: MODEL } },
  });
  if (!existsSync(values.model)) throw new Error(`There is no ${values.model}: give --model FILE, a quantised one.`);
  const answers = new Map();
  for (let i = 0; i < Number(values.processes); i++) {
    const args = [fileURLToPath(import.meta.url), "one", String(1 + (i & 1)), String((i & 2) > 0), values.model];
    const { status, signal, stdout } = spawnSync(process.execPath, args, { encoding: "utf8", timeout: 60_000 });
    const answer = status === 0 ? stdout : `ended with ${signal ?? `status ${status}`}`;
    answers.set(answer, (answers.get(answer) ?? 0) + 1);
  }
  for (const [answer, count] of answers) console.log(`${count} processes: ${answer}`);
  process.exitCode = answers.size === 1 && [...answers.keys()][0].startsWith("ids") ? 0 : 1;
}

if (!isMainThread) compileForever();
else if (process.argv[2] === "one") await one(Number(process.argv[3]), process.argv[4] === "true", process.argv[5]);
else trial();
