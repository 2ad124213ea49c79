/**
 * The rows of all sequences of a step, as the layers of a model see them: one call to write keys and values and one to
 * attend, whatever the number of sequences and head sets. What layers share (spans, angles) is uploaded once. A sequence's
 * numbers are those that it would have alone. One object serves all steps of a model.
 */

import { type RopeSpec, writeAngles } from "../position/rope.js";
import { type Angles, type AttentionCall, type Backend, partRows } from "../tensor/backend.js";
import { PAGE_TOKENS } from "../tensor/kv.js";
import type { StepInput, Tensor } from "../tensor/tensor.js";
import { InternalError } from "../util/errors.js";
import { distanceBias } from "./distance-bias.js";
import { DynamicAngles } from "./dynamic-rotation.js";
import type { HeadPart } from "./layer-cache.js";
import type { AttendCall, AttentionShape, AttentionState, MixerShapes, Segment, StepStates } from "./mixer-state.js";
import type { SequenceMemory } from "./sequence-memory.js";
import { SourceStep } from "./source-step.js";
import type { LayerPlans, StepPlan } from "./step-plan.js";
import { Uploads } from "./uploads.js";

/** Rows of a sequence whose `begin` has announced them. */
export interface StepSegment extends Segment {
  readonly state: SequenceMemory;
}

export class Step implements StepStates {
  segments: readonly StepSegment[] = [];
  /** Counts how often the sequences of a step were others than those of the step before. */
  changes = 0;
  private readonly layers: ReadonlyMap<number, StepLayer>;
  private readonly inputs: StepInputs;
  private readonly sources: SourceStep;

  constructor(backend: Backend, shapes: Pick<MixerShapes, "attention">) {
    this.inputs = new StepInputs(backend);
    this.sources = new SourceStep(backend);
    this.layers = new Map(shapes.attention.map((shape) => [shape.layer, new StepLayer(this, this.inputs, shape)]));
  }

  /** All sequences have begun, and the backend's step too. Segments follow one another from row 0. */
  begin(segments: readonly StepSegment[]): void {
    if (!sameStates(segments, this.segments)) this.changes++;
    this.segments = segments;
    this.inputs.begin(segments);
    this.sources.begin(segments);
  }

  attention(layer: number): AttentionState {
    const found = this.layers.get(layer);
    if (!found) throw new InternalError(`Layer ${layer} has no attention state.`);
    return found;
  }

  cross(layer: number) {
    return this.sources.layer(layer);
  }
}

function sameStates(some: readonly StepSegment[], others: readonly StepSegment[]): boolean {
  if (some.length !== others.length) return false;
  for (let i = 0; i < some.length; i++) if (some[i].state !== others[i].state) return false;
  return true;
}

/** The queries of a layer's rows, as they are rotated. */
interface Rotation {
  readonly rope: RopeSpec;
  /** By sequence. */
  readonly plans: readonly LayerPlans[];
  /** Of the keys, and of queries that stand where their rows do. */
  readonly keys: Angles;
  /** By query, from 0; undefined: as the keys. */
  readonly queries: readonly (Angles | undefined)[];
}

/** Host numbers of the running step. */
class StepInputs {
  readonly uploads: Uploads;
  readonly dynamic: DynamicAngles;
  private segments: readonly StepSegment[] = [];
  private rows = 0;
  private pairs = 0;
  private readonly plans: StepPlan[] = [];
  private readonly rotations: Rotation[] = [];
  private spansInput: StepInput | undefined;
  private whole = new Int32Array(0);
  private angleBuffer = new Float32Array(0);

  constructor(private readonly backend: Backend) {
    this.uploads = new Uploads(backend);
    this.dynamic = new DynamicAngles(backend);
  }

  begin(segments: readonly StepSegment[]): void {
    this.uploads.clear();
    this.dynamic.clear();
    this.rotations.length = 0;
    this.plans.length = 0;
    this.spansInput = undefined;
    this.segments = segments;
    this.rows = 0;
    this.pairs = 0;
    for (const { start, count, state } of segments) {
      this.rows = start + count;
      for (const { plans } of state.cache.plans) for (const plan of plans) this.place(plan, start);
    }
  }

  private place(plan: StepPlan, first: number): void {
    plan.first = first;
    plan.offset = this.pairs;
    this.pairs += plan.pairs;
    this.plans.push(plan);
  }

  /** i32, pairs of all plans. */
  get spans(): StepInput {
    this.spansInput ??= this.backend.input(this.gather(2, ({ spans }) => spans));
    return this.spansInput;
  }

  /** i32, one for each pair. */
  get places(): StepInput {
    return this.uploads.once("places", () => this.gather(1, ({ places }) => places));
  }

  private gather(width: number, numbersOf: (plan: StepPlan) => Int32Array): Int32Array {
    const size = this.pairs * width;
    if (this.plans.length === 1) return numbersOf(this.plans[0]).subarray(0, size);
    if (this.whole.length < size) this.whole = new Int32Array(size);
    for (const plan of this.plans) {
      this.whole.set(numbersOf(plan).subarray(0, plan.pairs * width), plan.offset * width);
    }
    return this.whole.subarray(0, size);
  }

  /** @param plans of the layer, by sequence */
  rotation(rope: RopeSpec, plans: readonly LayerPlans[], queries: number): Rotation {
    let keys: Angles | undefined;
    for (const known of this.rotations) {
      if (known.rope !== rope) continue;
      if (samePlans(known.plans, plans)) return known;
      keys ??= known.keys;
    }
    keys ??= this.angles(rope, plans, 0);
    const moved: (Angles | undefined)[] = [];
    for (let query = 0; query < queries; query++) {
      moved.push(plans.some((own) => own.planOf(query)) ? this.angles(rope, plans, query) : undefined);
    }
    const made = { rope, plans, keys, queries: moved };
    this.rotations.push(made);
    return made;
  }

  private angles(rope: RopeSpec, plans: readonly LayerPlans[], query: number): Angles {
    const size = this.rows * rope.dims;
    if (this.angleBuffer.length < size) this.angleBuffer = new Float32Array(size);
    this.segments.forEach(({ start, count, state }, i) => {
      const frequencies = state.cache.frequencies(rope);
      const plan = plans[i].planOf(query);
      for (let row = 0; row < count; row++) {
        const position = plan ? plan.position(query, row) : state.seen + row;
        writeAngles(frequencies, position, this.angleBuffer, start + row);
      }
    });
    const values = this.backend.input(this.angleBuffer.subarray(0, size));
    return { layout: rope.layout, dims: rope.dims, values };
  }
}

function samePlans(some: readonly LayerPlans[], others: readonly LayerPlans[]): boolean {
  for (let i = 0; i < some.length; i++) if (some[i] !== others[i]) return false;
  return true;
}

/** One layer of the running step. */
class StepLayer implements AttentionState {
  // Of the step's sequences; they stay while the sequences do.
  private parts: readonly HeadPart[] = [];
  /** Whether some part may choose what it reads. */
  private bounded = false;
  private plans: readonly LayerPlans[] = [];
  private collectedAt = 0;
  private readonly queries: Tensor[] = [];
  /** Rows that attention reads together. */
  private readonly most: number;

  constructor(
    private readonly step: Step,
    private readonly inputs: StepInputs,
    private readonly shape: AttentionShape,
  ) {
    this.most = partRows(shape.heads / shape.kvHeads);
  }

  attend(ops: Backend, call: AttendCall): void {
    const { rope } = this.shape;
    this.collect();
    if (rope?.scaling.kind === "dynamic") {
      this.attendDynamic(ops, call, rope);
      return;
    }
    const { shape, parts, plans, queries } = this;
    let count = 0;
    for (const { queries: own } of plans) count = Math.max(count, own);
    const rotation = rope && this.inputs.rotation(rope, plans, count);
    ops.append({ keys: call.k, values: call.v, parts, angles: rotation?.keys });
    const unmoved = rotation ? ops.rotate(call.q, shape.keyWidth, rotation.keys) : call.q;
    for (let query = count - 1; query >= 0; query--) {
      const angles = rotation?.queries[query];
      queries[count - 1 - query] = angles ? ops.rotate(call.q, shape.keyWidth, angles) : unmoved;
    }
    if (queries.length > count) queries.length = count;
    ops.attention(this.selected(ops, this.attentionCall(call, queries, parts)));
  }

  /** The call, of whose parts those that choose what they read have chosen. */
  private selected(ops: Backend, call: AttentionCall): AttentionCall {
    const { parts } = this;
    if (!(this.bounded && parts.some(({ chooses }) => chooses)))
      return parts.every(({ rows }) => rows === 1)
        ? call
        : { ...call, parts: parts.flatMap((part) => part.runs(this.most)) };
    const lists = ops.select({ ...call, parts: parts.flatMap(({ selecting }) => selecting ?? []) });
    let next = 0;
    return {
      ...call,
      parts: parts.flatMap((part) => (part.chooses ? part.reading(lists[next++]) : part.runs(this.most))),
    };
  }

  /** The parts of all sequences. */
  private collect(): void {
    const { step, shape } = this;
    if (this.collectedAt === step.changes) return;
    this.collectedAt = step.changes;
    const layers = step.segments.map(({ state }) => state.layer(shape.layer));
    this.parts = layers.flatMap(({ parts }) => parts);
    this.bounded = this.parts.some(({ ownBounds }) => ownBounds !== undefined);
    this.plans = layers.map(({ plans }) => plans);
  }

  private attendDynamic(ops: Backend, call: AttendCall, rope: RopeSpec): void {
    const { shape, parts, inputs } = this;
    ops.append({ keys: call.k, values: call.v, parts });
    const { segments } = this.step;
    const sets = segments.reduce((most, { state }) => Math.max(most, state.layer(shape.layer).parts.length), 0);
    for (let set = 0; set < sets; set++) {
      const rotated: AttentionCall["parts"][number][] = [];
      const own: HeadPart[] = [];
      segments.forEach(({ state }) => {
        const part = state.layer(shape.layer).parts.at(set);
        if (!part) return;
        const slice = state.cache.scratchOf(part, shape.layer).like(part.slice);
        ops.rotatePages(part.slice, slice, part.slice.table.length * PAGE_TOKENS, inputs.dynamic.ofKeys(rope, part));
        const { first, rows, ranges, spans } = part;
        rotated.push({ slice, first, rows, ranges, spans });
        own.push(part);
      });
      const q = inputs.dynamic.rotateQueries(ops, call.q, shape.keyWidth, rope, own);
      const ranges = rotated.reduce((most, part) => Math.max(most, part.ranges), 0);
      ops.attention(this.attentionCall(call, new Array<Tensor>(ranges).fill(q), rotated));
    }
  }

  private attentionCall(
    { out, sinks, table }: AttendCall,
    queries: readonly Tensor[],
    parts: AttentionCall["parts"],
  ): AttentionCall {
    const { heads, kvHeads, scale, softcap } = this.shape;
    const bias = distanceBias(this.shape, table, this.inputs.uploads, () => this.inputs.places);
    return { out, queries, spans: this.inputs.spans, parts, group: heads / kvHeads, scale, softcap, bias, sinks };
  }
}
