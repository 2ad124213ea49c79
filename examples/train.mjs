// Trains the model of tiny.json for a few steps as a library would: node examples/train.mjs
import { mkdtemp, readFile } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import "sluice"; // sets Node's platform
import { createBackend } from "sluice/backends";
import { parseConfig, prepareRun, RunFolder, TrainingRun } from "sluice/train";

const json = JSON.parse(await readFile(new URL("tiny.json", import.meta.url), "utf8"));
// A fifth of the steps, on shorter strings: some seconds.
json.stages = [{ name: "copy", tokens: 120_000, contextLength: 16, batchTokens: 2048 }];
const config = parseConfig(json, "tiny.json");
const folder = new RunFolder(await mkdtemp(join(tmpdir(), "sluice-example-")));
await prepareRun(folder, config, { paths: [] });

const backend = await createBackend("wasm", { threads: availableParallelism() });
const run = await TrainingRun.open(folder, backend, {
  onStep: ({ step, loss }) => {
    if (step % 5 === 0) console.log(`step ${step}: loss ${loss.toFixed(4)}`);
  },
  onEvaluation: ({ results }) => console.log(`${(100 * results.copy.accuracy).toFixed(1)}% of the copies are right`),
});
await run.train();
const { path } = await run.writeModel();
console.log(`${run.trainer.weights.parameters} parameters in ${path}`);
await run.close();
await backend.dispose();
