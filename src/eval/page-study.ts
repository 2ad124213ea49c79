/**
 * What the pages are worth that a row reads under `read=quest` (2406.10774): the share of its true attention probability that
 * they hold, and what a choice by that very probability would do, which no choice of as many pages can surpass by much. True
 * attention is looked at on the reference backend. Prompts may be read on the Wasm backend, whose pages of f32 have the reference's
 * layout.
 */
import { attentionWeights } from "../backends/reference/attention.js";
import { ReferenceBackend } from "../backends/reference/reference.js";
import { candidatesOf, ReferencePages } from "../backends/reference/select.js";
import { parsePolicy } from "../context/policy-text.js";
import { SequenceMemory } from "../context/sequence-memory.js";
import { type MemoryFacts, memoryBytes, memoryFacts, readMemory, writeMemory } from "../context/snapshot.js";
import type { LocalModel } from "../engine/local-model.js";
import { StepRunner } from "../engine/step/step-runner.js";
import type { Backend, SelectCall, SelectPart } from "../tensor/backend.js";
import { PAGE_TOKENS } from "../tensor/kv.js";
import { ArgumentError, InternalError } from "../util/errors.js";
import { observedBackend } from "./observed-backend.js";

/** A text that was read: what is held of it, and the logits behind it. */
export interface ReadText {
  readonly facts: MemoryFacts;
  readonly bytes: Uint8Array;
  readonly logits: Float32Array;
}

/** Reads a text with everything kept, in f32. @param model with decoder alone, on any backend */
export async function readText(model: LocalModel, ids: Int32Array): Promise<ReadText> {
  const { backend, decoder } = model.runner;
  const settings = { policy: parsePolicy("full"), keyType: "f32", valueType: "f32", limit: ids.length } as const;
  const memory = new SequenceMemory(backend, decoder.shapes, settings);
  try {
    const logits = await model.runner.run(memory, ids, "last", (row) => row.slice());
    const facts = memoryFacts(memory);
    const bytes = new Uint8Array(memoryBytes(memory, facts));
    let at = 0;
    const put = (piece: Uint8Array) => {
      bytes.set(piece, at);
      at += piece.length;
    };
    await model.runner.inTurn(() => writeMemory(memory, facts, { put }));
    return { facts, bytes, logits };
  } finally {
    memory.dispose();
  }
}

/** Mean shares of true attention probability, over rows, layers and KV heads that chose. */
export interface PageShares {
  /** Of the pages that were chosen by their bounds. */
  readonly chosen: number;
  /** Of as many chosen by true probability, beside those that are always read. */
  readonly best: number;
  /** Of the first page and as many of the newest as make up the same number. */
  readonly newest: number;
  /** How many choices the means are of. */
  readonly count: number;
}

export interface PageStudyOptions {
  /** Whether the pages with the most true probability are read in place of those chosen; default false. */
  readonly best?: boolean;
}

export class PageStudy {
  private readonly backend: Backend;
  private readonly runner: StepRunner;
  private readonly sums = { chosen: 0, best: 0, newest: 0, count: 0 };

  /** @param model with decoder alone, on the reference backend */
  constructor(
    private readonly model: LocalModel,
    { best = false }: PageStudyOptions = {},
  ) {
    const { backend, decoder } = model.runner;
    if (!(backend instanceof ReferenceBackend)) {
      throw new ArgumentError(`Attention is read on the reference backend; the model runs on ${backend.name}.`);
    }
    this.backend = observedBackend(backend, {
      select: (call, chosen) =>
        call.parts.map((part, i) => {
          const pages = chosen[i];
          if (!(pages instanceof ReferencePages)) throw new InternalError("Pages of another backend were chosen.");
          const lists = pages.lists.map((list, head) => {
            const bestOnes = this.look(call, part, head, list);
            return best ? bestOnes : list;
          });
          return new ReferencePages(lists, pages.pages);
        }),
    });
    this.runner = new StepRunner(this.backend, decoder);
  }

  get shares(): PageShares {
    const { chosen, best, newest, count } = this.sums;
    return { chosen: chosen / count, best: best / count, newest: newest / count, count };
  }

  /**
   * Goes on from a text under a policy that keeps everything, such as "full,read=quest:64": hands the logits behind each token to `next`,
   * which gives the token that is written, until it gives none.
   */
  async goOn(text: ReadText, context: string, next: (logits: Float32Array) => number | undefined): Promise<void> {
    const { facts, bytes, logits } = text;
    const limit = Number.POSITIVE_INFINITY;
    const settings = { policy: parsePolicy(context), keyType: "f32", valueType: "f32", limit } as const;
    // Who else uses the model must not be between two steps of a session of its own.
    await this.model.runner.inTurn(async () => {
      const memory = new SequenceMemory(this.backend, this.model.runner.decoder.shapes, settings);
      try {
        let at = 0;
        const take = (count: number) => {
          at += count;
          return bytes.subarray(at - count, at);
        };
        readMemory(memory, facts, { take });
        for (let id = next(logits); id !== undefined; ) {
          id = await this.runner.run(memory, Int32Array.of(id), "last", next, "written");
        }
      } finally {
        memory.dispose();
      }
    });
  }

  /** Adds up what the list of a KV head holds. @returns the list with the most probability */
  private look(call: SelectCall, part: SelectPart, head: number, list: readonly number[]): readonly number[] {
    const mass = pageMass(call, part, head);
    const [first, end] = candidatesOf(call, part);
    const earlier = list.slice(0, list.length - part.pages);
    const best = [...earlier, ...bestPages(part, first, end, mass)];
    const newest = [...earlier, first, ...Array.from({ length: part.pages - 1 }, (_, i) => end - 1 - i)];
    const sum = (entries: readonly number[]) => entries.reduce((all, entry) => all + (mass.get(entry) ?? 0), 0);
    this.sums.chosen += sum(list);
    this.sums.best += sum(best);
    this.sums.newest += sum(newest);
    this.sums.count++;
    return best;
  }
}

/** The mean probability that the query heads of a KV head give to each page of the table. */
function pageMass(call: SelectCall, part: SelectPart, head: number): ReadonlyMap<number, number> {
  const { slice, first, ranges, spans } = part;
  const mass = new Map<number, number>();
  for (let g = 0; g < call.group; g++) {
    const queryHead = slice.heads[head] * call.group + g;
    const whole = { slice, first, rows: 1, ranges, spans };
    const { slots, weights, total } = attentionWeights(call, whole, first, head, queryHead);
    slots.forEach((slot, j) => {
      const entry = Math.floor(slot / PAGE_TOKENS);
      mass.set(entry, (mass.get(entry) ?? 0) + weights[j] / total / call.group);
    });
  }
  return mass;
}

/** Of candidates [first, end) those that are always read, and of the others those with the most probability. */
function bestPages(part: SelectPart, first: number, end: number, mass: ReadonlyMap<number, number>): number[] {
  const { pages, oldest, newest } = part;
  const of = (entry: number) => mass.get(entry) ?? 0;
  const isGiven = (entry: number) => entry < first + oldest || entry >= end - newest;
  const candidates = Array.from({ length: end - first }, (_, i) => first + i);
  const free = candidates.filter((entry) => !isGiven(entry)).sort((a, b) => of(b) - of(a) || a - b);
  return [...candidates.filter(isGiven), ...free.slice(0, pages - oldest - newest)].sort((a, b) => a - b);
}
