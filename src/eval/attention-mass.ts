/**
 * Have attention sinks formed? The mean probability that queries give to the first places of a text, by layer and head
 * (2309.17453, figure 2), as the reference backend computes it. Without sinks it is near what all places would get alike.
 */
import { attentionWeights } from "../backends/reference/attention.js";
import { ReferenceBackend } from "../backends/reference/reference.js";
import { parsePolicy } from "../context/policy-text.js";
import { SequenceMemory } from "../context/sequence-memory.js";
import type { LocalModel } from "../engine/local-model.js";
import { StepRunner } from "../engine/step/step-runner.js";
import type { AttentionCall, AttentionPart } from "../tensor/backend.js";
import { ArgumentError } from "../util/errors.js";
import { observedBackend } from "./observed-backend.js";

export interface AttentionMassOptions {
  /** First places that are looked at; default 4. */
  readonly places?: number;
  /** First query that counts, from 0: those near the beginning see little else; default 64. */
  readonly from?: number;
}

export interface HeadMass {
  /** Mean probability of each of the first places. */
  readonly places: readonly number[];
  /** Mean probability that goes to no place: the part of a zero or learned sink. */
  readonly nowhere: number;
}

export interface LayerMass extends HeadMass {
  readonly layer: number;
  /** By query head; the layer's own figures are their means. */
  readonly heads: readonly HeadMass[];
}

export interface AttentionMass {
  readonly layers: readonly LayerMass[];
  /** Mean probability of a place if all that a query sees got the same. */
  readonly uniform: number;
}

/**
 * Reads each text from its beginning, whole.
 * @param model with decoder alone, on the reference backend
 */
export async function attentionMass(
  model: LocalModel,
  texts: readonly Int32Array[],
  { places = 4, from = 64 }: AttentionMassOptions = {},
): Promise<AttentionMass> {
  const { backend, decoder } = model.runner;
  if (!(backend instanceof ReferenceBackend)) {
    throw new ArgumentError(`Attention is read on the reference backend; the model runs on ${backend.name}.`);
  }
  const longest = texts.reduce((most, { length }) => Math.max(most, length), 0);
  if (longest <= from) throw new ArgumentError(`A text needs more than ${from} tokens; the longest has ${longest}.`);
  const { attention: shapes } = decoder.shapes;
  const sums = shapes.map(({ heads }) => new MassSums(heads, places, from));
  let layer = 0;
  const observed = observedBackend(backend, { attention: (call) => sums[layer++].add(call) });
  const runner = new StepRunner(observed, decoder);
  await model.runner.inTurn(async () => {
    for (const ids of texts) {
      layer = 0;
      const settings = { policy: parsePolicy("full"), keyType: "f32", valueType: "f32", limit: ids.length } as const;
      const memory = new SequenceMemory(observed, decoder.shapes, settings);
      try {
        await runner.run(memory, ids, "last", () => {});
      } finally {
        memory.dispose();
      }
    }
  });
  const layers = sums.map((sum, index) => ({ layer: shapes[index].layer, ...sum.means() }));
  return { layers, uniform: uniformShare(texts, from) };
}

/** Sums over the queries of one layer. */
class MassSums {
  private readonly places: Float64Array[];
  private readonly nowhere: Float64Array;
  private queries = 0;

  constructor(
    heads: number,
    places: number,
    private readonly from: number,
  ) {
    this.places = Array.from({ length: heads }, () => new Float64Array(places));
    this.nowhere = new Float64Array(heads);
  }

  /** A whole text, so rows and slots are places in it. */
  add(call: AttentionCall): void {
    const { parts, group, out } = call;
    for (let row = this.from; row < out.rows; row++) {
      this.queries++;
      for (const part of parts) {
        if (row < part.first || row >= part.first + part.rows) continue;
        part.slice.heads.forEach((kvHead, index) => {
          for (let g = 0; g < group; g++) this.addHead(call, part, row, index, kvHead * group + g);
        });
      }
    }
  }

  private addHead(call: AttentionCall, part: AttentionPart, row: number, index: number, head: number): void {
    const { slots, weights, total } = attentionWeights(call, part, row, index, head);
    const sums = this.places[head];
    slots.forEach((slot, j) => {
      if (slot < sums.length) sums[slot] += weights[j] / total;
    });
    this.nowhere[head] += 1 - weights.reduce((sum, weight) => sum + weight, 0) / total;
  }

  means(): HeadMass & { readonly heads: readonly HeadMass[] } {
    const heads = this.places.map((sums, head): HeadMass => {
      return { places: Array.from(sums, (sum) => sum / this.queries), nowhere: this.nowhere[head] / this.queries };
    });
    const mean = (of: (head: HeadMass) => number) => heads.reduce((sum, head) => sum + of(head), 0) / heads.length;
    const places = heads[0].places.map((_, place) => mean((head) => head.places[place]));
    return { places, nowhere: mean(({ nowhere }) => nowhere), heads };
  }
}

/** The mean of 1 / (t + 1) over all queries t. */
function uniformShare(texts: readonly Int32Array[], from: number): number {
  let sum = 0;
  let queries = 0;
  for (const { length } of texts) {
    for (let t = from; t < length; t++, queries++) sum += 1 / (t + 1);
  }
  return sum / queries;
}
