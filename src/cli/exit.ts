/** Exit codes, and how an error is shown: `error: message`, the wrong place of a policy, a hint; never a stack trace. */
import { CommanderError } from "commander";
import {
  ArgumentError,
  CancelledError,
  ContextFullError,
  NotFoundError,
  PolicyError,
  SluiceError,
  SnapshotError,
  WriteError,
} from "../util/errors.js";
import { runnable } from "./command-name.js";
import { withFlags } from "./flag-names.js";
import type { Io } from "./io.js";
import { plainText, styles } from "./style.js";

export const EXIT = { ok: 0, failure: 1, usage: 2, interrupted: 130 } as const;

/** Wrong use of the command line that the option parser cannot see. */
export class UsageError extends ArgumentError {}

const HINTS: Readonly<Record<string, string>> = {
  bad_transcript: "/load reads what /save wrote",
  bad_snapshot: "a saved session goes on with the model file and the --backend that it was saved with",
  bad_format: "the file seems to be incomplete: fetch it again",
  unsupported: "`sluice inspect MODEL` shows what the file contains",
  not_found: "check the name; a model is a file, a folder, hf:user/repo, hf:user/repo:QUANT or hf:user/repo/file.gguf",
  context_full: "--context-length N gives more room; --context sinks:4,recent:N lets old tokens go",
  out_of_memory: "a smaller context (--context, --context-length), cache type (--kv q8) or model needs less",
  internal: "SLUICE_DEBUG=1 shows where it happened",
};
/** Of commands whose errors mean other things than those of a model that runs. */
const TRAINING_HINTS: Readonly<Record<string, string | undefined>> = {
  ...HINTS,
  not_found: "check the path; a run's folder is what `sluice train` makes, and texts are .txt, .md or .jsonl files",
  unsupported: undefined,
  bad_format:
    "where a checkpoint is damaged, remove it: the run goes on from the one before (`sluice export --step N` reads it)",
  out_of_memory: "a smaller microBatchTokens or contextLength, or activationCheckpointing, needs less",
  write_failed: "checkpoints that were written before are whole: with room, `sluice train --resume FOLDER` goes on",
};
const HINTS_OF: Readonly<Record<string, typeof TRAINING_HINTS>> = {
  train: TRAINING_HINTS,
  export: { ...TRAINING_HINTS, write_failed: undefined },
};
const GATES_HINT = "check the path; `sluice gates MODEL --out FILE` finds gates and writes them";
const OUT_OF_ROOM = new Set(["ENOSPC", "EDQUOT"]);
const UNEXPECTED_HINT = "SLUICE_DEBUG=1 shows where it happened";

/** Shows an error of a command on standard error and returns the exit code for it. */
export async function presentError(error: unknown, io: Io, command = ""): Promise<number> {
  // The option parser has already written its own message.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof CancelledError && io.outputClosed.aborted) return EXIT.ok;
  await io.stderr.write(describeError(error, io, command));
  return error instanceof ArgumentError || error instanceof PolicyError ? EXIT.usage : EXIT.failure;
}

/** The lines that are shown for an error, with a newline at the end. */
export function describeError(error: unknown, io: Io, command = ""): string {
  const style = styles(io.stderr, io.env);
  const [first, ...more] = runnable(withFlags(plainText(messageOf(error)), command), io).split("\n");
  const lines = [`${style.red("error:")} ${first}`];
  if (error instanceof PolicyError) lines.push(...pointAt(error.details.text, error.details.position));
  lines.push(...more.map((line) => `  ${line}`));
  const hint = hintOf(error, command);
  if (hint) lines.push(style.dim(`hint: ${runnable(hint, io)}`));
  if (io.env.SLUICE_DEBUG === "1" && error instanceof Error && error.stack) lines.push(error.stack);
  return `${lines.join("\n")}\n`;
}

function hintOf(error: unknown, command: string): string | undefined {
  if (!(error instanceof SluiceError)) return UNEXPECTED_HINT;
  const { positions, option } = error.details;
  if (error instanceof NotFoundError && option === "gates") return GATES_HINT;
  // A session that was saved with gates: the message says which flag gives them.
  if (error instanceof SnapshotError && option === "gates") return undefined;
  // Where learned positions or an encoder end, neither policies nor room help; the message says what does.
  if (error instanceof ContextFullError && (positions !== undefined || option === "source")) return undefined;
  // What stands in the way of a file is said in the message; only with room the same command goes on.
  if (error instanceof WriteError && !OUT_OF_ROOM.has(String(error.details.code))) return undefined;
  // Another fetch brings back a file of another kind, or one that was written wrongly, just as it is.
  if (error.code === "bad_format" && error.details.truncated !== true && !Object.hasOwn(HINTS_OF, command))
    return undefined;
  return (Object.hasOwn(HINTS_OF, command) ? HINTS_OF[command] : HINTS)[error.code];
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message || error.name;
}

/** The text with a caret under the character at `position`; nothing when the error does not carry both. */
function pointAt(text: unknown, position: unknown): string[] {
  if (typeof text !== "string" || typeof position !== "number") return [];
  // Control characters would shift the caret.
  const shown = [...text].map((character) => (character < " " ? " " : character)).join("");
  const offset = Math.min(Math.max(position, 0), text.length);
  return [`  ${shown}`, `  ${" ".repeat([...text.slice(0, offset)].length)}^`];
}
