/** Commands of the operations that work row by row or element by element. */
import * as abi from "../../../../kernels/abi.js";
import type { Angles, ElementFunction, Gating, RopeLayout } from "../../../tensor/backend.js";
import type { Tensor } from "../../../tensor/tensor.js";
import type { Machine } from "../machine.js";
import { ownInput, ownTensor, refuse, shape, type WasmInput, type WasmTensor } from "../tensors.js";

/** Nanoseconds per element of one thread, roughly; they only decide what is worth sharing. */
const COST = { add: 0.1, map: 0.6, rotate: 0.3, copy: 0.1 } as const;

export const FUNCTIONS: Readonly<Record<ElementFunction | Gating, number>> = {
  silu: abi.SILU,
  gelu: abi.GELU,
  geluErf: abi.GELU_ERF,
  relu: abi.RELU,
  scale: abi.SCALE,
  clamp: abi.CLAMP,
  softcap: abi.SOFTCAP,
  clampedSwiglu: abi.CLAMPED_SWIGLU,
};

export const LAYOUTS: Readonly<Record<RopeLayout, number>> = { interleaved: abi.INTERLEAVED, halves: abi.HALVES };

export function add(machine: Machine, left: Tensor, right: Tensor): Tensor {
  const a = ownTensor(left);
  const b = ownTensor(right);
  if (!(a.rows === b.rows && a.cols === b.cols)) refuse("add", `${shape(a)} and ${shape(b)}`);
  const out = machine.empty(a.rows, a.cols);
  machine.commands
    .begin(abi.ADD, a.rows * a.cols * COST.add)
    .reads(a.address, a.bytes)
    .reads(b.address, b.bytes)
    .writes(out.address, out.bytes)
    .word(a.rows * a.cols)
    .end();
  return out;
}

/** `parameter`: p of scale, clamp, softcap. */
export function map(machine: Machine, input: Tensor, f: ElementFunction, parameter: number): Tensor {
  const x = ownTensor(input);
  const out = machine.empty(x.rows, x.cols);
  machine.commands
    .begin(abi.MAP, x.rows * x.cols * COST.map)
    .reads(x.address, x.bytes)
    .word(0)
    .writes(out.address, out.bytes)
    .word(x.rows * x.cols)
    .word(FUNCTIONS[f])
    .float(parameter)
    .end();
  return out;
}

export function gated(machine: Machine, gates: Tensor, ups: Tensor, gating: Gating): Tensor {
  const gate = ownTensor(gates);
  const up = ownTensor(ups);
  if (!(gate.rows === up.rows && gate.cols === up.cols)) refuse("gated", `${shape(gate)} and ${shape(up)}`);
  const out = machine.empty(gate.rows, gate.cols);
  machine.commands
    .begin(abi.MAP, gate.rows * gate.cols * COST.map)
    .reads(gate.address, gate.bytes)
    .reads(up.address, up.bytes)
    .writes(out.address, out.bytes)
    .word(gate.rows * gate.cols)
    .word(FUNCTIONS[gating])
    .end();
  return out;
}

export function rotate(machine: Machine, input: Tensor, headWidth: number, angles: Angles): Tensor {
  const x = ownTensor(input);
  const values = ownInput(angles.values);
  if (!(x.cols % headWidth === 0)) refuse("rotate", `${shape(x)} in heads of ${headWidth}`);
  checkAngles("rotate", angles, x.rows, headWidth);
  const out = machine.empty(x.rows, x.cols);
  machine.commands
    .begin(abi.ROTATE, x.rows * x.cols * COST.rotate)
    .reads(x.address, x.bytes)
    .writes(out.address, out.bytes)
    .word(x.rows)
    .word(x.cols / headWidth)
    .word(headWidth)
    .word(values.address)
    .word(angles.dims)
    .word(LAYOUTS[angles.layout])
    .end();
  return out;
}

/** Fails unless there are angles for `rows` rows of heads of `width` elements. */
export function checkAngles(operation: string, angles: Angles, rows: number, width: number): void {
  const { dims, values } = angles;
  const fits = dims % 2 === 0 && dims <= width && values.length >= rows * dims;
  if (!fits) refuse(operation, `${values.length} angle values of ${dims} dims for ${rows} rows of heads of ${width}`);
}

export function gather(machine: Machine, input: Tensor, indices: WasmInput): WasmTensor {
  const x = ownTensor(input);
  const out = machine.empty(indices.length, x.cols);
  machine.commands
    .begin(abi.GATHER, out.rows * out.cols * COST.copy)
    .reads(x.address, x.bytes)
    .word(indices.address)
    .writes(out.address, out.bytes)
    .word(indices.length)
    .word(x.cols * 4)
    .end();
  return out;
}

export function concat(machine: Machine, parts: readonly Tensor[]): Tensor {
  const most = parts.reduce((rows, part) => Math.max(rows, part.rows), 0);
  const indices = machine.input(Int32Array.from({ length: most }, (_, row) => row));
  const out = machine.empty(
    parts.reduce((rows, part) => rows + part.rows, 0),
    parts[0].cols,
  );
  let target = out.address;
  for (const part of parts) {
    const x = ownTensor(part);
    if (!(x.cols === out.cols)) refuse("concat", `${shape(x)} among rows of ${out.cols}`);
    machine.commands
      .begin(abi.GATHER, x.rows * x.cols * COST.copy)
      .reads(x.address, x.bytes)
      .word(indices.address)
      .writes(target, x.bytes)
      .word(x.rows)
      .word(x.cols * 4)
      .end();
    target += x.bytes;
  }
  return out;
}
