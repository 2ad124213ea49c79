/** Lines to recall, in the manner of LongEval (LMSYS 2023): a record of numbered lines, then questions about some. */
import { ArgumentError } from "../../../util/errors.js";
import type { Random } from "../../../util/random.js";
import { between, randomFor, type Sample, type SampleSource, shuffle } from "../sample.js";
import type { EncodedText, TextPart } from "./encoded-text.js";
import { SampleBuilder } from "./haystack.js";
import { adjectiveAndNoun } from "./names.js";
import { partEncoder, type RetrievalOptions, untilItFits } from "./task-options.js";

/** LongEval's numbers. */
const LARGEST_NUMBER = 50_000;

const WORDING = {
  opening: "\nBelow is a record of lines. Remember the number of each line.\n",
  line: (name: string, number: string): readonly TextPart[] => [
    ["text", "line "],
    ["noise", name],
    ["text", ": REGISTER_CONTENT is <"],
    ["noise", number],
    ["text", ">\n"],
  ],
  question: (name: string, number: string): readonly TextPart[] => [
    ["text", "\nWhat is the REGISTER_CONTENT in line "],
    ["noise", name],
    ["text", "? The REGISTER_CONTENT in line "],
    ["answer", name],
    ["text", " is <"],
    ["answer", number],
    ["text", ">."],
  ],
} as const;

/** `needles` are the questions of a sample, by default one to four; lines fill the sample, filler what is left before. */
export class LinesTask implements SampleSource {
  readonly name = "lines";
  private readonly options: RetrievalOptions;

  constructor(options: RetrievalOptions) {
    this.options = options;
  }

  async sample(n: number, length: number): Promise<Sample> {
    const { seed, filler, needles: range = [1, 4] } = this.options;
    const { weights, encode } = partEncoder(this.options);
    const random = randomFor(seed, n);
    const record = await untilItFits(() => new LineRecord(encode, length + 1, between(random, range), random));
    const sample = new SampleBuilder(length);
    sample.fill(await filler.take(length + 1 - record.tokens, random), weights.text);
    for (const text of record.texts) sample.add(text);
    return sample.finish();
  }
}

/** As many lines as fit behind an opening, with their questions behind them. */
class LineRecord {
  tokens = 0;
  private readonly opening: EncodedText;
  private readonly lines: EncodedText[] = [];
  private readonly questions: EncodedText[] = [];

  constructor(encode: (parts: readonly TextPart[]) => EncodedText, room: number, asked: number, random: Random) {
    this.opening = encode([["text", WORDING.opening]]);
    this.tokens = this.opening.ids.length;
    const names = new Set<string>();
    for (let tries = 0; tries < room; tries++) {
      const name = adjectiveAndNoun(random);
      if (names.has(name)) continue;
      names.add(name);
      const number = String(1 + random.below(LARGEST_NUMBER));
      const line = encode(WORDING.line(name, number));
      const question = names.size <= asked ? encode(WORDING.question(name, number)) : undefined;
      const tokens = line.ids.length + (question?.ids.length ?? 0);
      if (this.tokens + tokens > room) break;
      this.tokens += tokens;
      this.lines.push(line);
      if (question) this.questions.push(question);
    }
    if (this.lines.length === 0) {
      throw new ArgumentError(`A sample of ${room - 1} tokens is too short for a record of lines and a question.`);
    }
    shuffle(this.lines, random);
    shuffle(this.questions, random);
  }

  get texts(): readonly EncodedText[] {
    return [this.opening, ...this.lines, ...this.questions];
  }
}
