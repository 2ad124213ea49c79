/** Mamba (2312.00752), with the norms of Jamba's (2403.19887): a convolution and a selective scan between projections. */
import type { RecurrentShape } from "../context/mixer-state.js";
import type { Backend } from "../tensor/backend.js";
import type { Tensor, Weight } from "../tensor/tensor.js";
import type { Batch } from "./batch.js";
import { Convolution, convolutionState } from "./convolution.js";
import { Linear } from "./linear.js";
import { type Norm, optionalNorm } from "./norm.js";
import { scanSegments } from "./scan.js";
import type { MambaSpec } from "./spec.js";
import type { Weights } from "./weights.js";

export class Mamba {
  private readonly input: Linear;
  private readonly gate: Linear;
  private readonly convolution: Convolution;
  private readonly timeStepDown: Linear;
  private readonly timeStepUp: Linear;
  private readonly b: Linear;
  private readonly c: Linear;
  private readonly timeStepNorm: Pick<Norm, "forward">;
  private readonly bNorm: Pick<Norm, "forward">;
  private readonly cNorm: Pick<Norm, "forward">;
  private readonly decay: Weight;
  private readonly skip: Weight;
  private readonly output: Linear;

  constructor(
    spec: MambaSpec,
    private readonly layer: number,
    weights: Weights,
  ) {
    this.input = new Linear(spec.input, weights);
    this.gate = new Linear(spec.gate, weights);
    this.convolution = new Convolution(spec.convolution, weights);
    this.timeStepDown = new Linear(spec.timeStepDown, weights);
    this.timeStepUp = new Linear(spec.timeStepUp, weights);
    this.b = new Linear(spec.b, weights);
    this.c = new Linear(spec.c, weights);
    this.timeStepNorm = optionalNorm(spec.timeStepNorm, weights);
    this.bNorm = optionalNorm(spec.bNorm, weights);
    this.cNorm = optionalNorm(spec.cNorm, weights);
    this.decay = weights.get(spec.decay);
    this.skip = weights.get(spec.skip);
    this.output = new Linear(spec.output, weights);
  }

  /** x [T, C] -> [T, C] */
  forward(ops: Backend, x: Tensor, batch: Batch): Tensor {
    const z = this.gate.forward(ops, x); // [T, channels]
    const inner = this.input.forward(ops, x);
    const convolved = this.convolution.forward(ops, inner, batch, (state) => state.recurrent(this.layer)[0]);
    const low = this.timeStepNorm.forward(ops, this.timeStepDown.forward(ops, convolved)); // [T, rank]
    const rows = {
      x: convolved,
      dt: this.timeStepUp.forward(ops, low), // [T, channels]
      b: this.bNorm.forward(ops, this.b.forward(ops, convolved)), // [T, N]
      c: this.cNorm.forward(ops, this.c.forward(ops, convolved)),
    };
    const { decay: a, skip } = this;
    const y = scanSegments(ops, rows, { a, skip }, batch, (state) => state.recurrent(this.layer)[1]);
    return this.output.forward(ops, ops.gated(z, y, "silu"));
  }
}

/** Inputs of the convolution, then the states of all channels. */
export function mambaShape({ convolution, stateSize }: MambaSpec, layer: number): RecurrentShape {
  const scan = { rows: convolution.kernel.rows, cols: stateSize };
  return { layer, tensors: [convolutionState(convolution), scan] };
}
