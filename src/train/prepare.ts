/** Brings a run's folder into being: tokenizer, packed texts, configuration. What is written last says that all is there. */

import { parseJson } from "../formats/json-file.js";
import { createTokenizer } from "../tokenizer/create-tokenizer.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { trainBytePair } from "../tokenizer/train/byte-pair.js";
import { namedIn, type SpecialTokenNames, specialTexts, tokenizerConfig } from "../tokenizer/train/tokenizer-json.js";
import { WordCounter } from "../tokenizer/train/word-counter.js";
import { ArgumentError } from "../util/errors.js";
import { platform } from "../util/platform.js";
import type { TrainingConfig } from "./config.js";
import { packTexts } from "./data/pack-texts.js";
import { textFiles, textPieces } from "./data/text-files.js";
import { fileWriter } from "./export/save.js";
import { checkExport, checkModel, checkSamples } from "./feasible.js";
import type { RunFolder } from "./run-folder.js";
import { END_TOKEN, SINK_TOKEN } from "./special-tokens.js";

export interface PrepareProgress {
  readonly phase: "count" | "merge" | "pack";
  readonly done: number;
  readonly total: number;
}

export interface PrepareOptions {
  /** Files and folders of texts, beside those of the configuration. */
  readonly paths: readonly string[];
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: PrepareProgress) => void) | undefined;
}

/** @throws NotFoundError, FormatError, ArgumentError, WriteError, and what aborts the signal */
export async function prepareRun(folder: RunFolder, config: TrainingConfig, options: PrepareOptions): Promise<void> {
  checkModel(config);
  await checkExport(config);
  const files = await findFiles(config, options.paths);
  const needed = config.stages.flatMap(({ mixture = config.data.mixture }) => mixture);
  if (files.train.length === 0 && needed.some(({ source }) => source !== "copy")) {
    throw new ArgumentError(
      files.heldOut.length === 0
        ? "The mixture needs texts, and none are given: name files or folders with --data PATH."
        : `All ${files.heldOut.length} texts are held out, none is left to learn from: narrow data.heldOut.`,
    );
  }
  if ((await folder.checkpoints()).length > 0 || (await folder.has("log.jsonl"))) {
    throw new ArgumentError(
      `${folder.location} has checkpoints or the log of another run, but no config.json to go on with. ` +
        "Choose another folder, or remove them.",
    );
  }
  const json = await tokenizerJson(config, files.train, options);
  const names = await specialNames(config, json);
  const settings = tokenizerConfig(json, names);
  const tokenizer = createTokenizer({
    kind: "hf",
    tokenizerJson: json,
    tokenizerConfig: settings,
    specialTokensMap: undefined,
  });
  await checkExport(config, { vocabulary: tokenizer.vocabSize, json, names });
  await fileWriter().makeFolder(folder.path("data"));
  await fileWriter().makeFolder(folder.path("checkpoints"));
  await folder.write("tokenizer.json", JSON.stringify(json));
  await folder.write("tokenizer_config.json", `${JSON.stringify(settings, undefined, 2)}\n`);
  for (const [name, list] of [["train", files.train] as const, ["held-out", files.heldOut] as const]) {
    if (list.length > 0) await pack(folder, name, list, tokenizer, options);
    // Of an earlier preparation that did not come to its end.
    else await fileWriter().remove(folder.path("data", `${name}.tokens`));
  }
  await checkMaterial(folder, config, tokenizer);
  await folder.write("config.json", `${JSON.stringify(config, undefined, 2)}\n`);
}

async function checkMaterial(folder: RunFolder, config: TrainingConfig, tokenizer: Tokenizer): Promise<void> {
  const [train, heldOut] = [await folder.tokens("train"), await folder.tokens("held-out")];
  try {
    await checkSamples({ config, tokenizer, train, heldOut });
  } finally {
    await train?.close();
    await heldOut?.close();
  }
}

async function findFiles({ data }: TrainingConfig, paths: readonly string[]) {
  const found = await Promise.all([...data.paths, ...paths].map((path) => textFiles(path, platform())));
  const all = [...new Set(found.flat())];
  const isHeldOut = (file: string) => data.heldOut.some((part) => file.includes(part));
  const heldOut = all.filter(isHeldOut);
  const unknown = data.heldOut.find((part) => !heldOut.some((file) => file.includes(part)));
  if (unknown !== undefined && all.length > 0) {
    throw new ArgumentError(`No text file's path contains "${unknown}", which data.heldOut names.`);
  }
  return { train: all.filter((file) => !isHeldOut(file)), heldOut };
}

async function tokenizerJson(
  { tokenizer, sinkToken }: TrainingConfig,
  files: readonly string[],
  options: PrepareOptions,
): Promise<object> {
  if ("file" in tokenizer) return readJson(tokenizer.file);
  const words = new WordCounter();
  for (const [index, file] of files.entries()) {
    options.onProgress?.({ phase: "count", done: index, total: files.length });
    for await (const { text } of textPieces(file, platform())) {
      await platform().yieldToEvents();
      options.signal?.throwIfAborted();
      words.add(text);
    }
  }
  return trainBytePair(words, {
    vocabularySize: tokenizer.vocabularySize,
    specialTokens: sinkToken ? [END_TOKEN, SINK_TOKEN] : [END_TOKEN],
    onProgress: async (done, total) => {
      options.onProgress?.({ phase: "merge", done, total });
      await platform().yieldToEvents();
      options.signal?.throwIfAborted();
    },
  });
}

/** Which of the vocabulary's special tokens does what. Texts begin with a token only where the samples do. */
async function specialNames({ tokenizer, sinkToken }: TrainingConfig, json: object): Promise<SpecialTokenNames> {
  const sink = sinkToken ? { bosToken: SINK_TOKEN, addBos: true } : {};
  if (!("file" in tokenizer)) return { eosToken: END_TOKEN, ...sink };
  const beside = tokenizer.file.replace(/[^/\\]*$/, "tokenizer_config.json");
  const there = (await platform().list(beside)) === "file";
  const named = there ? namedIn(await readJson(beside)) : {};
  const eosToken = tokenizer.endToken ?? named.eosToken ?? onlySpecial(json, tokenizer.file);
  return { ...named, addBos: false, eosToken, ...sink };
}

/** A single special token, but for the sink, can only be the end of a text. @throws ArgumentError where there are several, or none */
function onlySpecial(json: object, file: string): string {
  const specials = specialTexts(json).filter((text) => text !== SINK_TOKEN);
  if (specials.length === 1) return specials[0];
  throw new ArgumentError(
    `Which of the special tokens of ${file} ends a text? Name it as tokenizer.endToken; ` +
      `there are: ${specials.join(", ") || "none"}.`,
  );
}

async function readJson(location: string): Promise<object> {
  const source = await platform().open(location);
  try {
    const bytes = new Uint8Array(source.size);
    await source.read(0, bytes);
    const value = parseJson(bytes, location);
    if (typeof value === "object" && value !== null) return value;
  } finally {
    await source.close();
  }
  throw new ArgumentError(`${location} is no tokenizer.json: expected a JSON object.`);
}

async function pack(
  folder: RunFolder,
  name: string,
  files: readonly string[],
  tokenizer: Tokenizer,
  { onProgress, signal }: PrepareOptions,
): Promise<void> {
  const progress = (done: number) => onProgress?.({ phase: "pack", done, total: files.length });
  progress(0);
  const onPiece = async () => {
    await platform().yieldToEvents();
    signal?.throwIfAborted();
  };
  const chunks = packTexts({ files, tokenizer, onPiece, onProgress: (done) => progress(done.files) }, platform());
  await fileWriter().writeFile(folder.path("data", `${name}.tokens`), chunks);
}
