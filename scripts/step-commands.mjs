/**
 * `node scripts/step-commands.mjs` (after `npm run build`): the commands of one decode step of a small llama on the Wasm
 * backend, by opcode, for 1, 2, 8 and 32 sequences, and how often threads meet between them. The model is made here, with
 * seeded numbers; what it says does not matter. A layer of a step is a few commands however many sequences take part: with
 * 32 there should be at most twice those of one.
 */
import { parseArgs } from "node:util";
import "sluice";
import { createWasmBackend } from "sluice/backends";
import { parsePolicy, SequenceMemory } from "sluice/context";
import { Decoder, Weights, weightUses } from "sluice/nn";
import { quantiseRow } from "sluice/quant";
import { defineModel } from "sluice/train";
import { StepRunner } from "../dist/engine/step/step-runner.js";
import { rowBytes } from "../dist/tensor/dtype.js";
import { OPCODE_NAMES } from "./lib/opcodes.mjs";

const HELP = `node scripts/step-commands.mjs [options]: commands of a decode step by opcode
  --sequences LIST  how many sequences a step has (1,2,8,32)
  --layers N        of the model (6)
  --weights TYPE    of its matrices, e.g. f32 or q4_0 (q8_0)
  --policy TEXT     of all sequences (full)
  --past N          tokens that the first sequence has read before, each next one has one more (40)
  --json            one object on standard output
  --help`;

const { values: options } = parseArgs({
  options: {
    sequences: { type: "string", default: "1,2,8,32" },
    layers: { type: "string", default: "6" },
    weights: { type: "string", default: "q8_0" },
    policy: { type: "string", default: "full" },
    past: { type: "string", default: "40" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

const VOCABULARY = 96;
const CONTEXT = 1024;
/** MEET_BEFORE in kernels/abi.ts. */
const MEET_BEFORE = 2;

function whole(option) {
  const numbers = options[option].split(",").map(Number);
  if (numbers.every((number) => Number.isInteger(number) && number > 0)) return numbers;
  throw new Error(`--${option} takes whole numbers above zero, not "${options[option]}".`);
}

function llama(layers) {
  const keys = {
    context_length: CONTEXT,
    embedding_length: 64,
    block_count: layers,
    feed_forward_length: 160,
    "attention.head_count": 4,
    "attention.head_count_kv": 2,
    "attention.layer_norm_rms_epsilon": 1e-5,
    "rope.dimension_count": 16,
  };
  const config = { architecture: "llama", keys, tied: false, sinks: "none", tensors: "" };
  return defineModel("step-commands", config, VOCABULARY).spec;
}

/** Weights whose numbers are small and all different. */
function load(backend, spec, dtype) {
  const byName = new Map();
  let drawn = 1;
  for (const { name, ref, layer } of weightUses(spec)) {
    const { rows, cols, exact } = ref;
    const type = exact || cols % 32 > 0 ? "f32" : dtype;
    const slot = backend.allocWeight({ name, dtype: type, rows, cols, layer });
    const stride = rowBytes(type, cols);
    const stored = new Uint8Array(rows * stride);
    for (let row = 0; row < rows; row++) {
      const numbers = Float32Array.from({ length: cols }, () => {
        drawn = (drawn * 48271) % 2147483647;
        return (exact ? 1 : 0) + (drawn / 2147483647 - 0.5) / 4;
      });
      quantiseRow(type, numbers, stored, row * stride, cols);
    }
    slot.write(0, stored);
    byName.set(name, slot.weight);
  }
  backend.weightsLoaded();
  return byName;
}

/** Commands by opcode, and meetings, of a step in which each of `count` sequences reads one token. */
async function countStep(runner, count, past) {
  const settings = { policy: parsePolicy(options.policy), keyType: "f16", valueType: "f16", limit: CONTEXT };
  const states = Array.from(
    { length: count },
    () => new SequenceMemory(runner.backend, runner.decoder.shapes, settings),
  );
  for (const [index, state] of states.entries()) {
    await runner.run(state, new Int32Array(past + index).fill(1 + index), "last", () => undefined);
  }
  const commands = new Map();
  let meetings = 0;
  runner.backend.watchCommands((opcode, flags) => {
    const name = OPCODE_NAMES.get(opcode);
    commands.set(name, (commands.get(name) ?? 0) + 1);
    if (flags & MEET_BEFORE) meetings++;
  });
  const ids = Int32Array.of(5);
  const outcomes = await runner.step(states.map((state) => ({ state, ids, wanted: "last", use: () => undefined })));
  runner.backend.watchCommands(undefined);
  const failed = outcomes.find(({ status }) => status === "rejected");
  if (failed) throw failed.reason;
  for (const state of states) state.dispose();
  const total = [...commands.values()].reduce((sum, number) => sum + number, 0);
  return { sequences: count, total, meetings, commands: Object.fromEntries([...commands].sort()) };
}

function table(steps) {
  const names = [...new Set(steps.flatMap(({ commands }) => Object.keys(commands)))].sort();
  const line = (name, cells) => name.padEnd(18) + cells.map((cell) => String(cell).padStart(9)).join("");
  return [
    line(
      "sequences",
      steps.map(({ sequences }) => sequences),
    ),
    ...names.map((name) =>
      line(
        name,
        steps.map(({ commands }) => commands[name] ?? 0),
      ),
    ),
    line(
      "all",
      steps.map(({ total }) => total),
    ),
    line(
      "of the first",
      steps.map(({ total }) => (total / steps[0].total).toFixed(2)),
    ),
    line(
      "meetings",
      steps.map(({ meetings }) => meetings),
    ),
  ].join("\n");
}

if (options.help) console.log(HELP);
else {
  const [counts, [layers], [past]] = ["sequences", "layers", "past"].map(whole);
  // Two threads, and all work shared, so that every meeting shows.
  const backend = await createWasmBackend({ threads: 2, parallelNs: 0 });
  const spec = llama(layers);
  const runner = new StepRunner(backend, new Decoder(spec, new Weights(load(backend, spec, options.weights))));
  const steps = [];
  for (const count of counts) steps.push(await countStep(runner, count, past));
  console.log(options.json ? JSON.stringify({ ...options, steps }) : table(steps));
  await backend.dispose();
}
