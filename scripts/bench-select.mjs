// Choosing pages beside attention over the same cache in full, in each form that the machine has: a token through all layers of a
// 1.1B llama (22 layers, 4 KV heads of 64 with 8 query heads each), half floats, best of several runs.
// npm run build, then: node scripts/bench-select.mjs [threads] [tokens of the budget] [lengths]
// Every layer has bounds of its own; keys and values are those of two layers in turn, which together are larger than any cache.

import { enableWideVectors } from "sluice";
import { createWasmBackend } from "sluice/backends";
import { nodePlatform } from "sluice/platform/node";
import { boundsLayout } from "sluice/tensor";

await enableWideVectors();
const threads = Number(process.argv[2] ?? nodePlatform.cores);
const budget = Number(process.argv[3] ?? 1024);
const [LAYERS, STORED_LAYERS, KV_HEADS, GROUP, WIDTH, PAGE] = [22, 2, 4, 8, 64, 16];
const FORMS = [
  ["256 bits", {}],
  ["128 bits", { wide: false }],
  ["plain", { relaxed: false, wide: false }],
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

const heads = Array.from({ length: KV_HEADS }, (_, head) => head);

/** A cache of so many tokens: the slice of each layer and its bounds; and milliseconds to bound all pages of a layer. */
async function prepare(ops, tokens) {
  const layout = {
    members: KV_HEADS * STORED_LAYERS,
    keyWidth: WIDTH,
    valueWidth: WIDTH,
    keyType: "f16",
    valueType: "f16",
  };
  const store = ops.kvStore(layout);
  const blocks = ops.kvStore({ ...boundsLayout(layout), members: KV_HEADS * LAYERS });
  const [table, blockTable] = [store.table(), blocks.table()];
  for (let slot = 0; slot < tokens; slot += PAGE) table.push(store.alloc());
  for (let slot = 0; slot < tokens; slot += PAGE * PAGE) blockTable.push(blocks.alloc());
  const layers = Array.from({ length: LAYERS }, (_, layer) => ({
    slice: { store, table, member: (layer % STORED_LAYERS) * KV_HEADS, heads },
    bounds: { store: blocks, table: blockTable, member: layer * KV_HEADS },
  }));
  const numbers = fill(ops, 1024, KV_HEADS * WIDTH);
  for (let slot = 0; slot < tokens; slot += 256) {
    ops.beginStep();
    const ids = Int32Array.from({ length: 256 }, (_, i) => ((slot + i) * 37 + (slot >> 8)) % 1024);
    const rows = ops.embed(numbers, ops.input(ids));
    const parts = layers.slice(0, STORED_LAYERS).map(({ slice }) => ({ slice, first: 0, rows: 256, slot }));
    for (const part of parts) ops.append({ keys: rows, values: rows, parts: [part] });
  }
  await ops.read(ops.empty(1, 1));
  const bounding = await best(1, async () => {
    ops.beginStep();
    for (const { slice, bounds } of layers) ops.bound([{ slice, bounds: { bounds, at: 0 }, slot: 0, rows: tokens }]);
    await ops.read(ops.empty(1, 1));
  });
  return { layers, bounding: bounding / LAYERS };
}

async function measure(options, tokens) {
  const ops = await createWasmBackend({ threads, ...options });
  const { layers, bounding } = await prepare(ops, tokens);
  const q = fill(ops, LAYERS, KV_HEADS * GROUP * WIDTH);
  const pages = Math.min(budget, tokens) / PAGE;
  /** A token: whatever `layer` does with its queries. */
  const token = (layer) =>
    best(9, async () => {
      ops.beginStep();
      const out = ops.empty(1, KV_HEADS * GROUP * WIDTH);
      const [seen, listed] = [tokens, pages * PAGE].map((end) => ops.input(Int32Array.of(0, end)));
      const shared = { group: GROUP, scale: 3 * WIDTH ** -0.5 };
      layers.forEach(({ slice, bounds }, i) => {
        const queries = [ops.embed(q, ops.input(Int32Array.of(i)))];
        layer({ out, slice, bounds, seen, listed, call: { ...shared, queries } });
      });
      await ops.read(out);
    });
  const choose = ({ slice, bounds, seen, call }) => {
    const part = { slice, bounds, first: 0, ranges: 1, spans: 0, at: 0, pages, oldest: 1, newest: 4 };
    return ops.select({ ...call, spans: seen, parts: [part] })[0];
  };
  const attend = ({ out, slice, call }, spans, selection) =>
    ops.attention({ ...call, out, spans, parts: [{ slice, first: 0, rows: 1, ranges: 1, spans: 0, selection }] });
  const result = {
    bounding,
    select: await token(choose),
    both: await token((given) => attend(given, given.listed, choose(given))),
    full: await token((given) => attend(given, given.seen)),
  };
  await ops.dispose();
  return result;
}

console.log(
  `${LAYERS} layers, ${KV_HEADS} x ${GROUP} heads of ${WIDTH}, ${budget} tokens read, ${threads} threads; milliseconds a token`,
);
for (const tokens of process.argv[4]?.split(",").map(Number) ?? [8192, 32768, 131072]) {
  for (const [name, options] of FORMS) {
    const { bounding, select, both, full } = await measure(options, tokens);
    const figure = (x) => x.toFixed(2).padStart(8);
    console.log(
      `${String(tokens).padStart(6)} tokens, ${name.padEnd(8)}: select ${figure(select)}  select and attend ${figure(both)}  ` +
        `attend to all ${figure(full)}  (bounds of all pages, one layer: ${figure(bounding)})`,
    );
  }
}
