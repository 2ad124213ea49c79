/** One step of several sequences, for properties that hold whatever else is in a step. */
import type { Origin } from "../../src/context/mixer-state.js";
import type { SequenceMemory } from "../../src/context/sequence-memory.js";
import { Step } from "../../src/context/step.js";
import type { LocalModel } from "../../src/engine/local-model.js";
import { FEW_ROWS } from "../../src/tensor/backend.js";

export interface Member {
  readonly memory: SequenceMemory;
  readonly ids: Int32Array;
  readonly origin?: Origin;
}

/** Logits of every row of each member, in the members' order. Those that read few rows come first in the step. */
export async function batchStep(
  { runner }: { readonly runner: Pick<LocalModel["runner"], "backend" | "decoder"> },
  members: readonly Member[],
): Promise<Float32Array[][]> {
  const { backend, decoder } = runner;
  const isFew = ({ ids }: Member) => ids.length < FEW_ROWS;
  const ordered = [...members.filter(isFew), ...members.filter((member) => !isFew(member))];
  let rows = 0;
  let few = 0;
  const segments = ordered.map((member) => {
    const { memory, ids } = member;
    const start = rows;
    rows += ids.length;
    if (isFew(member)) few = rows;
    return { start, count: ids.length, state: memory };
  });
  backend.beginStep([{ rows, few }]);
  for (const { memory, ids, origin } of ordered) memory.begin(ids.length, origin);
  const states = new Step(backend, decoder.shapes);
  states.begin(segments);
  const ids = backend.input(Int32Array.from(ordered.flatMap((member) => [...member.ids])));
  const logits = decoder.forward(backend, { ids, rows, segments, states });
  const values = (await backend.read(logits)).slice();
  for (const { memory } of ordered) memory.collected();
  return members.map((member) => {
    const { start, count } = segments[ordered.indexOf(member)];
    return rowsOf(values, start, count, logits.cols);
  });
}

/** Rows [start, start + count) of logits. */
export function rowsOf(logits: Float32Array, start: number, count: number, vocabulary: number): Float32Array[] {
  return Array.from({ length: count }, (_, i) => logits.slice((start + i) * vocabulary, (start + i + 1) * vocabulary));
}
