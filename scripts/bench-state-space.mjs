// Convolution and scan of state-space layers beside the matrix products of the same layer, microseconds a layer, best of
// several runs; the layers together as in a model, so that decoding reads them from memory.
// npm run build, then: node scripts/bench-state-space.mjs [threads] [format of the products]
import { createWasmBackend } from "sluice/backends";
import { nodePlatform } from "sluice/platform/node";
import { DTYPES, rowBytes } from "sluice/tensor";
import "sluice";

const threads = Number(process.argv[2] ?? nodePlatform.cores);
const format = process.argv[3] ?? "q8_0";
const LAYERS = 24;

/** The shapes of the 130M models: heads, their width, states, groups; and the products of a layer, [in, out]. */
const SHAPES = [
  {
    name: "mamba-130m",
    ...{ heads: 1536, width: 1, states: 16, decays: 16, convolved: 1536 },
    products: [
      [768, 3072],
      [1536, 80],
      [48, 1536],
      [1536, 768],
    ],
  },
  {
    name: "mamba2-130m",
    ...{ heads: 24, width: 64, states: 128, decays: 1, convolved: 1792 },
    products: [
      [768, 3352],
      [1536, 768],
    ],
  },
];

async function best(runs, body) {
  let least = Number.POSITIVE_INFINITY;
  for (let run = 0; run < runs; run++) {
    const start = performance.now();
    await body();
    least = Math.min(least, performance.now() - start);
  }
  return least;
}

function fill(ops, rows, cols, value = () => Math.random() * 2 - 1) {
  const { weight, memory } = ops.allocWeight({ name: "x", dtype: "f32", rows, cols });
  const floats = new Float32Array(memory.buffer, memory.byteOffset, rows * cols);
  for (let i = 0; i < floats.length; i++) floats[i] = value();
  return weight;
}

/** Small scales of random blocks do not matter here, but no NaN may come up. */
function matrix(ops, rows, cols) {
  const dtype = cols % DTYPES[format].blockSize === 0 ? format : "f32";
  const { weight, memory } = ops.allocWeight({ name: "w", dtype, rows, cols });
  memory.fill(0x11, 0, rows * rowBytes(dtype, cols));
  return weight;
}

async function measure({ heads, width, states, decays, convolved, products }, rows) {
  const ops = await createWasmBackend({ threads });
  const channels = heads * width;
  const layers = Array.from({ length: LAYERS }, () => ({
    kernel: fill(ops, convolved, 4),
    bias: fill(ops, 1, convolved),
    inputs: [ops.kept(3, convolved), ops.kept(3, convolved)],
    a: fill(ops, heads, decays, () => -8 * Math.random()),
    skip: fill(ops, 1, heads),
    states: [ops.kept(channels, states), ops.kept(channels, states)],
    matrices: products.map(([inputs, outputs]) => matrix(ops, outputs, inputs)),
  }));
  const tables = new Map(
    [convolved, channels, heads, states, ...products.map(([i]) => i)].map((n) => [n, fill(ops, rows, n)]),
  );
  ops.weightsLoaded();
  let turn = 0;
  const step = async (body) => {
    ops.beginStep();
    turn ^= 1;
    const ids = ops.input(Int32Array.from({ length: rows }, (_, i) => i));
    const tensors = new Map([...tables].map(([n, table]) => [n, ops.embed(table, ids)]));
    let out = tensors.get(channels);
    for (const layer of layers) out = body(layer, tensors) ?? out;
    await ops.read(out);
  };
  const bodies = {
    convolution: (layer, x) =>
      ops.convolution({
        ...{ x: x.get(convolved), kernel: layer.kernel, bias: layer.bias },
        ...{ before: layer.inputs[turn], after: layer.inputs[1 - turn] },
      }),
    scan: (layer, x) =>
      ops.scan({
        ...{ x: x.get(channels), dt: x.get(heads), a: layer.a, b: x.get(states), c: x.get(states), skip: layer.skip },
        ...{ before: layer.states[turn], after: layer.states[1 - turn] },
      }),
    products: (layer, x) => {
      let out;
      layer.matrices.forEach((matrix, i) => {
        out = ops.linear(x.get(products[i][0]), matrix);
      });
      return out;
    },
    nothing: () => undefined,
  };
  const times = {};
  for (const [name, body] of Object.entries(bodies)) times[name] = await best(rows === 1 ? 100 : 12, () => step(body));
  await ops.dispose();
  return Object.fromEntries(Object.entries(times).map(([name, ms]) => [name, ((ms - times.nothing) * 1000) / LAYERS]));
}

for (const shape of SHAPES) {
  for (const rows of [1, 256]) {
    const { convolution, scan, products } = await measure(shape, rows);
    console.log(
      `${shape.name.padEnd(11)} ${String(rows).padStart(3)} rows, ${threads} threads: convolution ${convolution.toFixed(1)} us, ` +
        `scan ${scan.toFixed(1)} us, products (${format}) ${products.toFixed(1)} us`,
    );
  }
}
