/**
 * Runs steps of a decoder one at a time. A step takes what several sequences want of it: each begins, those that can go
 * through the model together, the results are read once, and each gets its rows. Logits are a view into the backend's memory
 * that the next step overwrites, so whoever reads them does so before the next step may begin.
 */
import { EncoderMemory } from "../../context/encoder-memory.js";
import type { Origin } from "../../context/mixer-state.js";
import { segmentStates } from "../../context/segments.js";
import type { SequenceMemory } from "../../context/sequence-memory.js";
import { Step } from "../../context/step.js";
import type { Decoder } from "../../nn/decoder.js";
import { firstNonFiniteNumber } from "../../quant/non-finite.js";
import { type Backend, LEAST_PART_ROWS, partRows } from "../../tensor/backend.js";
import { misfitError } from "../../tensor/misfits.js";
import { CancelledError, InternalError, NumericError } from "../../util/errors.js";
import { Breath } from "./breath.js";
import { layOut, type PlacedWant, type StepLayout, type Want, type Wanted } from "./want.js";

/** What became of a want: what its `use` gave, or why it failed. */
export type Outcome<R> = PromiseSettledResult<R>;

export class StepRunner {
  private tail: Promise<unknown> = Promise.resolve();
  /**
   * At multiples of so many rows from its beginning a prompt may be cut into steps: its numbers are those of one step, if each
   * step reads as the whole does (Want.many).
   */
  readonly pieceRows: number;
  /** What the sequences of the running step remember. */
  private readonly states: Step;

  constructor(
    readonly backend: Backend,
    readonly decoder: Decoder,
  ) {
    this.states = new Step(backend, decoder.shapes);
    const parts = decoder.shapes.attention.map(({ heads, kvHeads }) => partRows(heads / kvHeads));
    this.pieceRows = Math.max(LEAST_PART_ROWS, ...parts);
  }

  /**
   * Reads `ids` into the state and hands the logits, [1 or ids.length, V], to `use`, which must be done with them when
   * it returns. When the step fails, the state is as before. @throws NumericError for logits that are not finite, and for
   * keys and values that do not fit into the cache
   */
  async run<R>(
    state: SequenceMemory,
    ids: Int32Array,
    wanted: Wanted,
    use: (logits: Float32Array) => R,
    origin?: Origin,
  ): Promise<R> {
    const [outcome] = await this.step([{ state, ids, wanted, use, origin }]);
    if (outcome.status === "rejected") throw outcome.reason;
    return outcome.value;
  }

  /**
   * One step of several sequences, each at most once; the outcomes are in the order of the wants. A want that fails, fails
   * alone, and its state is as before: one that was cancelled or cannot begin takes no part, one whose logits are not finite
   * is not collected. Where the step fails as a whole (keys that do not fit into a cache, memory for activations), its
   * sequences are read again one by one, so that the one it is due to is found.
   */
  step<R>(wants: readonly Want<R>[]): Promise<Outcome<R>[]> {
    return this.inTurn(async () => {
      if (wants.length > 1 && new Set(wants.map(({ state }) => state)).size < wants.length) {
        throw new InternalError("A sequence can take part in a step once.");
      }
      const outcomes = new Map<Want<R>, Outcome<R>>();
      await this.pass(wants, outcomes);
      return wants.map((want) => outcomes.get(want) ?? failed(new InternalError("A step forgot a sequence.")));
    });
  }

  /**
   * Lets the encoder read `ids` whole; later steps of `memory` attend to them. Between its layers it looks whether it was
   * cancelled. When it fails, no source is held. @throws MemoryError, NumericError, CancelledError
   */
  encode(memory: SequenceMemory, ids: Int32Array, check: () => void = () => {}): Promise<void> {
    return this.inTurn(() => this.readSource(memory, ids, check));
  }

  /** Runs work that needs the backend for itself between two steps. */
  inTurn<R>(work: () => Promise<R>): Promise<R> {
    const result = this.tail.then(work);
    this.tail = result.catch(() => undefined);
    return result;
  }

  /** Resolves when no step is running. */
  async idle(): Promise<void> {
    await this.tail;
  }

  private async pass<R>(wants: readonly Want<R>[], outcomes: Map<Want<R>, Outcome<R>>): Promise<void> {
    try {
      const layout = this.begin(wants, outcomes);
      if (layout) await this.forward(layout, outcomes);
    } catch (error) {
      const open = wants.filter((want) => !outcomes.has(want));
      if (open.length === 1) outcomes.set(open[0], failed(error));
      else for (const want of open) await this.pass([want], outcomes);
    }
  }

  /**
   * Begins all that can; undefined: none can. The backend is told of a step's rows before its sequences begin, so where one
   * cannot, the others begin again.
   */
  private begin<R>(wants: readonly Want<R>[], outcomes: Map<Want<R>, Outcome<R>>): StepLayout<R> | undefined {
    for (;;) {
      const open = outcomes.size === 0 ? wants : wants.filter((want) => !outcomes.has(want));
      if (open.length === 0) return undefined;
      const before = outcomes.size;
      const layout = layOut(open);
      this.backend.beginStep(layout.splits);
      for (const want of open) {
        try {
          if (want.cancel?.aborted) throw new CancelledError();
          want.state.begin(want.ids.length, want.origin);
        } catch (error) {
          outcomes.set(want, failed(error));
        }
      }
      if (outcomes.size === before) return layout;
    }
  }

  private async forward<R>(layout: StepLayout<R>, outcomes: Map<Want<R>, Outcome<R>>): Promise<void> {
    const { backend, decoder } = this;
    const { placed, ids, outputRows } = layout;
    const segments = placed.map(({ want, start }) => ({ start, count: want.ids.length, state: want.state }));
    this.states.begin(segments);
    const outputs = outputRows && backend.input(outputRows);
    const batch = { ids: backend.input(ids), rows: ids.length, segments, states: this.states, outputs };
    const logits = decoder.forward(backend, batch);
    const values = await backend.read(logits);
    requireFit(backend);
    for (const one of placed) outcomes.set(one.want, collect(one, values, logits.cols));
  }

  private async readSource(memory: SequenceMemory, ids: Int32Array, check: () => void): Promise<void> {
    const { backend, decoder } = this;
    const rows = ids.length;
    const state = new EncoderMemory(backend, decoder.shapes.encoder, { keyType: "f32", valueType: "f32" });
    const breath = new Breath();
    try {
      check();
      backend.beginStep();
      memory.holdSource(rows);
      state.hold(rows);
      const segments = [{ start: 0, count: rows, state }];
      const batch = { ids: backend.input(ids), rows, segments, states: segmentStates(segments) };
      for (const x of decoder.encode(backend, batch, memory)) {
        await backend.read(backend.rows(x, 0, 1));
        await breath.take();
        check();
      }
      requireFit(backend);
    } catch (error) {
      memory.holdSource(0);
      throw error;
    } finally {
      state.dispose();
    }
  }
}

/** Hands a sequence its rows, if they are good. */
function collect<R>(
  { want, outputStart, outputs }: PlacedWant<R>,
  values: Float32Array,
  vocabulary: number,
): Outcome<R> {
  try {
    const own = values.subarray(outputStart * vocabulary, (outputStart + outputs) * vocabulary);
    requireFinite(own, vocabulary);
    want.state.collected();
    return { status: "fulfilled", value: want.use(own) };
  } catch (error) {
    return failed(error);
  }
}

function failed(reason: unknown): PromiseRejectedResult {
  return { status: "rejected", reason };
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
