/** The sources of a stage's samples: texts and tasks by share, as the configuration names them. */
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { ArgumentError, InternalError } from "../util/errors.js";
import type { SourceConfig, StageConfig, TrainingConfig } from "./config.js";
import { CopyTask, characterIds } from "./data/copy.js";
import { Mixture, type MixturePart } from "./data/mixture.js";
import { CycleTask } from "./data/retrieval/cycle.js";
import { textFiller } from "./data/retrieval/filler.js";
import { LinesTask } from "./data/retrieval/lines.js";
import { KeyValueTask } from "./data/retrieval/pairs.js";
import { PasskeyTask } from "./data/retrieval/passkey.js";
import { RepeatTask } from "./data/retrieval/repeat.js";
import { type SampleSource, withFirstToken } from "./data/sample.js";
import type { TokenSequence } from "./data/token-sequence.js";
import { ShuffledWindows, WindowsInOrder } from "./data/windows.js";
import type { EvaluationSource } from "./evaluate.js";
import { SINK_TOKEN } from "./special-tokens.js";
import type { StageSources } from "./trainer.js";

/** What samples are made of. */
export interface Material {
  readonly config: TrainingConfig;
  readonly tokenizer: Tokenizer;
  /** The texts to learn; absent for tasks that need none. */
  readonly train?: TokenSequence | undefined;
  readonly heldOut?: TokenSequence | undefined;
}

/** Tasks of evaluation draw from other seeds than those that are learned. */
const EVALUATION_SEED = 2 ** 40;
const COPY_CHARACTERS = "abcdefghijklmnopqrstuvwxyz";
const SYMBOLS = `${COPY_CHARACTERS}0123456789`;

export function stageSources(material: Material, stage: StageConfig, index: number): StageSources {
  const parts = stageParts(material, stage, index);
  const mixture = new Mixture(parts, material.config.seed + index);
  return {
    async sample(n, length) {
      const place = mixture.place(n);
      const { source } = parts[place.part];
      return { source: source.name, sample: await source.sample(place.n, length) };
    },
  };
}

/** What a stage learns from, with shares. */
export function stageParts(material: Material, stage: StageConfig, index: number): MixturePart[] {
  const { config } = material;
  return mixtureOf(config, stage).map((part, number) => ({
    source: makeSource(material, part, seedOf(config, index, number)),
    share: part.share,
  }));
}

/** Sources that are measured but not learned: the held-out text, and each task of the stage with other draws. */
export function evaluationSources(material: Material, stage: StageConfig): EvaluationSource[] {
  const { config, heldOut } = material;
  const tasks = mixtureOf(config, stage)
    .filter(({ source }) => source !== "text")
    .map((part, number) => {
      const source = makeSource(material, part, EVALUATION_SEED + config.seed + number);
      return { source, isTask: true, samples: () => Number.POSITIVE_INFINITY };
    });
  if (!heldOut) return tasks;
  const text = new WindowsInOrder(heldOut, "held-out");
  const samples = (length: number) => text.windows(config.sinkToken ? length - 1 : length);
  return [{ source: withSink(material, text, 1), isTask: false, samples }, ...tasks];
}

function mixtureOf({ data }: TrainingConfig, { mixture = data.mixture }: StageConfig): readonly SourceConfig[] {
  return mixture;
}

/** Apart for every stage and part. */
function seedOf({ seed }: TrainingConfig, stage: number, part: number): number {
  return (seed % 2 ** 30) * 1024 + stage * 32 + part;
}

function makeSource(material: Material, part: SourceConfig, seed: number): SampleSource {
  // A text may begin with any token, but likelier ones can be learned; how a task begins cannot be known.
  return withSink(material, bareSource(material, part, seed), part.source === "text" ? 1 : 0);
}

function withSink({ config, tokenizer }: Material, source: SampleSource, firstWeight: number): SampleSource {
  if (!config.sinkToken) return source;
  const [id, ...more] = tokenizer.encode(SINK_TOKEN, { addSpecial: false, parseSpecial: true });
  if (id === undefined || more.length > 0) {
    throw new ArgumentError(`The tokenizer has no token "${SINK_TOKEN}", which sinkToken asks for.`);
  }
  return withFirstToken(source, id, firstWeight);
}

function bareSource({ tokenizer, train }: Material, part: SourceConfig, seed: number): SampleSource {
  if (part.source === "copy") return copyTask(tokenizer, seed);
  if (!train) throw new ArgumentError(`The source "${part.source}" needs texts: name files or folders with --data.`);
  const { answerWeight } = part;
  const weights = answerWeight === undefined ? {} : { answer: answerWeight };
  const options = { seed, tokenizer, filler: textFiller(train), weights };
  switch (part.source) {
    case "text":
      return new ShuffledWindows(train, { seed });
    case "passkey":
      return new PasskeyTask(options);
    case "pairs":
      return new KeyValueTask(options);
    case "lines":
      return new LinesTask(options);
    case "repeat":
      return new RepeatTask({ ...options, symbols: characterIds(tokenizer, SYMBOLS) });
    case "cycle":
      return new CycleTask({ ...options, symbols: characterIds(tokenizer, SYMBOLS) });
    default:
      throw new InternalError(`There is no source "${part.source satisfies never}".`);
  }
}

function copyTask(tokenizer: Tokenizer, seed: number): SampleSource {
  const symbols = characterIds(tokenizer, COPY_CHARACTERS);
  const [separator] = characterIds(tokenizer, "=");
  return new CopyTask({ seed, symbols, separator });
}
