/**
 * Cross-entropy fused with the head, in chunks of rows: a chunk's logits are multiplied, turned into their gradient in place
 * (kernels/training/cross-entropy.ts), and multiplied into dx and the head's gradient before the next chunk takes their memory. Only
 * rows with a weight are computed: they are brought together first, where others lie between them.
 */
import * as abi from "../../../../kernels/abi.js";
import type { CrossEntropyCall, CrossEntropyResult } from "../../../tensor/training.js";
import { WasmKept } from "../kept.js";
import type { Machine } from "../machine.js";
import { gather } from "../ops/elementwise.js";
import { multiplyRows } from "../ops/linear.js";
import { expect, own, ownInput, ownTensor, shape, type WasmInput, type WasmTensor } from "../tensors.js";
import { floatProduct, keptMatrix, type Matrix, matrixOf, sumColumns, trained } from "./products.js";

/** Nanoseconds of one thread per logit. */
const LOSS_NS = 3;
/** Rows of a chunk: so many that its logits are about this many numbers, within these bounds. */
const CHUNK_LOGITS = 2 ** 20;
const MOST_ROWS = 480;
const LEAST_ROWS = 96;

export function crossEntropy(machine: Machine, call: CrossEntropyCall): CrossEntropyResult {
  const x = ownTensor(call.x);
  const [targets, weights] = [ownInput(call.targets), ownInput(call.weights)];
  const found = `${shape(x)} with ${targets.length} targets and ${weights.length} weights`;
  expect(targets.length === x.rows && weights.length === x.rows, "crossEntropy", found);
  const start = weights.address >>> 2;
  const values = machine.space.f32.subarray(start, start + x.rows);
  const ids = machine.space.i32.subarray(targets.address >>> 2, (targets.address >>> 2) + x.rows);
  for (const [row, id] of ids.entries()) {
    expect(values[row] === 0 || (id >= 0 && id < call.head.rows), "crossEntropy", `the target ${id} of row ${row}`);
  }
  const some = someRows(values);
  if (!some) return wholeCrossEntropy(machine, { ...call, x, targets, weights });
  const { losses, dx } = wholeCrossEntropy(machine, {
    ...call,
    x: gather(machine, x, machine.input(some.rows)),
    targets: machine.input(some.rows.map((row) => ids[row])),
    weights: machine.input(Float32Array.from(some.rows, (row) => values[row])),
  });
  const places = machine.input(some.places);
  return { losses: gather(machine, losses, places), dx: dx && gather(machine, dx, places) };
}

/**
 * The rows with a weight and one row without, which stands for all others: its loss and gradient are zeros. And the place of
 * each row among them. Nothing where all rows have a weight.
 */
function someRows(weights: Float32Array): { readonly rows: Int32Array; readonly places: Int32Array } | undefined {
  const without = weights.indexOf(0);
  if (without < 0) return undefined;
  const rows = [without];
  const places = Int32Array.from(weights, (weight, row) => (weight === 0 ? 0 : rows.push(row) - 1));
  return { rows: Int32Array.from(rows), places };
}

interface WholeCall extends CrossEntropyCall {
  readonly x: WasmTensor;
  readonly targets: WasmInput;
  readonly weights: WasmInput;
}

function wholeCrossEntropy(
  machine: Machine,
  call: WholeCall,
): { readonly losses: WasmTensor; readonly dx: WasmTensor | undefined } {
  const { x, head } = call;
  const losses = machine.empty(x.rows, 1);
  const dx = call.gradients && machine.empty(x.rows, x.cols);
  const wished = Math.min(MOST_ROWS, Math.max(LEAST_ROWS, Math.floor(CHUNK_LOGITS / head.rows)));
  const chunks = Math.ceil(x.rows / wished);
  const most = Math.ceil(x.rows / Math.max(1, chunks));
  // Rows of logits begin at a cache line.
  const stride = Math.ceil(head.rows / 16) * 16;
  const address = machine.allocate(most * stride * 4);
  for (let first = 0; first < x.rows; first += most) {
    const rows = Math.min(most, x.rows - first);
    chunk(machine, call, { first, logits: { address, rows, cols: head.rows, stride }, losses, dx });
  }
  return { losses, dx };
}

interface Chunk {
  readonly first: number;
  readonly logits: Matrix;
  readonly losses: WasmTensor;
  readonly dx: WasmTensor | undefined;
}

function chunk(machine: Machine, call: WholeCall, { first, logits, losses, dx }: Chunk): void {
  const { x, bias, gradients } = call;
  const { rows } = logits;
  const part = (of: WasmTensor) => ({ ...matrixOf(of), rows, address: of.address + first * of.cols * 4 });
  const head = matrixOf(trained(call.head));
  if (bias) multiplyRows(machine, x, { first, rows }, call.head, bias, logits);
  else floatProduct(machine, { left: part(x), right: head, transposed: "right", to: logits, added: false });
  machine.commands
    .begin(abi.CROSS_ENTROPY, rows * logits.cols * LOSS_NS)
    .writes(logits.address, rows * logits.stride * 4)
    .word(logits.cols)
    .word(logits.stride * 4)
    .word(rows)
    .word(call.targets.address + first * 4)
    .word(call.weights.address + first * 4)
    .writes(losses.address + first * 4, rows * 4)
    .float(call.softcap ?? 0)
    .word(gradients ? 1 : 0)
    .end();
  if (!gradients || !dx) return;
  floatProduct(machine, { left: logits, right: head, to: part(dx), added: false });
  if (gradients.head) {
    const to = matrixOf(own(WasmKept, gradients.head));
    floatProduct(machine, { left: logits, transposed: "left", right: part(x), to, added: true });
  }
  if (gradients.bias) sumColumns(machine, logits, keptMatrix(gradients.bias));
}
