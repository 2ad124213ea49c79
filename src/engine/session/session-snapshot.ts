/**
 * A session as bytes, and back: text, policy, cache, states and conversation, so that one that was restored writes on as the
 * one that was saved would have, bit for bit where backend and options of the model are the same.
 */

import type { GatesByName } from "../../context/gates/index.js";
import {
  checkFacts,
  type MemoryFacts,
  memoryBytes,
  memoryFacts,
  readMemory,
  writeMemory,
} from "../../context/snapshot.js";
import { ArgumentError, PolicyError, SnapshotError } from "../../util/errors.js";
import { counted } from "../../util/figures.js";
import type { ModelInfo, SessionOptions } from "../api.js";
import type { ContextReader } from "../step/context-reader.js";
import type { Conversation } from "./conversation.js";
import { type OptionsModel, optionsOf } from "./session-options.js";
import { SnapshotReader, SnapshotWriter } from "./snapshot-file.js";
import { parseHeader, type SnapshotHeader } from "./snapshot-header.js";
import type { TextState } from "./text-state.js";

/** A session's text and its conversation, between two steps. */
export async function saveSession(state: TextState, conversation: Conversation): Promise<Uint8Array<ArrayBuffer>> {
  const reader = state.existing;
  reader?.settle();
  const memory = reader && memoryFacts(reader.memory);
  const logits = state.nextLogits ?? new Float32Array(0);
  const history = Int32Array.from(state.history);
  const newest = reader?.newest ?? new Int32Array(0);
  const { architecture, name, fingerprint, backend } = state.model.info;
  const { promptTokens, generatedTokens, read } = state.usage;
  const { name: gatesName, digest } = state.settings.policy.gates ?? {};
  const header: SnapshotHeader = {
    model: { architecture, name, fingerprint, backend },
    options: optionsOf(state.settings),
    ...(gatesName !== undefined && digest !== undefined && { gates: { name: gatesName, digest } }),
    waiting: state.waiting ?? null,
    promptTokens,
    generatedTokens,
    read,
    logits: logits.length,
    history: history.length,
    newest: newest.length,
    messages: conversation.messages,
    chatText: conversation.held ?? null,
    divided: state.settings.policy.byMessages || state.messages.system ? state.messages : null,
    text: reader && memory ? { seen: reader.seen, memory } : null,
  };
  const numbers = 4 * (logits.length + history.length + newest.length);
  const writer = new SnapshotWriter(
    withNulls(header),
    numbers + (reader && memory ? memoryBytes(reader.memory, memory) : 0),
  );
  writer.putNumbers(logits);
  writer.putNumbers(history);
  writer.putNumbers(newest);
  if (reader && memory) await writeMemory(reader.memory, memory, writer);
  return writer.finish();
}

/** JSON has no undefined: an option that was not given is null. */
function withNulls(header: SnapshotHeader): unknown {
  const { contextLength = null, source = null } = header.options;
  return { ...header, options: { ...header.options, contextLength, source: asPlain(source) } };
}

function asPlain(source: string | ArrayLike<number> | null): string | number[] | null {
  return source === null || typeof source === "string" ? source : Array.from(source);
}

/** A saved session of this model, whose blocks are still to be read. */
export interface SavedSession {
  readonly header: SnapshotHeader;
  readonly file: SnapshotReader;
}

/** @throws SnapshotError for damaged bytes, and for what was saved with another model, backend or gates */
export function openSaved(bytes: Uint8Array, { info, gates }: OptionsModel): SavedSession {
  const file = new SnapshotReader(bytes);
  const header = parseHeader(file.header);
  checkModel(header, info);
  checkGates(header, gates);
  return { header, file };
}

function checkModel({ model: saved }: SnapshotHeader, info: ModelInfo): void {
  const shown = (name: string | null, architecture: string) => `${name ?? "a model without a name"} (${architecture})`;
  if (saved.fingerprint !== info.fingerprint) {
    throw new SnapshotError(
      `The session was saved with another model: ${shown(saved.name, saved.architecture)}, not ` +
        `${shown(info.name, info.architecture)}, or with another file of it, or (a mixture of experts) by an earlier version ` +
        "of Sluice. Load what it was saved with, or begin a new session.",
      { found: saved.fingerprint, expected: info.fingerprint },
    );
  }
  if (saved.backend !== info.backend) {
    throw new SnapshotError(
      `The session was saved with the ${saved.backend} backend, whose pages are laid out otherwise than those of ` +
        `${info.backend}. Load the model with backend: "${saved.backend}".`,
      { found: saved.backend, expected: info.backend },
    );
  }
}

/** Heads that kept little cannot be made to keep all, so the gates must be the same. */
function checkGates({ gates: saved }: SnapshotHeader, gates: GatesByName): void {
  if (saved === undefined) return;
  const { name, digest } = saved;
  const found = gates.get(name)?.digest;
  if (found === digest) return;
  throw new SnapshotError(
    `The session was saved with the gates "${name}", and the model was loaded with ${found === undefined ? "none" : "other gates"} of that name. ` +
      `Load it with those that it was saved with: gates: { "${name}": ... }, or --gates ${name}=FILE.`,
    { option: "gates", name, expected: digest, found: found ?? null },
  );
}

/** The session that `open` makes of the saved options. @throws SnapshotError where they are none */
export function openAgain<S>({ header: { options } }: SavedSession, open: (options: SessionOptions) => S): S {
  try {
    return open(options);
  } catch (cause) {
    if (!(cause instanceof ArgumentError || cause instanceof PolicyError)) throw cause;
    throw new SnapshotError(`The options of the saved session are damaged: ${cause.message}`, {}, { cause });
  }
}

/**
 * Fills an empty session, between two steps. Everything is checked before any memory is taken.
 * @throws SnapshotError; MemoryError where the cache does not fit
 */
export function restoreInto(state: TextState, conversation: Conversation, { header, file }: SavedSession): void {
  const { vocabulary } = state.model.info;
  if (state.settings.policy.gates?.digest !== header.gates?.digest)
    throw new SnapshotError("The saved session does not say which gates its policy goes by.");
  const { waiting, text, chatText, messages } = header;
  if (header.logits !== 0 && header.logits !== vocabulary) throw new SnapshotError("The saved logits are incomplete.");
  if (waiting !== null && waiting >= vocabulary) throw new SnapshotError("The saved token is not in the vocabulary.");
  const logits = file.takeFloats(header.logits);
  const history = known(file.takeInts(header.history), vocabulary);
  const newest = known(file.takeInts(header.newest), vocabulary);
  if (header.divided) state.divide(header.divided);
  if (text) resume(state.reader, text, newest, file);
  if (file.left > 0) throw new SnapshotError("The saved session is longer than its header says.");
  state.resume({ waiting: waiting ?? undefined, history, logits, counts: header, read: header.read });
  conversation.resume(messages, chatText ?? undefined);
}

function resume(
  reader: ContextReader,
  { seen, memory: facts }: { readonly seen: number; readonly memory: MemoryFacts },
  newest: Int32Array,
  file: SnapshotReader,
): void {
  const { memory } = reader;
  checkFacts(memory, facts);
  if (memoryBytes(memory, facts) !== file.left)
    throw new SnapshotError("The saved memory has another size than its header says.");
  readMemory(memory, facts, file);
  if (!reader.resume(seen, newest))
    throw new SnapshotError(`The saved text of ${counted(seen, "token")} does not fit its memory.`, { seen });
}

/** @throws SnapshotError for ids that no embedding has */
function known(ids: Int32Array, vocabulary: number): Int32Array {
  if (ids.every((id) => id >= 0 && id < vocabulary)) return ids;
  throw new SnapshotError(
    `The saved session has tokens that are not in the vocabulary of ${counted(vocabulary, "token")}.`,
  );
}
