// Measures what training adds to inference: `npm run build`, then `node scripts/bench-training.mjs --products [--threads 1,2]
// [--tokens 4096] [--milliseconds 300]`. Products: GFLOPS of both derivatives of linear, and of cross-entropy with its three
// products, beside the f32 product of the same shapes in inference, in the same run; best of several.
import { parseArgs } from "node:util";
import { createWasmBackend } from "sluice/backends";
import { nodePlatform } from "sluice/platform/node";
import "sluice";

/** [inputs, outputs]; the last is a head. */
const SHAPES = [
  [256, 256],
  [256, 704],
  [192, 512],
  [256, 2048],
];

function readOptions() {
  const { values } = parseArgs({
    options: {
      products: { type: "boolean", default: false },
      threads: { type: "string", default: [...new Set([1, nodePlatform.cores])].join() },
      tokens: { type: "string", default: "4096" },
      milliseconds: { type: "string", default: "300" },
      plain: { type: "boolean", default: false },
    },
  });
  if (!values.products) throw new Error("Say what to measure: --products.");
  return {
    threads: values.threads.split(",").map(Number),
    tokens: Number(values.tokens),
    milliseconds: Number(values.milliseconds),
    plain: values.plain,
  };
}

function weight(ops, rows, cols) {
  const { weight: made, memory } = ops.allocWeight({ name: "w", dtype: "f32", rows, cols });
  const floats = new Float32Array(memory.buffer, memory.byteOffset, rows * cols);
  for (let i = 0; i < floats.length; i++) floats[i] = Math.random() - 0.5;
  return made;
}

/** Seconds of the best run; each is a step of its own, with its inputs made before the clock starts. */
async function fastest(ops, milliseconds, prepare, body) {
  // Of one thread the processor's time counts, so that other load on the machine disturbs less.
  const clock = () => {
    const { user, system } = process.cpuUsage();
    return ops.threads > 1 ? performance.now() : (user + system) / 1000;
  };
  let best = Number.POSITIVE_INFINITY;
  const end = performance.now() + milliseconds;
  for (let run = 0; run < 4 || performance.now() < end; run++) {
    ops.beginStep();
    const input = prepare();
    const mark = ops.empty(1, 1);
    await ops.read(mark);
    const start = clock();
    body(input);
    await ops.read(mark);
    best = Math.min(best, clock() - start);
  }
  return best / 1000;
}

async function measure(ops, { tokens, milliseconds }, [inputs, outputs]) {
  const w = weight(ops, outputs, inputs);
  const tables = { x: weight(ops, tokens, inputs), dy: weight(ops, tokens, outputs) };
  const gradient = ops.kept(outputs, inputs);
  const ids = Int32Array.from({ length: tokens }, (_, row) => row);
  const targets = ids.map((row) => (row * 7919) % outputs);
  const weights = new Float32Array(tokens).fill(1 / tokens);
  const prepare = () => ({
    x: ops.embed(tables.x, ops.input(ids)),
    dy: ops.embed(tables.dy, ops.input(ids)),
    targets: ops.input(targets),
    weights: ops.input(weights),
  });
  const bodies = {
    linear: [1, ({ x }) => ops.linear(x, w)],
    linearInput: [1, ({ dy }) => ops.training.linearInput(dy, w)],
    linearWeight: [1, ({ x, dy }) => ops.training.linearWeight(dy, x, gradient)],
    crossEntropy: [3, (given) => ops.training.crossEntropy({ ...given, head: w, gradients: { head: gradient } })],
  };
  const rates = {};
  for (const [name, [products, body]] of Object.entries(bodies)) {
    const seconds = await fastest(ops, milliseconds, prepare, body);
    rates[name] = (2 * products * tokens * inputs * outputs) / seconds / 1e9;
  }
  gradient.dispose();
  return rates;
}

const options = readOptions();
for (const threads of options.threads) {
  const ops = await createWasmBackend(options.plain ? { threads, relaxed: false } : { threads });
  for (const shape of SHAPES) {
    const rates = await measure(ops, options, shape);
    const parts = Object.entries(rates).map(([name, rate]) => {
      const beside = name === "linear" ? "" : ` (${((100 * rate) / rates.linear).toFixed(0)}%)`;
      return `${name} ${rate.toFixed(1)}${beside}`;
    });
    console.log(`${threads} thread(s), T=${options.tokens}, ${shape.join(" to ")}: ${parts.join(", ")} GFLOPS`);
  }
  await ops.dispose();
}
