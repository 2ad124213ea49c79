/** Convolution and selective scan of state-space layers, row by row as the recurrences are written. */
import type { ConvolutionCall, ScanCall } from "../../tensor/backend.js";
import { softplus } from "./functions.js";
import { elements, ReferenceTensor, tensor } from "./tensors.js";

export function convolution({ x, kernel, bias, before, after }: ConvolutionCall): ReferenceTensor {
  const inputs = tensor(x);
  const channels = kernel.rows;
  const width = kernel.cols;
  const weights = elements(kernel);
  const offsets = bias ? elements(bias) : new Float32Array(channels);
  // The inputs before the first row, then the rows.
  const all = new Float32Array((width - 1 + x.rows) * channels);
  all.set(tensor(before).data);
  all.set(inputs.data, (width - 1) * channels);
  const out = new ReferenceTensor(x.rows, channels, new Float32Array(x.rows * channels));
  for (let t = 0; t < x.rows; t++) {
    for (let channel = 0; channel < channels; channel++) {
      let sum = offsets[channel];
      for (let k = 0; k < width; k++) sum += weights[channel * width + k] * all[(t + k) * channels + channel];
      out.data[t * channels + channel] = sum / (1 + Math.exp(-sum));
    }
  }
  tensor(after).data.set(all.subarray(x.rows * channels));
  return out;
}

export function scan(call: ScanCall): ReferenceTensor {
  const { x, dt, before, after } = call;
  const [a, skip] = [elements(call.a), elements(call.skip)];
  const [b, c] = [tensor(call.b), tensor(call.c)];
  const heads = dt.cols;
  const perHead = x.cols / heads;
  const states = before.cols;
  const perGroup = heads / (b.cols / states);
  const state = Float64Array.from(tensor(before).data);
  const out = new ReferenceTensor(x.rows, x.cols, new Float32Array(x.rows * x.cols));
  for (let t = 0; t < x.rows; t++) {
    for (let channel = 0; channel < x.cols; channel++) {
      const head = Math.floor(channel / perHead);
      const group = Math.floor(head / perGroup) * states;
      const step = softplus(tensor(dt).row(t)[head]);
      const input = tensor(x).row(t)[channel];
      let sum = skip[head] * input;
      for (let n = 0; n < states; n++) {
        const decay = Math.exp(step * a[call.a.cols === 1 ? head : head * states + n]);
        const at = channel * states + n;
        state[at] = decay * state[at] + step * b.row(t)[group + n] * input;
        sum += c.row(t)[group + n] * state[at];
      }
      out.data[t * x.cols + channel] = sum;
    }
  }
  tensor(after).data.set(state);
  return out;
}
