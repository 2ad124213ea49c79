/** The model of a run's folder, as its newest checkpoint (or another one) has it, ready to be exported. */
import type { MetadataValue } from "../formats/checkpoint.js";
import { readSafetensors } from "../formats/safetensors.js";
import { ggufTokenizerKeys, namedIn } from "../tokenizer/train/tokenizer-json.js";
import { NotFoundError } from "../util/errors.js";
import { platform } from "../util/platform.js";
import { readState } from "./checkpoint.js";
import type { TrainedModel } from "./export/trained-model.js";
import { stageDefinition } from "./model-definition.js";
import { checkpointModel } from "./model-files.js";
import type { RunFolder } from "./run-folder.js";
import { lastStage } from "./trainer.js";

export interface FolderModel {
  readonly model: TrainedModel;
  readonly tokenizerKeys: ReadonlyMap<string, MetadataValue>;
  readonly step: number;
}

/**
 * Opens the checkpoint while `use` runs.
 * @param step of another checkpoint than the newest
 * @throws NotFoundError when there is none, FormatError
 */
export async function folderModel<R>(
  folder: RunFolder,
  use: (model: FolderModel) => Promise<R>,
  step?: number,
): Promise<R> {
  const config = await folder.config();
  const { json, config: tokenizerConfig, tokenizer } = await folder.tokenizer();
  const steps = await folder.checkpoints();
  const found = step ?? steps.at(-1);
  if (found === undefined || !steps.includes(found)) {
    const there = steps.length === 0 ? "there is none yet" : `there are those of steps ${steps.join(", ")}`;
    throw new NotFoundError(
      `${folder.location} has no checkpoint${step === undefined ? "" : ` of step ${step}`}: ${there}.`,
    );
  }
  const source = await platform().open(folder.checkpointPath(found));
  try {
    const state = readState(source, await readSafetensors(source));
    const definition = stageDefinition(config, tokenizer.vocabSize, lastStage(state));
    const model = await checkpointModel(source, definition, json);
    return await use({ model, tokenizerKeys: ggufTokenizerKeys(json, namedIn(tokenizerConfig)), step: found });
  } finally {
    await source.close();
  }
}
