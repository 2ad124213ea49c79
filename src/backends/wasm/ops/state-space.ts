/** Commands of state-space layers; kernels/state-space/convolution.ts and scan.ts document the arguments. */
import * as abi from "../../../../kernels/abi.js";
import type { ConvolutionCall, ScanCall } from "../../../tensor/backend.js";
import type { Tensor } from "../../../tensor/tensor.js";
import { WasmKept } from "../kept.js";
import type { Machine } from "../machine.js";
import { expect, own, ownTensor, ownWeight, refuse, shape } from "../tensors.js";

/** Nanoseconds of one thread per tap of a channel, for SiLU of a channel, per number of a state. */
const TAP_NS = 0.1;
const SILU_NS = 0.6;
const STATE_NS = 0.4;

/** `before` and `after` must be two tensors of [rows, cols] in this memory. */
function keptPair(
  machine: Machine,
  operation: string,
  call: ConvolutionCall | ScanCall,
  rows: number,
  cols: number,
): [WasmKept, WasmKept] {
  const pair: [WasmKept, WasmKept] = [own(WasmKept, call.before), own(WasmKept, call.after)];
  for (const kept of pair) {
    if (!(kept.rows === rows && kept.cols === cols))
      refuse(operation, `${shape(kept)} kept instead of [${rows}, ${cols}]`);
    expect(kept.place === machine.place, operation, "what is kept in another memory than the weights");
  }
  expect(pair[0] !== pair[1], operation, "one kept tensor for before and after");
  return pair;
}

export function convolution(machine: Machine, call: ConvolutionCall): Tensor {
  const x = ownTensor(call.x);
  const kernel = ownWeight(call.kernel);
  const bias = call.bias === undefined ? undefined : ownWeight(call.bias);
  const { rows: channels, cols: width } = kernel;
  if (!(x.cols === channels)) refuse("convolution", `${shape(x)} for ${channels} channels`);
  if (!(!bias || bias.rows * bias.cols === channels)) refuse("convolution", `a bias of ${bias?.cols}`);
  const [before, after] = keptPair(machine, "convolution", call, width - 1, channels);
  const out = machine.empty(x.rows, channels);
  machine.commands
    .begin(abi.CONVOLUTION, x.rows * channels * (width * TAP_NS + SILU_NS))
    .reads(x.address, x.bytes)
    .word(machine.columns(kernel))
    .word(bias ? machine.elements(bias) : 0)
    .reads(before.address, before.bytes)
    .writes(after.address, after.bytes)
    .writes(out.address, out.bytes)
    .word(x.rows)
    .word(channels)
    .word(width)
    .end();
  return out;
}

export function scan(machine: Machine, call: ScanCall): Tensor {
  const x = ownTensor(call.x);
  const dt = ownTensor(call.dt);
  const b = ownTensor(call.b);
  const c = ownTensor(call.c);
  const a = ownWeight(call.a);
  const skip = ownWeight(call.skip);
  const states = call.before.cols;
  const heads = dt.cols;
  const width = x.cols / heads;
  const groups = b.cols / states;
  const [before, after] = keptPair(machine, "scan", call, x.cols, states);
  if (!Number.isInteger(width)) refuse("scan", `x ${shape(x)} with dt ${shape(dt)}`);
  if (!(heads % groups === 0 && c.cols === b.cols))
    refuse("scan", `b ${shape(b)}, c ${shape(c)} for states of ${states}`);
  expect(
    [dt, b, c].every(({ rows }) => rows === x.rows),
    "scan",
    "inputs of different numbers of rows",
  );
  const fits = a.rows * a.cols === heads * (a.cols === 1 ? 1 : states) && skip.rows * skip.cols === heads;
  if (!fits) refuse("scan", `a ${shape(a)} and skip ${shape(skip)} for ${heads} heads with states of ${states}`);
  const out = machine.empty(x.rows, x.cols);
  machine.commands
    .begin(abi.SCAN, x.rows * x.cols * states * STATE_NS)
    .reads(x.address, x.bytes)
    .reads(dt.address, dt.bytes)
    .word(machine.elements(a))
    .reads(b.address, b.bytes)
    .reads(c.address, c.bytes)
    .word(machine.elements(skip))
    .reads(before.address, before.bytes)
    .writes(after.address, after.bytes)
    .writes(out.address, out.bytes)
    .word(x.rows)
    .word(heads)
    .word(width)
    .word(groups)
    .word(states)
    .word(a.cols === 1 ? 1 : states)
    .word(machine.scratch)
    .end();
  return out;
}
