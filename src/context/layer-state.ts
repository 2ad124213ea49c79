/** The attention state of one layer: its place in its retention group, and the order of the backend's operations. */
import type { AttentionBias, Backend } from "../tensor/backend.js";
import type { KvSlice } from "../tensor/kv.js";
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
    const { spans } = inputs;
    const common = {
      out: call.out,
      spans,
      group: shape.heads / shape.kvHeads,
      scale: shape.scale,
      softcap: shape.softcap,
      bias: this.bias(inputs, call),
      sinks: call.sinks,
    };
    if (rope?.scaling.kind === "dynamic") {
      ops.append({ keys: call.k, values: call.v, slice, slot });
      const rotation = cache.dynamicRotation(this.group, slice.heads);
      const rotated = rotation.rotate(ops, { q: call.q, slice, rope, plan: inputs.plan });
      ops.attention({ ...common, ...rotated });
      return;
    }
    const rotation = rope && inputs.rotation(rope);
    ops.append({ keys: call.k, values: call.v, slice, slot, angles: rotation?.keys });
    const unmoved = rotation ? ops.rotate(call.q, shape.keyWidth, rotation.keys) : call.q;
    const queries = inputs.plan.moved.map((_, range) => {
      const angles = rotation?.queries[range];
      return !angles || angles === rotation?.keys ? unmoved : ops.rotate(call.q, shape.keyWidth, angles);
    });
    ops.attention({ ...common, queries, slice });
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
