/**
 * What a model's layers remember while it learns: nothing. Each sample of a step begins at position 0 with empty states, and
 * attention reads the keys and values of the sample's own rows (RecordingBackend.attendRows). Samples of a step are equally
 * long and share spans and angles.
 */

import { RecordingBackend } from "../autograd/recording-backend.js";
import { distanceBias } from "../context/distance-bias.js";
import { headRuns, setsOfLayer, type Visibility } from "../context/head-sets.js";
import type {
  AttendCall,
  AttentionShape,
  AttentionState,
  LayerStates,
  MixerShapes,
  RecurrentTensor,
} from "../context/mixer-state.js";
import { Uploads } from "../context/uploads.js";
import { type RopeSpec, ropeFrequencies, writeAngles } from "../position/rope.js";
import type { Angles, Backend } from "../tensor/backend.js";
import type { StepInput } from "../tensor/tensor.js";
import { InternalError, UnsupportedError } from "../util/errors.js";
import { clipBelow, type Range } from "../util/ranges.js";
import type { AttentionPattern } from "./patterns/pattern-definition.js";

/** Zeros that state-space layers begin with, and a place for what they leave: one of each shape for all samples. */
export class RecurrentZeros {
  private readonly pairs = new Map<string, RecurrentTensor>();

  constructor(
    private readonly backend: Backend,
    shapes: MixerShapes,
  ) {
    for (const { tensors } of shapes.recurrent) for (const { rows, cols } of tensors) this.of(rows, cols);
  }

  of(rows: number, cols: number): RecurrentTensor {
    const key = `${rows} ${cols}`;
    const known = this.pairs.get(key);
    if (known) return known;
    const made = { before: this.backend.kept(rows, cols), after: this.backend.kept(rows, cols) };
    this.pairs.set(key, made);
    return made;
  }

  dispose(): void {
    for (const { before, after } of this.pairs.values()) for (const tensor of [before, after]) tensor.dispose();
    this.pairs.clear();
  }
}

/** i32 [T, R, 2] of what a set of heads sees. */
interface RowSpans {
  readonly retention: Visibility;
  readonly window: number | undefined;
  readonly spans: StepInput;
  readonly ranges: number;
}

/** The states of all samples of one step. */
export class RowStates implements LayerStates {
  readonly seen = 0;
  private readonly uploads: Uploads;
  private readonly spans: RowSpans[] = [];
  private readonly angles = new Map<RopeSpec, Angles>();

  constructor(
    private readonly backend: Backend,
    private readonly shapes: MixerShapes,
    private readonly zeros: RecurrentZeros,
    private readonly pattern: AttentionPattern,
    /** Tokens of each sample. */
    private readonly length: number,
  ) {
    this.uploads = new Uploads(backend);
  }

  attention(layer: number): AttentionState {
    const shape = this.shapes.attention.find((candidate) => candidate.layer === layer);
    if (!shape) throw new InternalError(`Layer ${layer} has no attention.`);
    return { attend: (ops, call) => this.attend(ops, shape, call) };
  }

  recurrent(layer: number): readonly RecurrentTensor[] {
    const shape = this.shapes.recurrent.find((candidate) => candidate.layer === layer);
    if (!shape) throw new InternalError(`Layer ${layer} has no recurrent state.`);
    return shape.tensors.map(({ rows, cols }) => this.zeros.of(rows, cols));
  }

  cross(): never {
    throw new UnsupportedError("Models with an encoder cannot be trained yet.");
  }

  private attend(ops: Backend, shape: AttentionShape, { q, k, v, out, sinks, table }: AttendCall): void {
    if (!(ops instanceof RecordingBackend)) throw new InternalError("Rows are attended to on a tape.");
    const { rope, keyWidth, heads, kvHeads, scale, softcap } = shape;
    const angles = rope && this.anglesOf(rope);
    const rotated = {
      q: angles ? ops.rotate(q, keyWidth, angles) : q,
      k: angles ? ops.rotate(k, keyWidth, angles) : k,
    };
    for (const set of setsOfLayer(this.pattern, shape.layer, kvHeads)) {
      const { spans, ranges } = this.spansOf(set.retention, shape.window);
      const bias = distanceBias(shape, table, this.uploads, () => this.places(ranges));
      for (const run of headRuns(set.heads)) {
        const common = { ...rotated, v, spans, ...run, group: heads / kvHeads, scale, softcap, bias, sinks };
        ops.attendRows(common, heads, out);
      }
    }
  }

  private anglesOf(rope: RopeSpec): Angles {
    const known = this.angles.get(rope);
    if (known) return known;
    const frequencies = ropeFrequencies(rope, this.length);
    const values = new Float32Array(this.length * rope.dims);
    for (let row = 0; row < this.length; row++) writeAngles(frequencies, row, values, row);
    const made = { layout: rope.layout, dims: rope.dims, values: this.backend.input(values) };
    this.angles.set(rope, made);
    return made;
  }

  private spansOf(retention: Visibility, window: number | undefined) {
    const known = this.spans.find((one) => one.retention === retention && one.window === window);
    if (known) return known;
    const rows = Array.from({ length: this.length }, (_, t) => {
      const ranges = retention.visible(t);
      return window === undefined ? ranges : clipBelow(ranges, t + 1 - window);
    });
    const spans = this.backend.input(writeSpans(rows));
    const made = { retention, window, spans, ranges: spans.length / (2 * this.length) };
    this.spans.push(made);
    return made;
  }

  /** i32 [T, R]: the query of row t stands at row t. */
  private places(ranges: number): StepInput {
    return this.uploads.once(`places ${ranges}`, () =>
      Int32Array.from({ length: this.length * ranges }, (_, i) => Math.floor(i / ranges)),
    );
  }
}

/** Rows with fewer ranges have empty ones in front, all ending at the query. */
function writeSpans(rows: readonly (readonly Range[])[]): Int32Array {
  const ranges = rows.reduce((most, row) => Math.max(most, row.length), 1);
  const spans = new Int32Array(rows.length * ranges * 2);
  rows.forEach((row, t) => {
    row.forEach(({ start, end }, index) => {
      const at = (t * ranges + ranges - row.length + index) * 2;
      spans[at] = start;
      spans[at + 1] = end;
    });
  });
  return spans;
}
