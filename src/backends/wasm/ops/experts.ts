/**
 * Mixture of experts. Which experts a row goes to is worked out on the host, which therefore waits for the logits. One row:
 * each of its experts' products writes its row of the result. More: the rows are brought into the order of their experts,
 * each expert multiplies its rows like any other matrix, and the results are brought back into the rows' order. Which form a
 * product takes follows from the rows of a sequence in the step, not from how many of them an expert gets.
 */
import * as abi from "../../../../kernels/abi.js";
import type { ExpertWeighting, Routing } from "../../../tensor/backend.js";
import type { ExpertWeights, Tensor } from "../../../tensor/tensor.js";
import type { Machine } from "../machine.js";
import {
  own,
  ownTensor,
  ownWeight,
  refuse,
  shape,
  type WasmInput,
  type WasmTensor,
  type WasmWeight,
} from "../tensors.js";
import { gather } from "./elementwise.js";
import { multiply, multiplyRow, type StoredMatrix } from "./linear.js";

/** Nanoseconds of one thread per element of an expert's row. */
const MIX_NS = 0.1;

/** Rows in the order of their experts, as the kernels of one memory read it. */
interface Order {
  /** For each place in the order: the row of x, and t*k + j. */
  readonly rows: WasmInput;
  readonly entries: WasmInput;
  /** For each t*k + j its place in the order. */
  readonly places: WasmInput;
}

export class WasmRouting implements Routing {
  /** By memory. */
  private readonly orders: (Order | undefined)[] = [];
  private readonly weightInputs: (WasmInput | undefined)[] = [];
  /** What was brought into order last: gate and up of an expert read the same rows. */
  private gathered: { readonly from: WasmTensor; readonly parts: readonly Part[] } | undefined;

  constructor(
    readonly rows: number,
    readonly used: number,
    /** Both [T, k]. */
    readonly experts: Int32Array,
    readonly weights: Float32Array,
  ) {}

  order(machine: Machine): Order {
    const known = this.orders[machine.place];
    if (known) return known;
    const entries = Int32Array.from(this.experts.keys()).sort((a, b) => this.experts[a] - this.experts[b] || a - b);
    const places = new Int32Array(entries.length);
    entries.forEach((entry, place) => {
      places[entry] = place;
    });
    const order = {
      rows: machine.input(entries.map((entry) => Math.floor(entry / this.used))),
      entries: machine.input(entries),
      places: machine.input(places),
    };
    this.orders[machine.place] = order;
    return order;
  }

  weightsIn(machine: Machine): WasmInput {
    const known = this.weightInputs[machine.place] ?? machine.input(this.weights);
    this.weightInputs[machine.place] = known;
    return known;
  }

  /** Of the rows that go to an expert, how many are of sequences that read few. */
  private fewOf(expert: number, machine: Machine): number {
    const end = machine.fewOf(this.rows) * this.used;
    let few = 0;
    for (let entry = 0; entry < end; entry++) if (this.experts[entry] === expert) few++;
    return few;
  }

  /** The rows of x that each expert multiplies. x has a row for each row, or one for each of its experts. */
  partsOf(machine: Machine, x: WasmTensor): readonly Part[] {
    if (this.gathered?.from === x) return this.gathered.parts;
    const { rows, entries } = this.order(machine);
    const ordered = gather(machine, x, x.rows === this.rows ? rows : entries);
    const counts = new Map<number, number>();
    for (const expert of this.experts) counts.set(expert, (counts.get(expert) ?? 0) + 1);
    let first = 0;
    const parts = [...counts.keys()]
      .sort((a, b) => a - b)
      .map((expert) => {
        const count = counts.get(expert) ?? 0;
        const rows = machine.view(count, x.cols, ordered.address + first * x.cols * 4);
        const part = { expert, first, few: this.fewOf(expert, machine), x: rows };
        first += count;
        return part;
      });
    this.gathered = { from: x, parts };
    return parts;
  }
}

/** What an expert multiplies. */
interface Part {
  readonly expert: number;
  /** Its first place in the order. */
  readonly first: number;
  /** Of its rows, the first so many are of sequences that read few (see RowSplit): the order keeps that of the rows. */
  readonly few: number;
  readonly x: WasmTensor;
}

export function route(machine: Machine, input: Tensor, used: number, weighting: ExpertWeighting): WasmRouting {
  const logits = ownTensor(input);
  const { rows, cols } = logits;
  if (!(used > 0 && used <= cols)) refuse("route", `${used} of ${cols} experts`);
  machine.flush();
  const start = logits.address >>> 2;
  const values = machine.space.f32.subarray(start, start + rows * cols);
  const experts = new Int32Array(rows * used);
  const weights = new Float32Array(rows * used);
  for (let t = 0; t < rows; t++) {
    const row = values.subarray(t * cols, (t + 1) * cols);
    const chosen = largest(row, used);
    const most = row[chosen[0]];
    let total = 0;
    if (weighting === "chosen") for (const expert of chosen) total += Math.exp(row[expert] - most);
    else for (const logit of row) total += Math.exp(logit - most);
    const finite = row.every(Number.isFinite);
    chosen.forEach((expert, j) => {
      experts[t * used + j] = expert;
      weights[t * used + j] = finite ? Math.exp(row[expert] - most) / total : Number.NaN;
    });
  }
  return new WasmRouting(rows, used, experts, weights);
}

/** The places of the `count` largest, largest first, of equal ones the first. */
function largest(row: Float32Array, count: number): number[] {
  const chosen: number[] = [];
  for (let i = 0; i < row.length; i++) {
    let at = chosen.length;
    while (at > 0 && row[i] > row[chosen[at - 1]]) at--;
    if (at === count) continue;
    if (chosen.length === count) chosen.pop();
    chosen.splice(at, 0, i);
  }
  return chosen;
}

/** The matrix of one expert, where its kind lie one behind the other. */
export function expertMatrix(stacked: WasmWeight, count: number, expert: number): StoredMatrix {
  const { name, dtype, kernelType, address, cols, bytes } = stacked;
  const rows = stacked.rows / count;
  return { name, dtype, kernelType, address: address + expert * (bytes / count), rows, cols };
}

export function expertLinear(machine: Machine, input: Tensor, experts: ExpertWeights, to: Routing): Tensor {
  const x = ownTensor(input);
  const routing = own(WasmRouting, to);
  const { rows, used } = routing;
  const fits = x.rows === rows || x.rows === rows * used;
  if (!fits) refuse("expertLinear", `${shape(x)} for ${rows} rows with ${used} experts each`);
  const { count, bias } = experts;
  const stacked = ownWeight(experts.matrix);
  const width = stacked.rows / count;
  if (bias && !(bias.rows === count && bias.cols === width)) refuse("expertLinear", `biases ${shape(bias)}`);
  const biases = bias && machine.elements(ownWeight(bias));
  const biasOf = (expert: number) => (biases === undefined ? 0 : biases + expert * width * 4);
  const out = machine.empty(rows * used, width);
  if (rows === 1 && machine.fewOf(1) === 1) {
    routing.experts.forEach((expert, j) => {
      const row = x.rows === 1 ? 0 : j;
      const matrix = expertMatrix(stacked, count, expert);
      multiplyRow(machine, x, row, matrix, biasOf(expert), out.address + j * width * 4);
    });
    return out;
  }
  for (const { expert, first, few, x: part } of routing.partsOf(machine, x)) {
    const matrix = expertMatrix(stacked, count, expert);
    multiply(machine, part, matrix, biasOf(expert), out.address + first * width * 4, few);
  }
  return gather(machine, out, routing.order(machine).places);
}

export function mixExperts(machine: Machine, input: Tensor, by: Routing): Tensor {
  const y = ownTensor(input);
  const routing = own(WasmRouting, by);
  const { rows, used } = routing;
  if (!(y.rows === rows * used)) refuse("mixExperts", `${shape(y)} for ${rows} rows with ${used} experts each`);
  const out = machine.empty(rows, y.cols);
  machine.commands
    .begin(abi.MIX, y.rows * y.cols * MIX_NS)
    .reads(y.address, y.bytes)
    .word(routing.weightsIn(machine).address)
    .writes(out.address, out.bytes)
    .word(rows)
    .word(y.cols)
    .word(used)
    .end();
  return out;
}
