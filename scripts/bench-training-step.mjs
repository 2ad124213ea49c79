// Where the time of a training step goes: `npm run build`, then `node scripts/bench-training-step.mjs [--threads 1,2]
// [--shape 4x512] [--passes 8] [--checkpointing] [--summary]`. The model has the bundled one's shape
// (assets/sluice-tiny.json). Prints milliseconds of a pass and of the optimizer, tokens/s, memory, and, in passes of their
// own, milliseconds by command, those of the median pass; with one thread all are processor time.
import { parseArgs } from "node:util";
import { commandTimes } from "../bench/lib/command-times.mjs";
import { median } from "../bench/lib/report.mjs";
import { createSluiceLlama } from "../bench/lib/sluice-llama.mjs";
import { ADAMW, batchOf } from "../bench/lib/training.mjs";

const MODEL = { vocabulary: 2048, width: 192, layers: 6, heads: 6, kvHeads: 3, hidden: 512 };

const { values } = parseArgs({
  options: {
    threads: { type: "string", default: "1,2" },
    shape: { type: "string", default: "4x512,1x2048" },
    passes: { type: "string", default: "8" },
    checkpointing: { type: "boolean", default: false },
    /** Without the times by command. */
    summary: { type: "boolean", default: false },
  },
});
const PASSES = Number(values.passes);

async function measure(threads, batch, sequence) {
  const shape = { ...MODEL, batch, sequence };
  const llama = await createSluiceLlama({ shape, threads, checkpointing: values.checkpointing });
  const clock = () => {
    if (threads > 1) return performance.now();
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  };
  const learn = (i) => llama.learn(batchOf(shape, i));
  // The arenas grow in the first pass and are joined in the second.
  for (let i = 0; i < 3; i++) await learn(i);
  const passes = [];
  const cpu = [];
  for (let i = 0; i < PASSES; i++) {
    const before = process.cpuUsage();
    const start = clock();
    await learn(i);
    passes.push(clock() - start);
    const { user, system } = process.cpuUsage(before);
    cpu.push((user + system) / 1000);
  }
  const updates = [];
  for (let i = 0; i < 4; i++) {
    const start = clock();
    await llama.trained.update({ ...ADAMW, epsilon: ADAMW.stabiliser, clip: 1, step: i + 1 });
    await llama.trained.settle();
    updates.push(clock() - start);
  }
  const [least, ms, update] = [Math.min(...passes), median(passes), median(updates)];
  console.log(
    `\nthreads ${threads}, ${batch} x ${sequence}: pass ${ms.toFixed(1)} ms (least ${least.toFixed(1)}; processor ` +
      `${median(cpu).toFixed(1)}), update ${update.toFixed(1)} ms, ` +
      `${((batch * sequence * 1000) / ms).toFixed(0)} tokens/s, ${(llama.backend.memoryBytes / 2 ** 20).toFixed(0)} MiB`,
  );
  if (!values.summary) await printCommands(llama, learn, clock);
  await llama.backend.dispose();
}

async function printCommands({ backend, trained }, learn, clock) {
  const runs = [];
  const body = async (i) => {
    await learn(i);
    await trained.update({ ...ADAMW, epsilon: ADAMW.stabiliser, clip: 1, step: i + 1, rate: 0 });
    await trained.settle();
  };
  for (let i = 0; i < PASSES; i++) {
    runs.push(await commandTimes(backend, () => body(i), { clock }));
  }
  const names = [...runs[0].keys()];
  const sums = names.map((name) => {
    const { count, alone, flops } = runs[0].get(name);
    return { name, count, alone, flops, ms: median(runs.map((run) => run.get(name).ms)) };
  });
  const total = sums.reduce((sum, { ms }) => sum + ms, 0);
  for (const { name, count, alone, flops, ms } of sums.sort((a, b) => b.ms - a.ms)) {
    const share = ((100 * ms) / total).toFixed(1);
    const rate = flops > 0 ? `  ${(flops / ms / 1e6).toFixed(1)} GFLOPS` : "";
    console.log(
      `  ${name.padEnd(18)} ${ms.toFixed(2).padStart(8)} ms ${share.padStart(5)}%  ${String(count).padStart(4)} commands, ` +
        `${alone} on one thread${rate}`,
    );
  }
  console.log(`  ${"all".padEnd(18)} ${total.toFixed(2).padStart(8)} ms`);
}

for (const shape of values.shape.split(",")) {
  const [batch, sequence] = shape.split("x").map(Number);
  for (const threads of values.threads.split(",").map(Number)) await measure(threads, batch, sequence);
}
