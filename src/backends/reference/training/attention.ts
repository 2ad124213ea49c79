/**
 * Attention over rows and its derivative as their definition: for every row and query head, the visible keys one at a time,
 * in double precision. With s the scores, p = exp(s - logSum), and dp = dOut . v:
 *   dv += p dOut,  ds = p (dp - dOut . out),  then ds goes back through bias, soft cap and q . k.
 */

import type { Tensor } from "../../../tensor/tensor.js";
import type { AttentionBackCall, AttentionTraining, AttentionTrainingCall } from "../../../tensor/training.js";
import { elements, own, ReferenceInput, tensor } from "../tensors.js";
import { addTo } from "./sums.js";

/** One query head of one row, and where its numbers begin. */
interface Place {
  readonly row: number;
  readonly head: number;
  /** Of the head among all numbers of q, and of out. */
  readonly query: number;
  readonly result: number;
}

interface Seen {
  /** Where the key begins among all numbers of k, and its value among those of v. */
  readonly key: number;
  readonly value: number;
  /** With soft cap and bias. */
  readonly score: number;
  /** d score / d (q . k) */
  readonly slope: number;
  /** Which number of a table bias was added. */
  readonly entry: number;
}

/** The call with its numbers at hand: widths, scores of what a row sees. */
class Problem {
  readonly keyWidth: number;
  readonly valueWidth: number;
  readonly ranges: number;
  private readonly spans: Int32Array | Float32Array;
  private readonly biasOf: (entry: number, key: number, head: number) => { added: number; entry: number };

  constructor(
    readonly call: AttentionTrainingCall,
    out: Tensor,
    readonly queryHeads: number,
  ) {
    this.keyWidth = call.q.cols / queryHeads;
    this.valueWidth = out.cols / queryHeads;
    this.spans = own(ReferenceInput, call.spans).values;
    this.ranges = this.spans.length / (2 * call.q.rows);
    this.biasOf = biasOf(call);
  }

  /** All that the call asks for. */
  *places(): Generator<Place> {
    const { q, head: first, heads, group } = this.call;
    for (let row = 0; row < q.rows; row++) {
      for (let head = first * group; head < (first + heads) * group; head++) {
        const query = (row * this.queryHeads + head) * this.keyWidth;
        yield { row, head, query, result: (row * this.queryHeads + head) * this.valueWidth };
      }
    }
  }

  seenFrom({ row, head, query }: Place): Seen[] {
    const { k, v, group, scale, softcap } = this.call;
    const [queries, keys] = [tensor(this.call.q).data, tensor(k).data];
    const kvHead = Math.floor(head / group);
    const seen: Seen[] = [];
    for (let range = row * this.ranges; range < (row + 1) * this.ranges; range++) {
      for (let at = this.spans[2 * range]; at < this.spans[2 * range + 1]; at++) {
        const key = at * k.cols + kvHead * this.keyWidth;
        let dot = 0;
        for (let d = 0; d < this.keyWidth; d++) dot += queries[query + d] * keys[key + d];
        const tanh = softcap === undefined ? 0 : Math.tanh((dot * scale) / softcap);
        const capped = softcap === undefined ? dot * scale : softcap * tanh;
        const { added, entry } = this.biasOf(range, at, head);
        const value = at * v.cols + kvHead * this.valueWidth;
        seen.push({ key, value, score: capped + added, slope: scale * (1 - tanh * tanh), entry });
      }
    }
    return seen;
  }
}

/** What is added to the score of a row and range (`place`), a key and a query head. */
function biasOf({
  bias,
}: AttentionTrainingCall): (place: number, key: number, head: number) => { added: number; entry: number } {
  if (!bias) return () => ({ added: 0, entry: -1 });
  const places = own(ReferenceInput, bias.places).values;
  if (bias.kind === "linear") {
    const slopes = own(ReferenceInput, bias.slopes).values;
    return (place, key, head) => ({ added: -slopes[head] * (places[place] - key), entry: -1 });
  }
  const table = elements(bias.table);
  const buckets = own(ReferenceInput, bias.buckets).values;
  const reach = (buckets.length - 1) / 2;
  return (place, key, head) => {
    const distance = Math.min(Math.max(places[place] - key, -reach), reach);
    const entry = buckets[reach + distance] * bias.table.cols + head;
    return { added: table[entry], entry };
  };
}

function attendRows(call: AttentionTrainingCall, out: Tensor, logSums: Tensor): void {
  const problem = new Problem(call, out, logSums.cols);
  const sinks = call.sinks && elements(call.sinks);
  const [results, totals, values] = [tensor(out).data, tensor(logSums).data, tensor(call.v).data];
  for (const place of problem.places()) {
    const seen = problem.seenFrom(place);
    const sink = sinks ? sinks[place.head] : Number.NEGATIVE_INFINITY;
    const most = seen.reduce((m, { score }) => Math.max(m, score), sink);
    const total = seen.reduce((sum, { score }) => sum + Math.exp(score - most), Math.exp(sink - most));
    // A row without keys and sinks has an empty sum, and its most is no number to take away.
    const logSum = most > Number.NEGATIVE_INFINITY ? most + Math.log(total) : most;
    const sums = new Float64Array(problem.valueWidth);
    for (const { score, value } of seen) {
      const weight = Math.exp(score - logSum);
      for (let d = 0; d < sums.length; d++) sums[d] += weight * values[value + d];
    }
    results.set(sums, place.result);
    totals[place.row * logSums.cols + place.head] = logSum;
  }
}

function attendRowsBack(call: AttentionBackCall): void {
  const problem = new Problem(call, call.out, call.logSums.cols);
  const { keyWidth, valueWidth } = problem;
  const [q, k, v, out, dOut] = [call.q, call.k, call.v, call.out, call.dOut].map((x) => tensor(x).data);
  const logSums = tensor(call.logSums).data;
  const [dq, dk, dv] = [q, k, v].map(({ length }) => new Float64Array(length));
  const sinks = call.sinks && elements(call.sinks);
  const dSinks = new Float64Array(problem.queryHeads);
  const dTable = new Float64Array(call.bias?.kind === "table" ? call.bias.table.rows * call.bias.table.cols : 0);
  for (const place of problem.places()) {
    const { head, query, result } = place;
    const logSum = logSums[place.row * problem.queryHeads + head];
    const seen = problem.seenFrom(place);
    if (seen.length === 0) continue;
    // The mean of dp under p, a sink's dp being 0.
    let mean = 0;
    for (let d = 0; d < valueWidth; d++) mean += dOut[result + d] * out[result + d];
    if (sinks) dSinks[head] -= Math.exp(sinks[head] - logSum) * mean;
    for (const { key, value, score, slope, entry } of seen) {
      const weight = Math.exp(score - logSum);
      let dWeight = 0;
      for (let d = 0; d < valueWidth; d++) {
        dWeight += dOut[result + d] * v[value + d];
        dv[value + d] += weight * dOut[result + d];
      }
      const dScore = weight * (dWeight - mean);
      if (entry >= 0) dTable[entry] += dScore;
      for (let d = 0; d < keyWidth; d++) {
        dq[query + d] += dScore * slope * k[key + d];
        dk[key + d] += dScore * slope * q[query + d];
      }
    }
  }
  addTo(call.dq, dq);
  addTo(call.dk, dk);
  addTo(call.dv, dv);
  addTo(call.sinksGradient, dSinks);
  addTo(call.tableGradient, dTable);
}

export function attentionTraining(): AttentionTraining {
  return { attendRows, attendRowsBack };
}
