// Attention and small operations of the Wasm backend: cache bytes and arithmetic per second, best of several runs.
// npm run build, then: node scripts/bench-attention.mjs [threads] [plain] [softcap] [linear | table] [sinks] [multi-head | long]
// multi-head: only the shape without groups, one row, f16; long: only the first shape, one row
// at 32,768 tokens, no f32. SLUICE_FORM=128 for vectors of 128 bits.

import { enableWideVectors } from "sluice";
import { createWasmBackend } from "sluice/backends";
import { nodePlatform } from "sluice/platform/node";

await enableWideVectors();
const threads = Number(process.argv[2] ?? nodePlatform.cores);
const options = new Set(process.argv.slice(3));
const relaxed = options.has("plain") ? false : undefined;

/** 1.1B llama: 4 KV heads of 64 with 8 query heads each; 0.5B qwen: 2 with 7; 7B llama: 32 heads of 128. */
const SHAPES = [
  { name: "4 x 8 heads of 64", kvHeads: 4, group: 8, width: 64 },
  { name: "2 x 7 heads of 64", kvHeads: 2, group: 7, width: 64 },
  { name: "8 x 4 heads of 128", kvHeads: 8, group: 4, width: 128 },
  { name: "32 x 1 heads of 128", kvHeads: 32, group: 1, width: 128 },
];

/** Milliseconds. With one thread it is CPU time, which a busy machine disturbs less. */
function now() {
  if (threads > 1) return performance.now();
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

async function best(runs, body) {
  let least = Number.POSITIVE_INFINITY;
  for (let run = 0; run < runs; run++) {
    const start = now();
    await body();
    least = Math.min(least, now() - start);
  }
  return least;
}

function fill(ops, rows, cols) {
  const { weight, memory } = ops.allocWeight({ name: "x", dtype: "f32", rows, cols });
  const floats = new Float32Array(memory.buffer, memory.byteOffset, rows * cols);
  for (let i = 0; i < floats.length; i++) floats[i] = Math.random() * 2 - 1;
  return weight;
}

/** What the options ask of a call with these heads, whose queries are the last `rows` of `tokens`. */
function extras(ops, heads, tokens, rows, table) {
  const places = ops.input(Int32Array.from({ length: rows }, (_, t) => tokens - rows + t));
  const slopes = ops.input(Float32Array.from({ length: heads }, (_, h) => 2 ** (-8 * ((h + 1) / heads))));
  const buckets = ops.input(Int32Array.from({ length: 257 }, (_, i) => i % 32));
  let bias;
  if (options.has("linear")) bias = { kind: "linear", slopes, places };
  if (options.has("table")) bias = { kind: "table", table, buckets, places };
  return { softcap: options.has("softcap") ? 50 : undefined, bias, sinks: options.has("sinks") ? table : undefined };
}

/**
 * One layer's attention of the last `rows` of `tokens`. A decode step goes through layers that together keep 128 MB, so
 * that they come from memory as in a model.
 */
async function measure({ kvHeads, group, width }, type, tokens, rows) {
  const ops = await createWasmBackend({ threads, relaxed });
  const layerBytes = tokens * kvHeads * width * 2 * { f32: 4, f16: 2, q8: 1.125, q4: 0.5625 }[type];
  const layers = rows === 1 ? Math.ceil(2 ** 27 / layerBytes) : 1;
  const members = kvHeads * layers;
  const store = ops.kvStore({ members, keyWidth: width, valueWidth: width, keyType: type, valueType: type });
  const table = store.table();
  for (let page = 0; page * 16 < tokens; page++) table.push(store.alloc());
  const slices = Array.from({ length: layers }, (_, i) => ({
    store,
    table,
    member: i * kvHeads,
    heads: Array.from({ length: kvHeads }, (_, head) => head),
  }));
  const ids = (count) => ops.input(Int32Array.from({ length: count }, (_, i) => i));
  const kv = fill(ops, 256, kvHeads * width);
  for (let slot = 0; slot < tokens; slot += 256) {
    ops.beginStep();
    const rows = ops.embed(kv, ids(Math.min(256, tokens - slot)));
    for (const slice of slices)
      ops.append({ keys: rows, values: rows, parts: [{ slice, first: 0, rows: rows.rows, slot }] });
  }
  const biases = fill(ops, 32, kvHeads * group);
  const q = fill(ops, rows, kvHeads * group * width);
  const seen = Int32Array.from({ length: rows * 2 }, (_, i) => (i % 2 ? tokens - rows + (i >> 1) + 1 : 0));
  const repeats = layers;
  const elapsed = await best(12, async () => {
    ops.beginStep();
    const out = ops.empty(rows, kvHeads * group * width);
    const queries = [ops.embed(q, ids(rows))];
    const spans = ops.input(seen);
    const more = extras(ops, kvHeads * group, tokens, rows, biases);
    for (let i = 0; i < repeats; i++) {
      const parts = [{ slice: slices[i], first: 0, rows, ranges: 1, spans: 0 }];
      ops.attention({ out, queries, spans, parts, group, scale: width ** -0.5, ...more });
    }
    await ops.read(out);
  });
  const seconds = elapsed / repeats / 1000;
  const pairs = rows * (tokens - rows / 2) * kvHeads * group;
  const bytes = store.usedBytes / layers;
  await ops.dispose();
  return { seconds, gflops: (pairs * width * 4) / seconds / 1e9, gigabytes: bytes / seconds / 1e9 };
}

/** A token through 22 layers of nothing but norms and additions of 64 columns: what an operation costs beside its work. */
async function overhead() {
  const ops = await createWasmBackend({ threads, relaxed });
  const gain = fill(ops, 1, 64);
  const x = fill(ops, 1, 64);
  const count = 400;
  const elapsed = await best(200, async () => {
    ops.beginStep();
    let y = ops.embed(x, ops.input(Int32Array.of(0)));
    for (let i = 0; i < count / 2; i++) y = ops.add(y, ops.rmsNorm(y, gain, 1e-5));
    await ops.read(y);
  });
  await ops.dispose();
  return (elapsed * 1e6) / count;
}

const build = await createWasmBackend({ threads: 1, relaxed });
console.log(`threads ${threads}, ${build.relaxed ? "relaxed" : "plain"} SIMD`);
await build.dispose();
console.log(`a small operation: ${(await overhead()).toFixed(0)} ns`);
const multiHead = options.has("multi-head");
const long = options.has("long");
/** Tokens and rows. */
const SIZES = [
  [1024, 1],
  [8192, 1],
  [1024, 256],
  [4096, 256],
];
for (const shape of multiHead ? SHAPES.filter(({ group }) => group === 1) : long ? SHAPES.slice(0, 1) : SHAPES) {
  for (const type of multiHead ? ["f16"] : long ? ["f16", "q8", "q4"] : ["f32", "f16", "q8", "q4"]) {
    for (const [tokens, rows] of long ? [[32768, 1]] : SIZES.filter(([, rows]) => !multiHead || rows === 1)) {
      const { seconds, gflops, gigabytes } = await measure(shape, type, tokens, rows);
      console.log(
        `${shape.name}, ${type.padEnd(3)} ${String(rows).padStart(3)} rows at ${String(tokens).padStart(5)}: ` +
          `${(seconds * 1e6).toFixed(0).padStart(8)} us  ${gflops.toFixed(1).padStart(6)} GFLOPS  ` +
          `${rows === 1 ? `${gigabytes.toFixed(1)} GB/s of cache` : ""}`,
      );
    }
  }
}
