/** Gates for tests: for any model, by a rule of layer and head. */
import { fitAllGates, type GatesByName } from "../../src/context/gates/index.js";
import type { AttentionShape } from "../../src/context/mixer-state.js";
import { Random } from "../../src/util/random.js";

type Shapes = readonly Pick<AttentionShape, "layer" | "kvHeads">[];

/** Gates named `one`, `zero`, and `mixed`, in which about half of the heads are above 0.5, of every layer and by seed. */
export function gatesFor(attention: Shapes, seed = 1): GatesByName {
  const random = new Random(seed);
  const layers = (gate: () => number) => attention.map(({ kvHeads }) => Array.from({ length: kvHeads }, gate));
  const of = (rows: number[][]) => ({ model: null, layers: rows, threshold: null, found: null });
  return fitAllGates(
    { one: of(layers(() => 1)), zero: of(layers(() => 0)), mixed: of(layers(() => random.double())) },
    { architecture: "test", attention },
  );
}
