/** AdamW and what goes with it, number by number in double precision. */
import type { AdamWCall, OptimizerTraining } from "../../../tensor/training.js";
import { InternalError } from "../../../util/errors.js";
import { own, ReferenceTensor, ReferenceWeight, tensor } from "../tensors.js";

/** A trained weight's numbers in place. */
function numbersOf(weight: ReferenceWeight): Float32Array {
  const { name, dtype, bytes, rows, cols } = weight;
  if (dtype !== "f32") {
    throw new InternalError(`The optimizer changes f32 weights only; ${name} is ${dtype}: convert it before training.`);
  }
  return new Float32Array(bytes.buffer, bytes.byteOffset, rows * cols);
}

function adamW(call: AdamWCall): void {
  const { rate, beta1, beta2, epsilon, decay, correction1, correction2, gradientScale } = call;
  const weights = numbersOf(own(ReferenceWeight, call.weight));
  const gradient = tensor(call.gradient).data;
  const [first, second] = [tensor(call.first).data, tensor(call.second).data];
  for (let i = 0; i < weights.length; i++) {
    const g = gradient[i] * gradientScale;
    const m = beta1 * first[i] + (1 - beta1) * g;
    const v = beta2 * second[i] + (1 - beta2) * g * g;
    weights[i] -= rate * (m / correction1 / (Math.sqrt(v / correction2) + epsilon) + decay * weights[i]);
    first[i] = m;
    second[i] = v;
  }
}

export function optimizerTraining(): OptimizerTraining {
  return {
    clear(x) {
      tensor(x).data.fill(0);
    },
    sumsOfSquares(x) {
      const sums = x.map((each) => tensor(each).data.reduce((sum, value) => sum + value * value, 0));
      return new ReferenceTensor(1, sums.length, Float32Array.from(sums));
    },
    adamW,
  };
}
