/** What the measurements of a demonstration share. */
import type { Model } from "../../engine/api.js";
import type { Io } from "../io.js";
import type { EncodedText } from "../stream/encoded-text.js";
import type { LiveTable } from "./live-table.js";
import type { DemoPlan } from "./plan.js";
import type { PolicyRun } from "./policy-run.js";

export interface DemoWork {
  readonly io: Io;
  readonly model: Model;
  readonly text: EncodedText;
  readonly plan: DemoPlan;
  readonly runs: readonly PolicyRun[];
  readonly live: LiveTable;
  readonly signal: AbortSignal;
  /** Whether this share of the whole time is over. */
  late(share: number): boolean;
  /** Milliseconds until then; negative afterwards. */
  timeLeftMs(share: number): number;
}
