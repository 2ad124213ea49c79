/** One policy of the demonstration: what it has measured so far, and how it ended. */
import type { ScorePart } from "../../engine/api.js";
import type { Range } from "../../util/ranges.js";
import { Measurement, type PolicyResult } from "../stream/measurement.js";
import type { PlannedPolicy } from "./plan.js";

/** Why a policy stopped: all was read, its share of the time was over, Ctrl-C, or an error. */
export type Ending = "complete" | "time" | "interrupted" | "error";

/** A stretch of the text that was read by itself. */
export interface Sample {
  /** Index of its first token in the text. */
  readonly start: number;
  readonly count: number;
}

export class PolicyRun {
  /** Undefined before it begins. Of a sampled policy the "text" is its samples, one after the other. */
  measurement: Measurement | undefined;
  ending: Ending | undefined;
  error: string | null = null;
  /** Memory of the process when it ended. */
  residentBytes: number | null = null;
  readonly samples: Sample[] = [];

  constructor(readonly plan: PlannedPolicy) {}

  get name(): string {
    return this.plan.name;
  }

  /** @param total tokens that are to be scored */
  begin(total: number): Measurement {
    this.measurement = new Measurement(this.name, total);
    return this.measurement;
  }

  /** A part of a sample that begins at `start` of the text. */
  addSample(start: number, part: ScorePart): void {
    const { measurement } = this;
    if (!measurement) return;
    measurement.add({ ...part, start: measurement.tokens });
    const last = this.samples.at(-1);
    if (last && last.start === start) this.samples[this.samples.length - 1] = { start, count: last.count + part.count };
    else this.samples.push({ start, count: part.count });
  }

  /** The stretches of the text that it scored. */
  get read(): Range[] {
    if (!this.plan.sampled) return [{ start: 0, end: this.measurement?.tokens ?? 0 }];
    return this.samples.map(({ start, count }) => ({ start, end: start + count }));
  }

  get result(): PolicyResult | undefined {
    return this.measurement?.result({ complete: this.ending === "complete", error: this.error });
  }

  /** Index in the text just behind the first `tokens` that were measured. */
  textEnd(tokens: number): number {
    if (!this.plan.sampled) return tokens;
    let before = 0;
    for (const { start, count } of this.samples) {
      if (tokens <= before + count) return start + tokens - before;
      before += count;
    }
    return before;
  }
}
