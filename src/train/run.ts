/**
 * A training run in its folder: steps, evaluations, log and checkpoints, from the beginning or from the newest checkpoint to
 * the end, or until it is cancelled. A cancelled run has a checkpoint of its last whole step.
 */
import type { Backend } from "../tensor/backend.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { namedIn } from "../tokenizer/train/tokenizer-json.js";
import { CancelledError, FormatError, NumericError } from "../util/errors.js";
import { platform } from "../util/platform.js";
import { checkpointFile, restoreCheckpoint } from "./checkpoint.js";
import type { TrainingConfig } from "./config.js";
import type { PackedTokens } from "./data/packed-tokens.js";
import { tokenizerFingerprint } from "./data/tokenizer-fingerprint.js";
import { evaluateSource } from "./evaluate.js";
import { exportGguf } from "./export/gguf-export.js";
import { fileWriter, saveFile } from "./export/save.js";
import { checkExport, checkModel, checkSamples } from "./feasible.js";
import { folderModel } from "./folder-model.js";
import { appendLog, cutLog, type EvaluationLine, type LogLine, type StepLine, stepLine } from "./log.js";
import type { RunFolder } from "./run-folder.js";
import { type SamplePrompt, samplePrompt } from "./sample-prompt.js";
import { evaluationSources, type Material, stageSources } from "./sources.js";
import { lastStage, Trainer } from "./trainer.js";

export interface RunHooks {
  /** Aborts between two passes. */
  readonly signal?: AbortSignal | undefined;
  readonly onStep?: ((line: StepLine) => void) | undefined;
  /** A source is about to be measured. */
  readonly onMeasure?: ((source: string) => void) | undefined;
  readonly onEvaluation?: ((line: EvaluationLine) => void) | undefined;
  readonly onCheckpoint?: ((step: number) => void) | undefined;
}

export class TrainingRun {
  readonly trainer: Trainer;
  private readonly lines: LogLine[] = [];

  private constructor(
    readonly folder: RunFolder,
    readonly config: TrainingConfig,
    backend: Backend,
    private readonly material: Material,
    private readonly hooks: RunHooks,
    private readonly files: readonly PackedTokens[],
  ) {
    this.trainer = new Trainer({
      backend,
      config,
      vocabulary: material.tokenizer.vocabSize,
      sources: (stage, index) => stageSources(material, stage, index),
      onPass: () => this.checkCancelled(),
    });
  }

  /**
   * Opens a prepared folder, at its newest checkpoint where it has one. The backend is the caller's to dispose of.
   * @throws NotFoundError, FormatError, ArgumentError, MemoryError
   */
  static async open(folder: RunFolder, backend: Backend, hooks: RunHooks = {}): Promise<TrainingRun> {
    const config = await folder.config();
    const { tokenizer, json, config: tokenizerConfig } = await folder.tokenizer();
    checkModel(config);
    await checkExport(config, { vocabulary: tokenizer.vocabSize, json, names: namedIn(tokenizerConfig) });
    const files: PackedTokens[] = [];
    let run: TrainingRun | undefined;
    try {
      const open = async (name: string) => {
        const file = await folder.tokens(name);
        if (file) files.push(file);
        return file;
      };
      const material = { config, tokenizer, train: await open("train"), heldOut: await open("held-out") };
      for (const file of files) checkTokens(file, tokenizer);
      await checkSamples(material);
      run = new TrainingRun(folder, config, backend, material, hooks, files);
      await run.restore();
      return run;
    } catch (error) {
      run?.trainer.dispose();
      for (const file of files) await file.close();
      throw error;
    }
  }

  /** The log so far. */
  get log(): readonly LogLine[] {
    return this.lines;
  }

  /** A prompt that shows what the last stage taught; undefined where that is to go on with texts. */
  samplePrompt(): Promise<SamplePrompt | undefined> {
    return samplePrompt(this.material);
  }

  /** Trains to the end. @throws CancelledError when the signal is aborted, with all steps so far in a checkpoint */
  async train(): Promise<void> {
    const { trainer } = this;
    const { checkpoints, evaluation } = this.config;
    try {
      await this.catchUp();
      let stage = trainer.state.stage;
      while (!trainer.finished) {
        const started = performance.now();
        const report = await trainer.step();
        const seconds = (performance.now() - started) / 1000;
        const line = stepLine(report, this.config.stages[stage].batchTokens / seconds);
        await this.add(line);
        this.hooks.onStep?.(line);
        const ends = report.stage !== stage;
        if (ends || report.step % evaluation.everySteps === 0) await this.evaluate(stage);
        if (ends || report.step % checkpoints.everySteps === 0) await this.checkpoint();
        stage = report.stage;
      }
    } catch (error) {
      if (error instanceof CancelledError && trainer.state.step > 0) await this.checkpoint();
      throw error;
    }
  }

  /** Measures the model as it is, under the stage's length and pattern. */
  async evaluate(stageIndex: number): Promise<EvaluationLine> {
    const stage = this.config.stages[stageIndex];
    const { contextLength: length, batchTokens, microBatchTokens = batchTokens } = stage;
    const pass = this.trainer.passOf(stageIndex);
    const results: Record<string, EvaluationLine["results"][string]> = {};
    for (const source of evaluationSources(this.material, stage)) {
      this.hooks.onMeasure?.(source.source.name);
      results[source.source.name] = await evaluateSource(pass, source, {
        length,
        windows: this.config.evaluation.windows,
        perPass: microBatchTokens / length,
        onPass: async () => {
          await platform().yieldToEvents();
          this.checkCancelled();
        },
      });
    }
    const { step } = this.trainer.state;
    const wrong = Object.keys(results).find((name) => !Number.isFinite(results[name].loss));
    if (wrong !== undefined) {
      throw new NumericError(
        `After step ${step} the loss of "${wrong}" is ${results[wrong].loss}: the training diverged. Lower the rate; a ` +
          "checkpoint of this step, where there is one, must be removed before the run goes on from one before it.",
        { step },
      );
    }
    const line: EvaluationLine = { kind: "evaluation", step, stage: stage.name, results };
    await this.add(line);
    this.hooks.onEvaluation?.(line);
    return line;
  }

  /** Writes where the run stands, and removes what is older than `checkpoints.keep`. */
  async checkpoint(): Promise<void> {
    const { state, weights } = this.trainer;
    const path = this.folder.checkpointPath(state.step);
    await fileWriter().makeFolder(this.folder.path("checkpoints"));
    await fileWriter().writeFile(path, checkpointFile(weights, state).chunks());
    await this.folder.prune(this.config.checkpoints.keep);
    this.hooks.onCheckpoint?.(state.step);
  }

  /** The model of the newest checkpoint as a GGUF file in the folder. */
  async writeModel(): Promise<{ readonly path: string; readonly bytes: number }> {
    const path = this.folder.path(`${this.config.name}.gguf`);
    return folderModel(this.folder, async ({ model, tokenizerKeys }) => {
      const file = await exportGguf({ model, tokenizerKeys, quant: "f16", name: this.config.name });
      await saveFile(path, file);
      return { path, bytes: file.bytes };
    });
  }

  async close(): Promise<void> {
    this.trainer.dispose();
    for (const file of this.files) await file.close();
  }

  /** Measures what a run that was stopped in the middle of an evaluation still owes to its log. */
  private async catchUp(): Promise<void> {
    const { state } = this.trainer;
    const due = state.stageStep === 0 || state.step % this.config.evaluation.everySteps === 0;
    if (state.step === 0 || !due) return;
    if (this.lines.some(({ kind, step }) => kind === "evaluation" && step === state.step)) return;
    await this.evaluate(lastStage(state));
  }

  private async add(line: LogLine): Promise<void> {
    this.lines.push(line);
    await appendLog(this.folder, line);
  }

  private async restore(): Promise<void> {
    const newest = (await this.folder.checkpoints()).at(-1);
    if (newest !== undefined) {
      this.trainer.state = await restoreCheckpoint(this.folder.checkpointPath(newest), this.trainer.weights);
    }
    this.lines.push(...(await cutLog(this.folder, this.trainer.state.step)));
  }

  private checkCancelled(): void {
    if (this.hooks.signal?.aborted) throw new CancelledError("The training was stopped.");
  }
}

function checkTokens(file: PackedTokens, tokenizer: Tokenizer): void {
  if (file.fingerprint === tokenizerFingerprint(tokenizer)) return;
  throw new FormatError(`${file.source.name} was packed with another tokenizer than the run's. Begin a new run.`);
}
