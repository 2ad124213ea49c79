/** The attention state of one layer: its place in its retention group, and the order of the backend's operations. */
import type { AttentionBias, Backend } from "../tensor/backend.js";
import type { KvSlice } from "../tensor/kv.js";
import type { Tensor } from "../tensor/tensor.js";
import type { KvCache } from "./kv-cache.js";
import type { AttendCall, AttentionShape, AttentionState } from "./mixer-state.js";
import type { RetentionGroup } from "./retention.js";
import type { PlanInputs } from "./step-inputs.js";

export class LayerState implements AttentionState {
  constructor(
    private readonly cache: KvCache,
    private readonly shape: AttentionShape,
    private readonly group: RetentionGroup,
    private readonly slice: KvSlice,
  ) {}

  attend(ops: Backend, call: AttendCall): void {
    const { shape, slice, cache } = this;
    const { rope } = shape;
    const slot = this.group.slotOf(cache.seen);
    const inputs = cache.inputs.of(this.group);
    if (rope?.scaling.kind === "dynamic") {
      ops.append({ keys: call.k, values: call.v, slice, slot });
      const rotation = cache.dynamicRotation(this.group, slice.heads);
      const rotated = rotation.rotate(ops, { q: call.q, slice, rope, plan: inputs.plan });
      this.mix(ops, call, inputs, rotated.queries, rotated.slice);
      return;
    }
    const rotation = rope && inputs.rotation(rope);
    ops.append({ keys: call.k, values: call.v, slice, slot, angles: rotation?.keys });
    const unmoved = rotation ? ops.rotate(call.q, shape.keyWidth, rotation.keys) : call.q;
    const queries: Tensor[] = [];
    for (let range = 0; range < inputs.plan.ranges; range++) {
      const angles = rotation?.queries[range];
      queries.push(!angles || angles === rotation?.keys ? unmoved : ops.rotate(call.q, shape.keyWidth, angles));
    }
    this.mix(ops, call, inputs, queries, slice);
  }

  private mix(ops: Backend, call: AttendCall, inputs: PlanInputs, queries: readonly Tensor[], slice: KvSlice): void {
    const { heads, kvHeads, scale, softcap } = this.shape;
    const { out, sinks } = call;
    const { spans } = inputs;
    const group = heads / kvHeads;
    ops.attention({ out, queries, spans, slice, group, scale, softcap, bias: this.bias(inputs, call), sinks });
  }

  /** What the distances add to the scores. */
  private bias(inputs: PlanInputs, { table }: AttendCall): AttentionBias | undefined {
    const { alibi, relative } = this.shape;
    const { inputs: shared } = this.cache;
    if (alibi) return { kind: "linear", slopes: shared.slopes(alibi), places: inputs.places };
    if (!relative || !table) return undefined;
    return { kind: "table", table, buckets: shared.buckets(relative), places: inputs.places };
  }
}
