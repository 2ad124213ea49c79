/**
 * The messages between the engine's thread (host) and the one that uses it (proxy). Every request has an id and gets one
 * reply. Work that gives parts is replied to when it has ended; meanwhile its parts come in batches, as many as were asked for
 * and, within the credit that the proxy gave, some more.
 */
import type { GatesByName } from "../../context/gates/index.js";
import type { ChatMessage } from "../../tokenizer/tokenizer.js";
import { InternalError } from "../../util/errors.js";
import type {
  DecodeTextOptions,
  EncodeTextOptions,
  GenerateOptions,
  LoadOptions,
  LoadProgress,
  MemoryPlan,
  ModelInfo,
  ModelMetrics,
  Part,
  ScoreOptions,
  ScorePart,
  SessionOptions,
  Usage,
} from "../api.js";
import type { CancelFlag } from "./cancel-flag.js";
import type { WireError } from "./wire-error.js";

/** Options that can be cloned: functions and signals become messages. */
type Plain<Options, Live extends keyof Options> = Omit<Options, Live>;
export type WireLoadOptions = Plain<LoadOptions, "onProgress" | "signal" | "thread">;
export type WireGenerateOptions = Plain<GenerateOptions, "onPrefill" | "signal">;
export type WireEncodeOptions = Plain<EncodeTextOptions, "signal">;
export type WireScoreOptions = Plain<ScoreOptions, "signal">;

/** Work that gives parts. */
export type WireWork =
  | { readonly kind: "generate"; readonly prompt: string | Int32Array; readonly options: WireGenerateOptions }
  | { readonly kind: "chat"; readonly messages: readonly ChatMessage[]; readonly options: WireGenerateOptions }
  | { readonly kind: "score"; readonly text: string | Int32Array; readonly options: WireScoreOptions };

/** Requests of the proxy, without their id. */
export type RequestBody =
  | {
      readonly type: "load";
      readonly reference: string;
      readonly options: WireLoadOptions;
      /** Raised when the model is disposed of. */
      readonly ended?: CancelFlag;
    }
  | {
      readonly type: "encode";
      readonly text: string;
      readonly options: WireEncodeOptions;
      /** Raised when the request is cancelled; here and below. */
      readonly flag?: CancelFlag;
    }
  | { readonly type: "decode"; readonly ids: Int32Array; readonly options: DecodeTextOptions }
  | { readonly type: "tokenTexts"; readonly ids: Int32Array }
  | { readonly type: "renderChat"; readonly messages: readonly ChatMessage[]; readonly flag?: CancelFlag }
  | { readonly type: "plan"; readonly options: SessionOptions }
  | { readonly type: "open"; readonly session: number; readonly options: SessionOptions }
  /** Opens a session from what `save` gave. */
  | { readonly type: "restore"; readonly session: number; readonly saved: Uint8Array }
  /** Opens a session that goes on where the session `from` stands. */
  | { readonly type: "fork"; readonly session: number; readonly from: number }
  | { readonly type: "save"; readonly session: number }
  | { readonly type: "metrics" }
  /** Begins work and asks for its first part. The reply comes when the work has ended. */
  | {
      readonly type: "start";
      readonly session: number;
      readonly work: WireWork;
      readonly cancelled: boolean;
      /** Parts that are taken without having been asked for, at most. */
      readonly credit: number;
      readonly flag?: CancelFlag;
      /** Whether prefill progress is wanted. */
      readonly prefill: boolean;
    }
  /**
   * Nobody wants further parts of the work that began with the request `work`: `taken` were taken, of which the last was made
   * the end where it was `cancelled`.
   */
  | { readonly type: "stop"; readonly work: number; readonly taken: number; readonly cancelled: boolean }
  | { readonly type: "reset"; readonly session: number }
  | { readonly type: "close"; readonly session: number }
  | { readonly type: "dispose" };

export type Request = RequestBody & { readonly id: number };

/** Aborts the signal of the request `id` (a load, or work that was started). Has no reply. */
export interface Cancel {
  readonly type: "cancel";
  readonly id: number;
}

/** Asks for parts of the work that began with the request `id`, `asked` in all. Has no reply. */
export interface Ask {
  readonly type: "next";
  readonly id: number;
  readonly asked: number;
}

/** A part with what the session shows after it. */
export interface WirePart {
  readonly part: Part | ScorePart;
  readonly view: SessionView;
  /** Of a part that may be made the last: text that it would then have beside its own. */
  readonly heldBack?: string;
}

/** What a session shows synchronously; `messages` and `notes` only when they may have changed. */
export interface SessionView {
  readonly session: number;
  readonly usage: Usage;
  readonly messages?: readonly ChatMessage[];
  readonly notes?: readonly string[];
}

/** Results, without the id of their request. */
export type ReplyBody =
  | { readonly type: "loaded"; readonly info: ModelInfo; readonly gates: GatesByName }
  | { readonly type: "ids"; readonly ids: Int32Array }
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "texts"; readonly texts: string[] }
  | { readonly type: "plan"; readonly plan: MemoryPlan }
  | { readonly type: "metrics"; readonly metrics: ModelMetrics }
  | { readonly type: "saved"; readonly saved: Uint8Array<ArrayBuffer> }
  | { readonly type: "restored"; readonly context: string; readonly notes: readonly string[] }
  /** The work has ended, or there was nothing to tell. */
  | { readonly type: "done" }
  | { readonly type: "error"; readonly error: WireError };

export type Reply = ReplyBody & { readonly id: number; readonly view?: SessionView };

/** Parts of the work that began with the request `id`. */
export interface Parts {
  readonly type: "parts";
  readonly id: number;
  readonly parts: readonly WirePart[];
}

/** Progress of the request `id`; not a reply. */
export type Notice =
  | { readonly type: "progress"; readonly id: number; readonly progress: LoadProgress }
  | { readonly type: "prefill"; readonly id: number; readonly done: number; readonly total: number };

export type ToHost = Request | Cancel | Ask;
export type FromHost = Reply | Notice | Parts;

const TO_HOST: ReadonlySet<string> = new Set<ToHost["type"]>([
  "load",
  "encode",
  "decode",
  "tokenTexts",
  "renderChat",
  "plan",
  "open",
  "restore",
  "fork",
  "metrics",
  "save",
  "start",
  "next",
  "stop",
  "reset",
  "close",
  "dispose",
  "cancel",
]);
const FROM_HOST: ReadonlySet<string> = new Set<FromHost["type"]>([
  "loaded",
  "ids",
  "text",
  "texts",
  "plan",
  "metrics",
  "saved",
  "restored",
  "parts",
  "done",
  "error",
  "progress",
  "prefill",
]);

/** Both ends are of one build, so a message's type vouches for its fields. @throws InternalError */
export function asToHost(message: unknown): ToHost {
  if (isOf<ToHost>(message, TO_HOST)) return message;
  throw new InternalError("The engine's thread received a message that it does not know.");
}

/** @throws InternalError */
export function asFromHost(message: unknown): FromHost {
  if (isOf<FromHost>(message, FROM_HOST)) return message;
  throw new InternalError("The engine's thread sent a message that is not known here.");
}

function isOf<M extends { readonly type: string }>(message: unknown, types: ReadonlySet<string>): message is M {
  if (typeof message !== "object" || message === null || !("type" in message) || !("id" in message)) return false;
  return typeof message.type === "string" && types.has(message.type) && typeof message.id === "number";
}

/** Narrows a reply to the type that its request has. @throws InternalError */
export function expectReply<T extends ReplyBody["type"]>(reply: Reply, type: T): Extract<Reply, { readonly type: T }> {
  if (isReply(reply, type)) return reply;
  throw new InternalError(`The engine's thread answered '${reply.type}' where '${type}' was expected.`);
}

function isReply<T extends ReplyBody["type"]>(reply: Reply, type: T): reply is Extract<Reply, { readonly type: T }> {
  return reply.type === type;
}
