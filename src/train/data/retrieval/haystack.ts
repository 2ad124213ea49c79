/**
 * Puts a retrieval sample together, exact to the token: filler with needles at random depths, questions about them, and
 * sometimes filler again, so that questions stand at all positions and not at the end alone.
 */
import { ArgumentError } from "../../../util/errors.js";
import type { Random } from "../../../util/random.js";
import { type Sample, shuffle } from "../sample.js";
import type { EncodedText } from "./encoded-text.js";
import type { Filler } from "./filler.js";

export interface Needle {
  /** What is hidden. */
  readonly text: EncodedText;
  /** What asks for it, with the answer; absent for one that only distracts. */
  readonly question?: EncodedText | undefined;
}

export interface Haystack {
  readonly filler: Filler;
  /** Those that fit are taken, from the first on, and come in random order. */
  readonly needles: readonly Needle[];
  /** Weight of predicting filler. */
  readonly fillerWeight: number;
}

/** @throws ArgumentError where no needle fits together with its question */
export async function haystackSample(haystack: Haystack, length: number, random: Random): Promise<Sample> {
  const { filler, fillerWeight } = haystack;
  const needles = fitting(haystack.needles, length + 1);
  shuffle(needles, random);
  const hay = length + 1 - needles.reduce((sum, needle) => sum + tokensOf(needle), 0);
  // Half of the samples end with a question.
  const tail = random.below(2) === 0 ? 0 : random.below(Math.floor(hay / 2) + 1);
  const depths = needles.map(() => random.below(hay - tail + 1)).sort((a, b) => a - b);
  const questions = needles.map((needle) => needle.question).filter((question) => question !== undefined);
  shuffle(questions, random);
  const ids = await filler.take(hay, random);
  const sample = new SampleBuilder(length);
  let taken = 0;
  const fillTo = (end: number) => {
    sample.fill(ids.subarray(taken, end), fillerWeight);
    taken = end;
  };
  needles.forEach((needle, i) => {
    fillTo(depths[i]);
    sample.add(needle.text);
  });
  fillTo(hay - tail);
  for (const question of questions) sample.add(question);
  fillTo(hay);
  return sample.finish();
}

function tokensOf({ text, question }: Needle): number {
  return text.ids.length + (question?.ids.length ?? 0);
}

function fitting(needles: readonly Needle[], room: number): Needle[] {
  let left = room;
  const found = needles.filter((needle) => {
    const tokens = tokensOf(needle);
    const fits = tokens <= left;
    if (fits) left -= tokens;
    return fits;
  });
  if (found.some(({ question }) => question)) return found;
  const needed = Math.min(...needles.filter(({ question }) => question).map(tokensOf));
  throw new ArgumentError(
    `A sample of ${room - 1} tokens is too short for this retrieval task: one question takes ${needed} tokens.`,
    { tokens: room - 1, needed },
  );
}

/** Collects L + 1 ids and the weights of predicting them. */
export class SampleBuilder {
  private readonly ids: Int32Array;
  private readonly weights: Float32Array;
  private size = 0;

  constructor(length: number) {
    this.ids = new Int32Array(length + 1);
    this.weights = new Float32Array(length + 1);
  }

  /** Ids that still fit. */
  get room(): number {
    return this.ids.length - this.size;
  }

  add({ ids, weights }: EncodedText): void {
    this.ids.set(ids, this.size);
    this.weights.set(weights, this.size);
    this.size += ids.length;
  }

  fill(ids: Int32Array, weight: number): void {
    this.ids.set(ids, this.size);
    this.weights.fill(weight, this.size, this.size + ids.length);
    this.size += ids.length;
  }

  /** The first id is predicted from nothing. */
  finish(): Sample {
    return { ids: this.ids, weights: this.weights.slice(1) };
  }
}
