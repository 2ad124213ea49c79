/**
 * The folder of a training run:
 *
 *   config.json               what was asked for
 *   tokenizer.json, tokenizer_config.json
 *   data/train.tokens, data/held-out.tokens
 *   checkpoints/step-0000200.safetensors
 *   log.jsonl, loss.svg       a line for each step and evaluation
 *   NAME.gguf                 when the run has ended
 */
import { parseJson } from "../formats/json-file.js";
import { joinLocation } from "../formats/location.js";
import { createTokenizer } from "../tokenizer/create-tokenizer.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { FormatError, NotFoundError } from "../util/errors.js";
import { platform } from "../util/platform.js";
import { parseConfig, type TrainingConfig } from "./config.js";
import { PackedTokens } from "./data/packed-tokens.js";
import { fileWriter } from "./export/save.js";

const CHECKPOINT = /^step-(\d+)\.safetensors$/;

export class RunFolder {
  constructor(readonly location: string) {}

  path(...names: readonly string[]): string {
    return names.reduce(joinLocation, this.location);
  }

  /** @throws NotFoundError for a folder that no run has begun in, FormatError, ArgumentError */
  async config(): Promise<TrainingConfig> {
    const path = this.path("config.json");
    if (!(await this.has("config.json"))) {
      const found = await platform().list(this.location);
      const why = found === undefined ? "it does not exist" : "it has no config.json";
      throw new NotFoundError(`'${this.location}' is no folder of a training run: ${why}.`);
    }
    return parseConfig(await this.json("config.json"), path);
  }

  async has(name: string): Promise<boolean> {
    return (await platform().list(this.path(name))) === "file";
  }

  /** What tokenizer.json holds, and the tokenizer that it makes. */
  async tokenizer(): Promise<{ readonly json: object; readonly config: object; readonly tokenizer: Tokenizer }> {
    const [json, config] = [await this.json("tokenizer.json"), await this.json("tokenizer_config.json")];
    const source = { kind: "hf", tokenizerJson: json, tokenizerConfig: config, specialTokensMap: undefined } as const;
    return { json, config, tokenizer: createTokenizer(source) };
  }

  /** `train` or `held-out`; undefined when the run has none. */
  async tokens(name: string): Promise<PackedTokens | undefined> {
    const names = await platform().list(this.path("data"));
    if (!Array.isArray(names) || !names.includes(`${name}.tokens`)) return undefined;
    return PackedTokens.open(await platform().open(this.path("data", `${name}.tokens`)));
  }

  /** Steps of the checkpoints that are there, ascending. */
  async checkpoints(): Promise<number[]> {
    const names = await platform().list(this.path("checkpoints"));
    if (!Array.isArray(names)) return [];
    const steps = names.flatMap((name: string) => CHECKPOINT.exec(name)?.[1] ?? []);
    return steps.map(Number).sort((a, b) => a - b);
  }

  checkpointPath(step: number): string {
    return this.path("checkpoints", `step-${String(step).padStart(7, "0")}.safetensors`);
  }

  /** Removes all checkpoints but the newest `keep`. */
  async prune(keep: number): Promise<void> {
    const steps = await this.checkpoints();
    for (const step of steps.slice(0, Math.max(0, steps.length - keep))) {
      await fileWriter().remove(this.checkpointPath(step));
    }
  }

  async write(name: string, text: string): Promise<void> {
    await fileWriter().writeFile(this.path(name), [new TextEncoder().encode(text)]);
  }

  async read(name: string): Promise<string> {
    const source = await platform().open(this.path(name));
    try {
      const bytes = new Uint8Array(source.size);
      await source.read(0, bytes);
      return new TextDecoder().decode(bytes);
    } finally {
      await source.close();
    }
  }

  private async json(name: string): Promise<object> {
    const value = parseJson(new TextEncoder().encode(await this.read(name)), this.path(name));
    if (typeof value === "object" && value !== null) return value;
    throw new FormatError(`${this.path(name)} must hold a JSON object.`);
  }
}
