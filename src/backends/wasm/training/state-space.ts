/**
 * Commands of the derivatives of state-space layers; kernels/training/train-convolution.ts and train-scan.ts document the
 * arguments.
 */
import * as abi from "../../../../kernels/abi.js";
import type { Tensor } from "../../../tensor/tensor.js";
import type { ScanBackCall, StateSpaceTraining } from "../../../tensor/training.js";
import type { Machine } from "../machine.js";
import { expect, ownTensor, ownWeight, shape } from "../tensors.js";
import { gradientOf } from "./gradients.js";

/** Nanoseconds of one thread per tap of a channel, for SiLU of a channel, per number of a state. */
const TAP_NS = 0.5;
const SILU_NS = 1;
const STATE_NS = 1.5;
/** Per number of a sum. */
const MERGE_NS = 0.2;

/** What a thread's scratch memory has room for (kernels/training/train-convolution.ts). */
const MOST_TAPS = 1024;

// As in kernels/training/train-scan.ts.
const ROWS = 64;
const CHANNELS = 16;
/** Blocks of heads at least, where there are so many: each has sums of its own of b's and c's gradients. */
const BLOCKS = 8;

export function stateSpaceTraining(machine: Machine): StateSpaceTraining {
  return {
    convolutionInput: (call) => convolutionInput(machine, call),
    scanInputs: (call) => scanInputs(machine, call),
  };
}

function convolutionInput(machine: Machine, call: Parameters<StateSpaceTraining["convolutionInput"]>[0]): Tensor {
  const x = ownTensor(call.x);
  const dy = ownTensor(call.dy);
  const kernel = ownWeight(call.kernel);
  const bias = call.bias === undefined ? undefined : ownWeight(call.bias);
  const { rows: channels, cols: width } = kernel;
  const fits = x.cols === channels && dy.cols === channels && x.rows === dy.rows;
  expect(fits, "convolutionInput", `${shape(x)} and dy ${shape(dy)} for ${channels} channels`);
  expect(!bias || bias.rows * bias.cols === channels, "convolutionInput", `a bias of ${bias?.cols}`);
  expect(width <= MOST_TAPS, "convolutionInput", `a width of ${width}; ${MOST_TAPS} is the most`);
  const ofKernel = call.kernelGradient && gradientOf(machine, "convolutionInput", call.kernelGradient, kernel);
  const ofBias =
    call.biasGradient && gradientOf(machine, "convolutionInput", call.biasGradient, { rows: 1, cols: channels });
  const out = machine.empty(x.rows, channels);
  machine.commands
    .begin(abi.CONVOLUTION_BACK, x.rows * channels * (width * TAP_NS + SILU_NS))
    .reads(x.address, x.bytes)
    .word(machine.columns(kernel))
    .word(bias ? machine.elements(bias) : 0)
    .reads(dy.address, dy.bytes)
    .writes(out.address, out.bytes)
    .writes(ofKernel?.address ?? 0, ofKernel?.bytes ?? 0)
    .writes(ofBias?.address ?? 0, ofBias?.bytes ?? 0)
    .word(x.rows)
    .word(channels)
    .word(width)
    .word(machine.scratch)
    .end();
  return out;
}

/** The call's handles and sizes: H, P, G, N and the columns of a. */
function scanParts(call: ScanBackCall) {
  const [x, dt, b, c, dy] = [call.x, call.dt, call.b, call.c, call.dy].map((tensor) => ownTensor(tensor));
  const [a, skip] = [ownWeight(call.a), ownWeight(call.skip)];
  const { states } = call;
  const heads = dt.cols;
  const width = x.cols / heads;
  const groups = b.cols / states;
  const decays = a.cols === 1 ? 1 : states;
  expect(Number.isInteger(width), "scanInputs", `x ${shape(x)} with dt ${shape(dt)}`);
  const grouped = heads % groups === 0 && c.cols === b.cols;
  expect(grouped, "scanInputs", `b ${shape(b)}, c ${shape(c)} for states of ${states}`);
  expect(dy.cols === x.cols, "scanInputs", `x ${shape(x)} and dy ${shape(dy)}`);
  expect(
    [dt, b, c, dy].every(({ rows }) => rows === x.rows),
    "scanInputs",
    "inputs of different numbers of rows",
  );
  const fits = a.rows * a.cols === heads * decays && skip.rows * skip.cols === heads;
  expect(fits, "scanInputs", `a ${shape(a)} and skip ${shape(skip)} for ${heads} heads with states of ${states}`);
  return { x, dt, a, b, c, skip, dy, heads, width, groups, states, decays };
}

function scanInputs(machine: Machine, call: ScanBackCall): ReturnType<StateSpaceTraining["scanInputs"]> {
  const { x, dt, a, b, c, skip, dy, heads, width, groups, states, decays } = scanParts(call);
  const ofA = call.aGradient && gradientOf(machine, "scanInputs", call.aGradient, a);
  const ofSkip = call.skipGradient && gradientOf(machine, "scanInputs", call.skipGradient, skip);
  const blocks = Math.min(heads / groups, Math.max(1, Math.ceil(BLOCKS / groups)));
  const stateBytes = Math.ceil(states / 8) * 32;
  const sumBytes = groups * blocks * x.rows * stateBytes * 2;
  const sums = machine.allocate(sumBytes);
  const work = workBytes(x.rows, stateBytes);
  const [dx, ddt] = [machine.empty(x.rows, x.cols), machine.empty(dt.rows, dt.cols)];
  machine.commands
    .begin(abi.SCAN_BACK, x.rows * x.cols * states * STATE_NS)
    .reads(x.address, x.bytes)
    .reads(dt.address, dt.bytes)
    .word(machine.elements(a))
    .reads(b.address, b.bytes)
    .reads(c.address, c.bytes)
    .word(machine.elements(skip))
    .reads(dy.address, dy.bytes)
    .writes(dx.address, dx.bytes)
    .writes(ddt.address, ddt.bytes)
    .writes(sums, sumBytes)
    .writes(ofA?.address ?? 0, ofA?.bytes ?? 0)
    .writes(ofSkip?.address ?? 0, ofSkip?.bytes ?? 0)
    .word(x.rows)
    .word(heads)
    .word(width)
    .word(groups)
    .word(states)
    .word(decays)
    .word(blocks)
    .writes(machine.allocate(work * machine.pool.threads), work * machine.pool.threads)
    .word(work)
    .end();
  const [db, dc] = [machine.empty(b.rows, b.cols), machine.empty(c.rows, c.cols)];
  machine.commands
    .begin(abi.SCAN_MERGE, 2 * b.rows * b.cols * blocks * MERGE_NS)
    .reads(sums, sumBytes)
    .writes(db.address, db.bytes)
    .writes(dc.address, dc.bytes)
    .word(b.rows)
    .word(groups)
    .word(states)
    .word(blocks)
    .end();
  return { x: dx, dt: ddt, b: db, c: dc };
}

/** Work memory of a thread, as kernels/training/train-scan.ts lays it out; whole cache lines. */
function workBytes(rows: number, stateBytes: number): number {
  const chunks = Math.max(1, Math.ceil(rows / ROWS));
  const states = 2 + 4 * ROWS + CHANNELS + chunks * CHANNELS;
  return Math.ceil((ROWS * (5 * 4 + 32) + states * stateBytes) / 64) * 64;
}
