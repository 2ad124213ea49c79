/** What session options mean, with nothing left open. */
import type { ContextPolicy } from "../../context/policy.js";
import type { KvType } from "../../tensor/dtype.js";
import type { SessionOptions } from "../api.js";

export interface SessionSettings {
  readonly policy: ContextPolicy;
  readonly keyType: KvType;
  readonly valueType: KvType;
  /** Undefined: the trained length. */
  readonly contextLength: number | undefined;
  readonly chunk: number;
  /** What an encoder reads; undefined: the first prompt. */
  readonly source: SessionOptions["source"];
}
