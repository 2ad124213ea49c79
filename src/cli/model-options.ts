/** The options that commands share: how a model is loaded, and what a session keeps of its text. */
import { type Command, Option } from "commander";
import { policyHelp } from "../context/policy-text.js";
import type { LoadOptions, SessionOptions } from "../engine/api.js";
import { addGatesOption, checkGates, type GatesFlags } from "./gates-option.js";
import { byteSize, cacheType, integerIn, policyText } from "./option-values.js";

export const MODEL_ARGUMENT = "a .gguf or .safetensors file, a model folder, or hf:user/repo[:quant]";

const ENVIRONMENT = "\nEnvironment: SLUICE_WIDE (256-bit vectors: 0 never; default: in Node 24 and 26 on x64).\n";

export interface LoadFlags extends GatesFlags {
  readonly backend?: "wasm" | "reference";
  readonly threads?: number;
  readonly memoryLimit?: number;
  readonly wasmMemory?: number;
  readonly precise?: boolean;
}

export interface SessionFlags extends GatesFlags {
  readonly context?: string;
  readonly kv?: string;
  readonly contextLength?: number;
}

/** Those of `addMachineOptions`, and --gates. */
export function addLoadOptions(command: Command): Command {
  return addMachineOptions(addGatesOption(command));
}

/** --backend, --threads, --memory-limit, --wasm-memory, --precise. */
export function addMachineOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--backend <name>", "what computes; reference is slow, plain TypeScript")
        .choices(["wasm", "reference"])
        .default("wasm"),
    )
    .option("--threads <n>", "threads of the kernels (default: the machine's cores)", integerIn(1, 256))
    .option("--memory-limit <size>", "most memory for weights and cache, e.g. 8GB (default: what is free)", byteSize)
    .option(
      "--wasm-memory <size>",
      "most of one WebAssembly memory, at least 1MiB, e.g. 512MiB; larger models lie in several (default: 4GiB)",
      byteSize,
    )
    .option("--precise", "read prompts with 16-bit activations (default: 8 bits where that is faster)")
    .addHelpText("after", ENVIRONMENT);
}

/** The engine's own, as the help has it. */
export const DEFAULT_CONTEXT = "auto: everything, beyond its length the first 4 and the newest tokens";

/** --context, --kv, --context-length. */
export function addSessionOptions(command: Command, defaultContext: string): Command {
  return command
    .option("--context <policy>", `what of the text stays visible (default: ${defaultContext})`, policyText)
    .option("--kv <type>", "cache type: f32, f16, q8, q4, or keys/values apart: q8/q4 (default: f16)", cacheType)
    .option(
      "--context-length <n>",
      "most tokens under auto and full (default: what the model was trained for)",
      integerIn(1),
    );
}

export function loadOptions(flags: LoadFlags): LoadOptions {
  return {
    ...(flags.backend !== undefined && { backend: flags.backend }),
    ...(flags.threads !== undefined && { threads: flags.threads }),
    ...(flags.memoryLimit !== undefined && { memoryLimitBytes: flags.memoryLimit }),
    ...(flags.wasmMemory !== undefined && { wasmMemoryBytes: flags.wasmMemory }),
    ...(flags.precise !== undefined && { precise: flags.precise }),
    ...(flags.gates !== undefined && { gates: flags.gates }),
  };
}

/** @throws PolicyError for gates that are not given */
export function sessionOptions(flags: SessionFlags): SessionOptions {
  checkGates(flags, [flags.context]);
  return {
    ...(flags.context !== undefined && { context: flags.context }),
    ...(flags.kv !== undefined && { kv: flags.kv }),
    ...(flags.contextLength !== undefined && { contextLength: flags.contextLength }),
  };
}

/** For the end of a command's help: the forms that --context takes. */
export function contextHelp(): string {
  return `\nContext policies:\n${indent(policyHelp())}\n`;
}

/** For the end of a command's help. */
export function exampleHelp(examples: readonly string[]): string {
  return `\nExamples:\n${indent(examples.join("\n"))}\n`;
}

function indent(text: string): string {
  return text.replace(/^/gm, "  ");
}
