/**
 * Derivatives of mixtures of experts. Rows are brought into the order of their experts, as the operation itself does it;
 * each expert's products are those of linear.ts. The router's are few numbers, and the host, which chose, computes them.
 */
import * as abi from "../../../../kernels/abi.js";
import type { Routing } from "../../../tensor/backend.js";
import type { Tensor } from "../../../tensor/tensor.js";
import type { ExpertLinearBackCall, ExpertTraining, RouteBackCall } from "../../../tensor/training.js";
import type { Machine } from "../machine.js";
import { gather } from "../ops/elementwise.js";
import { WasmRouting } from "../ops/experts.js";
import { expect, own, ownTensor, shape, type WasmTensor } from "../tensors.js";
import { floatProduct, keptMatrix, type Matrix, matrixOf, partOf, sumColumns, trained } from "./products.js";
import { ungather } from "./rows.js";

/** Nanoseconds of one thread per element of an expert's row. */
const MIX_NS = 0.2;

export function expertTraining(machine: Machine): ExpertTraining {
  return {
    routingWeights: (routing) => routingWeights(machine, routing),
    routeInput: (call) => routeInput(machine, call),
    expertLinearInput: (call) => expertLinearInput(machine, call),
    mixExpertsInputs: (y, routing, dy) => mixExpertsInputs(machine, y, routing, dy),
  };
}

function routingWeights(machine: Machine, by: Routing): Tensor {
  const routing = own(WasmRouting, by);
  return machine.view(routing.rows, routing.used, routing.weightsIn(machine).address);
}

/** Numbers of a tensor whose commands have run. */
function numbersIn(machine: Machine, { address, rows, cols }: WasmTensor): Float32Array {
  return machine.space.f32.subarray(address >>> 2, (address >>> 2) + rows * cols);
}

function routeInput(machine: Machine, call: RouteBackCall): Tensor {
  const [logits, dy] = [ownTensor(call.logits), ownTensor(call.dy)];
  const routing = own(WasmRouting, call.routing);
  const { rows, used } = routing;
  const { cols } = logits;
  const fits = logits.rows === rows && dy.rows === rows && dy.cols === used;
  expect(fits, "routeInput", `${shape(logits)} and dy ${shape(dy)} for ${rows} rows with ${used} experts each`);
  machine.flush();
  const [given, outer] = [numbersIn(machine, logits), numbersIn(machine, dy)];
  const out = new Float32Array(rows * cols);
  const ofBalance = balanceSlopes(routing, cols, call.balance ?? 0);
  const slopes = new Float64Array(cols);
  const all = Array.from({ length: cols }, (_, expert) => expert);
  for (let t = 0; t < rows; t++) {
    const chosen = routing.experts.subarray(t * used, (t + 1) * used);
    const row = { logits: given.subarray(t * cols, (t + 1) * cols), out: out.subarray(t * cols, (t + 1) * cols) };
    slopes.fill(0);
    chosen.forEach((expert, j) => {
      slopes[expert] = outer[t * used + j];
    });
    addSlopes(row, call.weighting === "chosen" ? chosen : all, slopes);
    if (call.balance) addSlopes(row, all, ofBalance);
  }
  return machine.view(rows, cols, machine.input(out).address);
}

interface RouterRow {
  readonly logits: Float32Array;
  /** Receives the gradient. */
  readonly out: Float32Array;
}

/** Through p, the softmax over the logits of these experts: p_e (slope_e - sum of p slope). */
function addSlopes({ logits, out }: RouterRow, over: ArrayLike<number>, slopes: Float64Array): void {
  let most = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < over.length; i++) most = Math.max(most, logits[over[i]]);
  let [total, along] = [0, 0];
  for (let i = 0; i < over.length; i++) {
    const power = Math.exp(logits[over[i]] - most);
    total += power;
    along += power * slopes[over[i]];
  }
  for (let i = 0; i < over.length; i++) {
    const expert = over[i];
    out[expert] += (Math.exp(logits[expert] - most) / total) * (slopes[expert] - along / total);
  }
}

/** Of balance E sum f_e P_e, with respect to the probabilities of one row. */
function balanceSlopes({ rows, experts }: WasmRouting, count: number, balance: number): Float64Array {
  const slopes = new Float64Array(count);
  for (const expert of experts) slopes[expert] += (balance * count) / (experts.length * rows);
  return slopes;
}

function expertLinearInput(machine: Machine, call: ExpertLinearBackCall): Tensor {
  const [x, dy] = [ownTensor(call.x), ownTensor(call.dy)];
  const routing = own(WasmRouting, call.routing);
  const { rows, used } = routing;
  const fits = (x.rows === rows || x.rows === rows * used) && dy.rows === rows * used;
  expect(fits, "expertLinearInput", `${shape(x)} and dy ${shape(dy)} for ${rows} rows with ${used} experts each`);
  const { gradient, biasGradient } = call;
  const { count } = call.experts;
  const matrices = matrixOf(trained(call.experts.matrix));
  const order = routing.order(machine);
  const slopes = gather(machine, dy, order.entries);
  const dx = machine.empty(rows * used, x.cols);
  for (const { expert, first, x: part } of routing.partsOf(machine, x)) {
    const left = rowsOf(slopes, first, part.rows);
    const right = partOf(matrices, count, expert);
    floatProduct(machine, { left, right, to: rowsOf(dx, first, part.rows), added: false });
    if (gradient) {
      const to = partOf(keptMatrix(gradient), count, expert);
      floatProduct(machine, { left, transposed: "left", right: matrixOf(part), to, added: true });
    }
    if (biasGradient) sumColumns(machine, left, partOf(keptMatrix(biasGradient), count, expert));
  }
  return x.rows === rows ? ungather(machine, dx, order.rows, rows) : gather(machine, dx, order.places);
}

function rowsOf(x: WasmTensor, first: number, rows: number): Matrix {
  return { address: x.address + first * x.cols * 4, rows, cols: x.cols, stride: x.cols };
}

function mixExpertsInputs(machine: Machine, mixed: Tensor, by: Routing, slope: Tensor) {
  const [y, dy] = [ownTensor(mixed), ownTensor(slope)];
  const routing = own(WasmRouting, by);
  const { rows, used } = routing;
  const fits = y.rows === rows * used && dy.rows === rows && dy.cols === y.cols;
  expect(fits, "mixExpertsInputs", `${shape(y)} and dy ${shape(dy)} for ${rows} rows with ${used} experts each`);
  const [ofY, weights] = [machine.empty(y.rows, y.cols), machine.empty(rows, used)];
  machine.commands
    .begin(abi.MIX_BACK, y.rows * y.cols * MIX_NS)
    .reads(y.address, y.bytes)
    .word(routing.weightsIn(machine).address)
    .reads(dy.address, dy.bytes)
    .writes(ofY.address, ofY.bytes)
    .writes(weights.address, weights.bytes)
    .word(rows)
    .word(y.cols)
    .word(used)
    .end();
  return { y: ofY, weights };
}
