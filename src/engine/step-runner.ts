/**
 * Runs steps of a decoder one at a time: logits are a view into the backend's memory that the next step overwrites, so
 * whoever reads them does so before the next step may begin, whichever session asks for it.
 */
import { EncoderMemory } from "../context/encoder-memory.js";
import type { SequenceState } from "../context/mixer-state.js";
import type { SequenceMemory } from "../context/sequence-memory.js";
import type { Decoder } from "../nn/decoder.js";
import { firstNonFiniteNumber } from "../quant/non-finite.js";
import type { Backend } from "../tensor/backend.js";
import { misfitError } from "../tensor/misfits.js";
import { NumericError } from "../util/errors.js";

/** Which rows' logits are wanted. */
export type Wanted = "last" | "all";

export class StepRunner {
  private tail: Promise<unknown> = Promise.resolve();

  constructor(
    readonly backend: Backend,
    readonly decoder: Decoder,
  ) {}

  /**
   * Reads `ids` into the state and hands the logits, [1 or ids.length, V], to `use`, which must be done with them when
   * it returns. When the step fails, the state is as before. @throws NumericError for logits that are not finite, and for
   * keys and values that do not fit into the cache
   */
  run<R>(state: SequenceState, ids: Int32Array, wanted: Wanted, use: (logits: Float32Array) => R): Promise<R> {
    return this.inTurn(() => this.step(state, ids, wanted, use));
  }

  /** Lets the encoder read `ids` whole; later steps of `memory` attend to them. @throws MemoryError */
  encode(memory: SequenceMemory, ids: Int32Array): Promise<void> {
    return this.inTurn(() => this.readSource(memory, ids));
  }

  /** Runs work that needs the backend for itself between two steps. */
  inTurn<R>(work: () => Promise<R>): Promise<R> {
    const result = this.tail.then(work);
    this.tail = result.catch(() => undefined);
    return result;
  }

  private async readSource(memory: SequenceMemory, ids: Int32Array): Promise<void> {
    const { backend, decoder } = this;
    const rows = ids.length;
    const state = new EncoderMemory(backend, decoder.shapes.encoder, { keyType: "f32", valueType: "f32" });
    try {
      backend.beginStep();
      memory.holdSource(rows);
      state.hold(rows);
      const batch = { ids: backend.input(ids), rows, segments: [{ start: 0, count: rows, state }] };
      await backend.read(decoder.encode(backend, batch, memory));
      requireFit(backend);
    } finally {
      state.dispose();
    }
  }

  private async step<R>(
    state: SequenceState,
    ids: Int32Array,
    wanted: Wanted,
    use: (logits: Float32Array) => R,
  ): Promise<R> {
    const { backend } = this;
    const rows = ids.length;
    backend.beginStep();
    state.begin(rows);
    const batch = { ids: backend.input(ids), rows, segments: [{ start: 0, count: rows, state }] };
    const outputs = wanted === "last" && rows > 1 ? { outputs: backend.input(Int32Array.of(rows - 1)) } : {};
    const logits = this.decoder.forward(backend, { ...batch, ...outputs });
    const values = await backend.read(logits);
    requireFit(backend);
    requireFinite(values, logits.cols);
    state.end();
    return use(values);
  }

  /** Resolves when no step is running. */
  async idle(): Promise<void> {
    await this.tail;
  }
}

/** @throws NumericError when keys or values of the step do not fit into their caches */
function requireFit(backend: Backend): void {
  const misfits = backend.misfits();
  if (misfits) throw misfitError(misfits);
}

/** An infinity or NaN anywhere in a model comes out here: no finite number is made of one on the way. */
function requireFinite(logits: Float32Array, vocabulary: number): void {
  const found = firstNonFiniteNumber(logits);
  if (found < 0) return;
  const id = found % vocabulary;
  throw new NumericError(
    `Expected finite logits; that of token ${id} is ${logits[found]}. The weights may be damaged, or activations overflowed: ` +
      "check the model's file.",
    { id },
  );
}
