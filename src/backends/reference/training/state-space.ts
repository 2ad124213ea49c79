/** Derivatives of convolution and selective scan from states of zeros, channel by channel, as the chain rule writes them. */
import type { ScanBackCall, StateSpaceTraining } from "../../../tensor/training.js";
import { softplus } from "../functions.js";
import { elements, tensor } from "../tensors.js";
import { DERIVATIVES, sigmoid } from "./function-derivatives.js";
import { addTo, rounded } from "./sums.js";

/** With s the sum before SiLU and ds = silu'(s) dy, each product in s gives its two factors their shares of ds. */
const convolutionInput: StateSpaceTraining["convolutionInput"] = (call) => {
  const { x, kernel } = call;
  const { rows: channels, cols: width } = kernel;
  const [inputs, dy, weights] = [tensor(x).data, tensor(call.dy).data, elements(kernel)];
  const offsets = call.bias ? elements(call.bias) : new Float32Array(channels);
  const dx = new Float64Array(inputs.length);
  const dKernel = new Float64Array(weights.length);
  const dBias = new Float64Array(channels);
  for (let t = 0; t < x.rows; t++) {
    // Inputs before the first row are 0 and get no gradient.
    const first = Math.max(0, width - 1 - t);
    for (let channel = 0; channel < channels; channel++) {
      const inputAt = (k: number) => (t + k - (width - 1)) * channels + channel;
      let sum = offsets[channel];
      for (let k = first; k < width; k++) sum += weights[channel * width + k] * inputs[inputAt(k)];
      const slope = DERIVATIVES.silu(sum, 0) * dy[t * channels + channel];
      dBias[channel] += slope;
      for (let k = first; k < width; k++) {
        dKernel[channel * width + k] += slope * inputs[inputAt(k)];
        dx[inputAt(k)] += slope * weights[channel * width + k];
      }
    }
  }
  addTo(call.kernelGradient, dKernel);
  addTo(call.biasGradient, dBias);
  return rounded(x.rows, channels, dx);
};

/**
 * With E[t] = exp(d[t] a) and, from the last row back, the gradient of a state g[t] = c[t] dy[t] + E[t+1] g[t+1]:
 *   dx = skip dy + sum_n g d b,  db = sum g d x,  dc = sum dy state,  dd = sum g (a E[t] state[t-1] + b x),
 *   da = sum g d E[t] state[t-1],  d skip = sum dy x,  d dt = softplus'(dt) dd.
 */
const scanInputs: StateSpaceTraining["scanInputs"] = (call) => {
  const { x, dt, b, states } = call;
  const size = ({ rows, cols }: { readonly rows: number; readonly cols: number }) => new Float64Array(rows * cols);
  const sums: ScanSums = { x: size(x), d: size(dt), a: size(call.a), b: size(b), c: size(b), skip: size(call.skip) };
  const steps = Float64Array.from(tensor(dt).data, softplus);
  const [rates, skips] = [elements(call.a), elements(call.skip)];
  for (let channel = 0; channel < x.cols; channel++) {
    const head = Math.floor((channel * dt.cols) / x.cols);
    const group = Math.floor((head * b.cols) / states / dt.cols);
    for (let n = 0; n < states; n++) {
      const rate = call.a.cols === 1 ? head : head * states + n;
      scanState(call, steps, rates, sums, { channel, head, rate, shared: group * states + n });
    }
    for (let t = 0; t < x.rows; t++) {
      const slope = tensor(call.dy).row(t)[channel];
      sums.x[t * x.cols + channel] += skips[head] * slope;
      sums.skip[head] += slope * tensor(x).row(t)[channel];
    }
  }
  addTo(call.aGradient, sums.a);
  addTo(call.skipGradient, sums.skip);
  const slopes = sums.d.map((value, i) => value * sigmoid(tensor(dt).data[i]));
  return {
    x: rounded(x.rows, x.cols, sums.x),
    dt: rounded(dt.rows, dt.cols, slopes),
    b: rounded(b.rows, b.cols, sums.b),
    c: rounded(b.rows, b.cols, sums.c),
  };
};

/** Gradients; `d` is that of softplus(dt). */
type ScanSums = Readonly<Record<"x" | "d" | "a" | "b" | "c" | "skip", Float64Array>>;

/** One number of a channel's state, over all rows: where its rate stands in `a`, its column of b and c. */
interface StatePlace {
  readonly channel: number;
  readonly head: number;
  readonly rate: number;
  readonly shared: number;
}

/** Adds the shares of one number of the state, which is computed anew for all rows first. */
function scanState(
  call: ScanBackCall,
  steps: Float64Array,
  rates: Float32Array,
  sums: ScanSums,
  place: StatePlace,
): void {
  const { x, dt } = call;
  const { channel, head, shared } = place;
  const width = call.b.cols;
  const [inputs, b, c, dy] = [x, call.b, call.c, call.dy].map((each) => tensor(each).data);
  const rate = rates[place.rate];
  // state[t] is that before row t.
  const state = new Float64Array(x.rows + 1);
  for (let t = 0; t < x.rows; t++) {
    const d = steps[t * dt.cols + head];
    state[t + 1] = Math.exp(d * rate) * state[t] + d * b[t * width + shared] * inputs[t * x.cols + channel];
  }
  // Of the state after row t, from the rows behind it.
  let later = 0;
  for (let t = x.rows - 1; t >= 0; t--) {
    const [at, sharedAt, stepAt] = [t * x.cols + channel, t * width + shared, t * dt.cols + head];
    const d = steps[stepAt];
    const decay = Math.exp(d * rate);
    const slope = later + c[sharedAt] * dy[at];
    sums.c[sharedAt] += dy[at] * state[t + 1];
    sums.b[sharedAt] += slope * d * inputs[at];
    sums.x[at] += slope * d * b[sharedAt];
    sums.d[stepAt] += slope * (rate * decay * state[t] + b[sharedAt] * inputs[at]);
    sums.a[place.rate] += slope * d * decay * state[t];
    later = decay * slope;
  }
}

export function stateSpaceTraining(): StateSpaceTraining {
  return { convolutionInput, scanInputs };
}
