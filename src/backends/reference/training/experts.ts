/** Derivatives of mixtures of experts: of the choice's weights, of each expert's products, of the weighted sum. */
import type { ExpertLinearBackCall, ExpertTraining, RouteBackCall } from "../../../tensor/training.js";
import { ReferenceRouting } from "../experts.js";
import { elements, own, tensor } from "../tensors.js";
import { addTo, rounded } from "./sums.js";

function softmax(logits: Float64Array): Float64Array {
  const most = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const powers = logits.map((logit) => Math.exp(logit - most));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}

/** Of p = softmax(logits), where `slopes` are those of p: p (slopes - p . slopes). */
function softmaxInput(p: Float64Array, slopes: Float64Array): Float64Array {
  const along = p.reduce((sum, value, i) => sum + value * slopes[i], 0);
  return p.map((value, i) => value * (slopes[i] - along));
}

/** d (balance E sum f_e P_e) / d p_te = balance E f_e / T. */
function balanceSlopes(routing: ReferenceRouting, experts: number, balance: number): Float64Array {
  const counts = new Float64Array(experts);
  for (const expert of routing.experts) counts[expert]++;
  return counts.map((count) => (balance * experts * count) / (routing.experts.length * routing.rows));
}

function routeInput({ logits, weighting, dy, balance = 0, ...call }: RouteBackCall) {
  const routing = own(ReferenceRouting, call.routing);
  const { rows, used } = routing;
  const count = logits.cols;
  const ofBalance = balanceSlopes(routing, count, balance);
  const out = new Float64Array(rows * count);
  for (let t = 0; t < rows; t++) {
    const row = Float64Array.from(tensor(logits).row(t));
    const slopes = ofBalance.slice();
    const chosen = routing.experts.subarray(t * used, (t + 1) * used);
    const outer = Float64Array.from(tensor(dy).row(t));
    if (weighting === "all") {
      chosen.forEach((expert, j) => {
        slopes[expert] += outer[j];
      });
    } else {
      const p = softmax(Float64Array.from(chosen, (expert) => row[expert]));
      softmaxInput(p, outer).forEach((slope, j) => {
        out[t * count + chosen[j]] += slope;
      });
    }
    softmaxInput(softmax(row), slopes).forEach((slope, expert) => {
      out[t * count + expert] += slope;
    });
  }
  return rounded(rows, count, out);
}

/** As linear's, row by row with the matrix of the row's expert. */
function expertLinearInput({ x, experts, dy, gradient, biasGradient, ...call }: ExpertLinearBackCall) {
  const routing = own(ReferenceRouting, call.routing);
  const perRow = x.rows === routing.rows ? routing.used : 1;
  const { count, matrix } = experts;
  const [outputs, inputs] = [matrix.rows / count, x.cols];
  const weights = elements(matrix);
  const [ofWeights, ofBiases] = [new Float64Array(weights.length), new Float64Array(count * outputs)];
  const dx = new Float64Array(x.rows * inputs);
  routing.experts.forEach((expert, entry) => {
    const from = Math.floor(entry / perRow);
    const [row, slopes] = [tensor(x).row(from), tensor(dy).row(entry)];
    for (let o = 0; o < outputs; o++) {
      const output = expert * outputs + o;
      ofBiases[output] += slopes[o];
      for (let i = 0; i < inputs; i++) {
        dx[from * inputs + i] += slopes[o] * weights[output * inputs + i];
        ofWeights[output * inputs + i] += slopes[o] * row[i];
      }
    }
  });
  addTo(gradient, ofWeights);
  addTo(biasGradient, ofBiases);
  return rounded(x.rows, inputs, dx);
}

const mixing: Pick<ExpertTraining, "routingWeights" | "mixExpertsInputs"> = {
  routingWeights(routing) {
    const { rows, used, weights } = own(ReferenceRouting, routing);
    return rounded(rows, used, weights);
  },

  mixExpertsInputs(y, routing, dy) {
    const { rows, used, weights } = own(ReferenceRouting, routing);
    const [ofY, ofWeights] = [new Float64Array(y.rows * y.cols), new Float64Array(rows * used)];
    weights.forEach((weight, entry) => {
      const [row, slopes] = [tensor(y).row(entry), tensor(dy).row(Math.floor(entry / used))];
      slopes.forEach((slope, i) => {
        ofY[entry * y.cols + i] = weight * slope;
        ofWeights[entry] += row[i] * slope;
      });
    });
    return { y: rounded(y.rows, y.cols, ofY), weights: rounded(rows, used, ofWeights) };
  },
};

export function expertTraining(): ExpertTraining {
  return { ...mixing, routeInput, expertLinearInput };
}
