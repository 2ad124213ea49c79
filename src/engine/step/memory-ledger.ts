/**
 * What of a model's memory its sessions were promised: their caches as planned, whether they have grown to that or not, and
 * the activations of the largest step. So sessions that are admitted never take more together than there is.
 */
import type { ModelSpec } from "../../nn/spec.js";
import { MemoryError } from "../../util/errors.js";
import { counted, formatBytes } from "../../util/figures.js";
import type { SessionSettings } from "../session/session-settings.js";
import {
  cacheBytesByPlace,
  cacheTokens,
  logitBytes,
  type PlannedModel,
  requireMemory,
  stepBytesOf,
} from "./memory-plan.js";

/** Where the steps take more than the cache. */
const SMALLER_STEPS = "Give the session a smaller chunk: it reads fewer tokens at once.";

/** What one session was promised. */
interface Promised {
  readonly cacheBytes: number;
  readonly cacheBytesAt: ReadonlyMap<number, number>;
  /** Of one of its steps, with the logits of one row. */
  readonly stepBytes: number;
}

export interface LedgerOptions {
  /** Most bytes for weights, caches and activations. */
  readonly limitBytes: number;
  /** What to do where a session does not fit. */
  readonly advice: string;
  /** What is kept beside sessions and given up for them, piece by piece until `drop` is false. */
  readonly spare?: { readonly bytes: number; drop(): boolean } | undefined;
}

export class MemoryLedger {
  private readonly promises = new Map<object, Promised>();
  /** What was left before the first step, in all and by place. */
  private leftBytes = Number.NEGATIVE_INFINITY;
  private readonly leftBytesAt = new Map<number, number>();
  /** Of the largest step since then: a backend keeps the memory of steps. */
  private stepBytes = 0;

  constructor(
    private readonly model: PlannedModel,
    private readonly options: LedgerOptions,
  ) {}

  /** Promises a session its cache and its steps. @throws MemoryError where they do not fit beside what was promised */
  admit(holder: object, settings: SessionSettings): void {
    for (;;) {
      try {
        this.promise(holder, settings);
        return;
      } catch (error) {
        if (!(error instanceof MemoryError && this.options.spare?.drop())) throw error;
      }
    }
  }

  private promise(holder: object, settings: SessionSettings): void {
    const { model } = this;
    this.promises.delete(holder);
    const ownStepBytes = stepBytesOf(model, settings);
    const places = cacheBytesByPlace(model, settings);
    const cacheBytes = places.reduce((sum, place) => sum + place.cacheBytes, 0);
    if (this.promises.size === 0) this.lookAround(places.map(({ place }) => place));
    const stepBytes = Math.max(this.stepBytes, ownStepBytes);
    const what =
      `A cache of ${counted(cacheTokens(model.spec, settings), "token")} (${formatBytes(cacheBytes)}) and steps of up to ` +
      `${counted(settings.chunk, "token")} (${formatBytes(stepBytes)}) need`;
    const advice = stepBytes > cacheBytes ? `${SMALLER_STEPS} ${this.options.advice}` : this.options.advice;
    const neededBytes = cacheBytes + stepBytes;
    requireMemory({ what, neededBytes, advice, ...this.left(this.leftBytes, (other) => other.cacheBytes) });
    for (const { place, layers, allLayers, cacheBytes: bytesHere } of places) {
      requireMemory({
        what: `${what}, beside ${layers} of ${allLayers} layers in one memory,`,
        neededBytes: bytesHere + stepBytes / places.length,
        advice,
        ...this.left(this.leftBytesAt.get(place) ?? 0, (other) => other.cacheBytesAt.get(place) ?? 0),
      });
    }
    this.stepBytes = stepBytes;
    const cacheBytesAt = new Map(places.map(({ place, cacheBytes: bytesHere }) => [place, bytesHere]));
    this.promises.set(holder, { cacheBytes, cacheBytesAt, stepBytes: ownStepBytes });
  }

  /**
   * Promises a session that was admitted steps with the logits of many rows.
   * @throws MemoryError where they do not fit beside what was promised
   */
  admitLogits(holder: object, outputs: number): void {
    const own = this.promises.get(holder);
    if (!own) return;
    const stepBytes = own.stepBytes + logitBytes(this.spec, outputs) - logitBytes(this.spec, 1);
    if (stepBytes <= this.stepBytes) return;
    requireMemory({
      what: `Reading ${counted(outputs, "token")} at once with the logits of each needs`,
      neededBytes: stepBytes,
      advice: "Read fewer at once: a smaller batch.",
      availableBytes: this.leftBytes - this.promisedBytes((one) => one.cacheBytes),
    });
    this.stepBytes = stepBytes;
  }

  /** A session gave its cache back. */
  release(holder: object): void {
    this.promises.delete(holder);
  }

  private get spec(): ModelSpec {
    return this.model.spec;
  }

  /**
   * What a backend keeps of earlier steps, to use it again, is part of what a step is planned to take: so the most that was ever
   * left counts, which is what was left before any step.
   */
  private lookAround(places: readonly number[]): void {
    const { backend } = this.model;
    this.stepBytes = 0;
    this.leftBytes = Math.max(this.leftBytes, this.options.limitBytes - backend.memoryBytes);
    for (const place of places) {
      this.leftBytesAt.set(place, Math.max(this.leftBytesAt.get(place) ?? 0, backend.placeBytesLeft(place)));
    }
  }

  private promisedBytes(of: (promised: Promised) => number): number {
    return [...this.promises.values()].reduce((sum, promised) => sum + of(promised), 0);
  }

  private left(bytes: number, of: (promised: Promised) => number) {
    const promised = { bytes: this.promisedBytes(of), sessions: this.promises.size };
    return { availableBytes: bytes - promised.bytes - (this.options.spare?.bytes ?? 0), promised };
  }
}
