// Attention for training on the Wasm backend: arithmetic per second of the way forward (4 D operations for each pair of
// a query and a key that it sees, and head) and back (10 D), best of several runs. npm run build, then: node
// scripts/bench-training-attention.mjs [threads...] [plain]
import { createWasmBackend } from "sluice/backends";
import "sluice";

const counts = process.argv.slice(2).map(Number).filter(Number.isInteger);
const threadCounts = counts.length > 0 ? counts : [1, 2];
const relaxed = process.argv.includes("plain") ? false : undefined;
const HEADS = 6;
const BUDGET_MS = 400;

const SHAPES = [512, 2048].flatMap((tokens) =>
  [3, 2].flatMap((kvHeads) =>
    [64, 32].flatMap((width) => [Number.POSITIVE_INFINITY, 256].map((window) => ({ tokens, kvHeads, width, window }))),
  ),
);

/** Milliseconds of the fastest run. With one thread it is CPU time, which a busy machine disturbs less. */
async function best(threads, body) {
  const now = () => {
    const { user, system } = process.cpuUsage();
    return threads > 1 ? performance.now() : (user + system) / 1000;
  };
  let least = Number.POSITIVE_INFINITY;
  const end = performance.now() + BUDGET_MS;
  for (let run = 0; run < 4 || performance.now() < end; run++) {
    const start = now();
    await body();
    least = Math.min(least, now() - start);
  }
  return least;
}

async function measure(threads, { tokens, kvHeads, width, window }) {
  const ops = await createWasmBackend({ threads, relaxed });
  const numbers = (cols) => Float32Array.from({ length: tokens * cols }, () => Math.random() * 2 - 1);
  const [qs, ks, vs] = [HEADS, kvHeads, kvHeads].map((heads) => numbers(heads * width));
  const spans = Int32Array.from({ length: tokens * 2 }, (_, i) =>
    i % 2 ? (i >> 1) + 1 : Math.max(0, (i >> 1) + 1 - window),
  );
  let pairs = 0;
  for (let t = 0; t < tokens; t++) pairs += spans[t * 2 + 1] - spans[t * 2];
  ops.beginStep();
  const tensor = (values) => ops.tensor(ops.input(values), tokens, values.length / tokens);
  const [q, k, v, dq, dk, dv, dOut] = [qs, ks, vs, qs, ks, vs, qs].map(tensor);
  const [out, logSums] = [ops.empty(tokens, HEADS * width), ops.empty(tokens, HEADS)];
  const call = {
    q,
    k,
    v,
    spans: ops.input(spans),
    head: 0,
    heads: kvHeads,
    group: HEADS / kvHeads,
    scale: width ** -0.5,
  };
  const forward = await best(threads, () => {
    ops.training.attendRows(call, out, logSums);
    return ops.read(out);
  });
  const back = await best(threads, () => {
    ops.training.attendRowsBack({ ...call, out, logSums, dOut, dq, dk, dv });
    return ops.read(dq);
  });
  const bytes = ops.memoryBytes;
  await ops.dispose();
  const rate = (operations, ms) => (pairs * HEADS * width * operations) / ms / 1e6;
  return { forward: rate(4, forward), back: rate(10, back), bytes };
}

for (const threads of threadCounts) {
  for (const shape of SHAPES) {
    const { forward, back, bytes } = await measure(threads, shape);
    const { tokens, kvHeads, width, window } = shape;
    console.log(
      `threads ${threads}  T ${String(tokens).padStart(4)}  ${HEADS} heads of ${width} on ${kvHeads}  ` +
        `${window === Number.POSITIVE_INFINITY ? "causal    " : `window ${window}`}  ` +
        `forward ${forward.toFixed(1).padStart(5)}  back ${back.toFixed(1).padStart(5)} GFLOPS  ` +
        `${(bytes / 2 ** 20).toFixed(0)} MiB`,
    );
  }
}
