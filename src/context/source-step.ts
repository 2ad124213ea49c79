/** Attention of a step's rows to what their sequences' encoders read: one call a layer for all of them. */
import type { Backend } from "../tensor/backend.js";
import type { StepInput } from "../tensor/tensor.js";
import { distanceBias } from "./distance-bias.js";
import type { Segment, StepStates } from "./mixer-state.js";
import type { SequenceMemory } from "./sequence-memory.js";
import { Uploads } from "./uploads.js";

type SourceSegment = Segment & { readonly state: SequenceMemory };

export class SourceStep {
  private readonly uploads: Uploads;
  private segments: readonly SourceSegment[] = [];

  constructor(backend: Backend) {
    this.uploads = new Uploads(backend);
  }

  begin(segments: readonly SourceSegment[]): void {
    this.uploads.clear();
    this.segments = segments;
  }

  layer(layer: number): ReturnType<StepStates["cross"]> {
    return {
      attend: (ops, { q, out, table }) => {
        const parts = this.segments.map(({ start, count, state }) => {
          const { slice } = state.source.layer(layer);
          return { slice, first: start, rows: count, ranges: 1, spans: start };
        });
        const { heads, kvHeads, scale, softcap, relative } = this.segments[0].state.source.layer(layer).shape;
        const bias = distanceBias({ relative }, table, this.uploads, () => this.places());
        ops.attention({ out, queries: [q], spans: this.spans(), parts, group: heads / kvHeads, scale, softcap, bias });
      },
    };
  }

  private get rows(): number {
    return this.segments.reduce((sum, { count }) => sum + count, 0);
  }

  /** i32 [rows, 1, 2]: every row sees all that its sequence holds. */
  private spans(): StepInput {
    return this.uploads.once("spans", () => {
      const spans = new Int32Array(2 * this.rows);
      for (const { start, count, state } of this.segments) {
        for (let row = start; row < start + count; row++) spans[2 * row + 1] = state.source.held;
      }
      return spans;
    });
  }

  /** i32 [rows, 1]: the rows of a sequence stand at the places of its source from 0. */
  private places(): StepInput {
    return this.uploads.once("places", () => {
      const places = new Int32Array(this.rows);
      for (const { start, count } of this.segments) {
        for (let row = 0; row < count; row++) places[start + row] = row;
      }
      return places;
    });
  }
}
