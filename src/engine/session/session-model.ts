/** What a session needs of the model that it belongs to. */
import type { ModelSpec } from "../../nn/spec.js";
import type { Tokenizer } from "../../tokenizer/tokenizer.js";
import type { ModelInfo, Session } from "../api.js";
import type { MemoryLedger } from "../step/memory-ledger.js";
import type { Scheduler } from "../step/scheduler.js";
import type { StepRunner } from "../step/step-runner.js";
import type { Prefixes } from "./prefixes.js";

export interface SessionModel {
  readonly info: ModelInfo;
  readonly spec: ModelSpec;
  readonly tokenizer: Tokenizer;
  /** Ids that end an answer. */
  readonly endIds: ReadonlySet<number>;
  readonly runner: StepRunner;
  /** What its sessions read goes through it. */
  readonly scheduler: Scheduler;
  readonly ledger: MemoryLedger;
  /** What its sessions have read, for others. */
  readonly prefixes: Prefixes;
  readonly isDisposed: boolean;
  /** It was made, and ends with the model. */
  keepSession(session: Session): void;
  /** It was disposed of. */
  forgetSession(session: Session): void;
}
