/** A prompt that a trained model should know the answer to: a sample of a task of its last stage, up to the answer. */
import { ArgumentError } from "../util/errors.js";
import type { Sample, SampleSource } from "./data/sample.js";
import { answers } from "./evaluate.js";
import { evaluationSources, type Material } from "./sources.js";

export interface SamplePrompt {
  readonly prompt: string;
  readonly answer: string;
  /** Tokens of the answer. */
  readonly tokens: number;
}

/** Characters that still fit into a command line that a person reads. */
const MOST_CHARACTERS = 400;

/** Undefined where the last stage learns from texts alone, or its samples are too long to be shown. */
export async function samplePrompt(material: Material): Promise<SamplePrompt | undefined> {
  const { tokenizer, config } = material;
  const stage = config.stages[config.stages.length - 1];
  const task = evaluationSources(material, stage).find(({ isTask }) => isTask);
  if (!task) return undefined;
  const sample = await shortSample(task.source, stage.contextLength);
  const rows = answers(sample);
  const last = rows.at(-1);
  if (last === undefined) return undefined;
  // The last answer: rows that follow each other without a gap.
  const first = rows.findLast((row, at) => rows[at - 1] !== row - 1) ?? last;
  const prompt = tokenizer.decode(sample.ids.subarray(0, first + 1));
  if (prompt.length > MOST_CHARACTERS) return undefined;
  return { prompt, answer: tokenizer.decode(sample.ids.subarray(first + 1, last + 2)), tokens: last + 1 - first };
}

/** A copy is learned at the stage's length alone; numbers and keys are found in shorter texts too. */
async function shortSample(source: SampleSource, most: number): Promise<Sample> {
  for (let length = 64; length < most && source.name !== "copy"; length *= 2) {
    try {
      return await source.sample(0, length);
    } catch (error) {
      if (!(error instanceof ArgumentError)) throw error;
    }
  }
  return source.sample(0, most);
}
