/** Operations whose weights or kept tensors lie in another memory than their inputs: the same bits as in one memory. */
import { afterEach, describe, expect, test } from "vitest";
import { createWasmBackend, type WasmBackend } from "../../src/backends/wasm/index.js";
import type { WeightRequest } from "../../src/tensor/backend.js";
import type { Tensor, Weight } from "../../src/tensor/tensor.js";
import { Random } from "../../src/util/random.js";
import { numbers } from "./devices.js";

const ROWS = 9;
const WIDTH = 64;
const STATES = 16;

const backends: WasmBackend[] = [];
afterEach(async () => {
  for (const backend of backends.splice(0)) await backend.dispose();
});

/** The table lies in layer 0, all other weights in layer 1; with a small memory those are two memories. */
const WEIGHTS: readonly WeightRequest[] = [
  { name: "table", dtype: "f32", rows: 3 * ROWS, cols: WIDTH, layer: 0 },
  { name: "states", dtype: "f32", rows: 2 * ROWS, cols: STATES, layer: 0 },
  { name: "early", dtype: "f32", rows: 48, cols: WIDTH, experts: 2, layer: 0 },
  { name: "choice", dtype: "f32", rows: 2, cols: STATES, layer: 0 },
  { name: "filler", dtype: "f32", rows: 1, cols: 150_000, layer: 0 },
  { name: "kernel", dtype: "f32", rows: WIDTH, cols: 4, layer: 1 },
  { name: "bias", dtype: "f32", rows: 1, cols: WIDTH, layer: 1 },
  { name: "a", dtype: "f32", rows: WIDTH, cols: STATES, layer: 1 },
  { name: "late", dtype: "f32", rows: 48, cols: WIDTH, experts: 2, layer: 1 },
  { name: "filler1", dtype: "f32", rows: 1, cols: 150_000, layer: 1 },
];

interface Loaded {
  readonly ops: WasmBackend;
  weight(name: string): Weight;
  /** Part `index` of the table's rows. */
  rowsOf(index: number): Tensor;
  statesOf(index: number): Tensor;
}

async function loaded(threads: number, memoryBytes: number): Promise<Loaded> {
  const ops = await createWasmBackend({ threads, memoryBytes, parallelNs: 0 });
  backends.push(ops);
  await ops.planWeights({ weights: WEIGHTS, cacheBytes: [0, 0], activationBytes: 50_000 });
  const random = new Random(31);
  const weights = new Map<string, Weight>();
  for (const request of WEIGHTS) {
    const slot = ops.allocWeight(request);
    const values = numbers(random, request.rows * request.cols).map((x) => (request.name === "a" ? -Math.abs(x) : x));
    slot.write(0, new Uint8Array(values.buffer));
    weights.set(request.name, slot.weight);
  }
  ops.weightsLoaded();
  ops.beginStep();
  const weight = (name: string): Weight => weights.get(name) ?? expect.unreachable(name);
  const part = (name: string) => (index: number) =>
    ops.embed(weight(name), ops.input(Int32Array.from({ length: ROWS }, (_, i) => index * ROWS + i)));
  return { ops, weight, rowsOf: part("table"), statesOf: part("states") };
}

const OPERATIONS: Readonly<Record<string, (loaded: Loaded) => Tensor>> = {
  layerNorm: ({ ops, weight, rowsOf }) => ops.layerNorm(rowsOf(0), weight("bias"), weight("bias"), 1e-5),
  map: ({ ops, weight, rowsOf }) => ops.map(ops.rmsNorm(rowsOf(0), weight("bias"), 1e-5), "softcap", 2),
  convolution: ({ ops, weight, rowsOf }) => {
    const [before, after] = [ops.kept(3, WIDTH, 1), ops.kept(3, WIDTH, 1)];
    return ops.convolution({ x: rowsOf(0), kernel: weight("kernel"), bias: weight("bias"), before, after });
  },
  scan: ({ ops, weight, rowsOf, statesOf }) => {
    const [before, after] = [ops.kept(WIDTH, STATES, 1), ops.kept(WIDTH, STATES, 1)];
    const [x, dt, b, c] = [rowsOf(0), rowsOf(1), statesOf(0), statesOf(1)];
    return ops.scan({ x, dt, a: weight("a"), b, c, skip: weight("bias"), before, after });
  },
  experts: ({ ops, weight, rowsOf, statesOf }) => {
    // Two columns of the states, as logits of two experts, whose choice is made in the first memory.
    const logits = ops.linear(statesOf(0), weight("choice"));
    const routing = ops.route(logits, 2, "chosen");
    const y = ops.expertLinear(rowsOf(0), { count: 2, matrix: weight("late") }, routing);
    return ops.mixExperts(y, routing);
  },
  "experts of two memories": ({ ops, weight, rowsOf, statesOf }) => {
    const routing = ops.route(ops.linear(statesOf(0), weight("choice")), 1, "all");
    const x = rowsOf(1);
    const layers = [0, 1].map((layer) => {
      const experts = { count: 2, matrix: weight(layer === 0 ? "early" : "late") };
      return ops.mixExperts(ops.expertLinear(x, experts, routing), routing);
    });
    // What was made last lies in the second memory.
    return ops.add(layers[1], layers[0]);
  },
  "experts of one row": ({ ops, weight, rowsOf, statesOf }) => {
    const routing = ops.route(ops.rows(ops.linear(statesOf(0), weight("choice")), 3, 1), 1, "chosen");
    const experts = { count: 2, matrix: weight("late") };
    return ops.mixExperts(ops.expertLinear(ops.rows(rowsOf(0), 3, 1), experts, routing), routing);
  },
};

describe.each([1, 2])("%i threads", (threads) => {
  test.each(Object.keys(OPERATIONS))("%s of what lies in another memory", async (name) => {
    const one = await loaded(threads, 2 ** 26);
    const two = await loaded(threads, 1.5 * 2 ** 20);
    expect([one.ops.placeOf(1), two.ops.placeOf(1)]).toEqual([0, 1]);
    const [expected, found] = [OPERATIONS[name](one), OPERATIONS[name](two)];
    expect("place" in found && found.place).toBe(1);
    expect(await two.ops.read(found)).toEqual(await one.ops.read(expected));
  });

  test("what is kept in another memory than the weights is refused", async () => {
    const { ops, weight, rowsOf } = await loaded(threads, 1.5 * 2 ** 20);
    const [before, after, wrong] = [ops.kept(3, WIDTH, 1), ops.kept(3, WIDTH, 1), ops.kept(3, WIDTH, 0)];
    const call = { x: rowsOf(0), kernel: weight("kernel"), before, after };
    expect(() => ops.convolution({ ...call, before: wrong })).toThrow(/another memory/);
    expect(() => ops.convolution({ ...call, after: wrong })).toThrow(/another memory/);
    expect(() => ops.convolution({ ...call, after: before })).toThrow(/one kept tensor/);
    expect(() => ops.convolution({ ...call, before: ops.kept(4, WIDTH, 1) })).toThrow(/4, 64.*instead of.*3, 64/);
  });
});
