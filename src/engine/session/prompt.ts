/**
 * What a prompt adds to a text: its ids behind what a text begins with. Where the model has an encoder, that first reads the
 * source, which may be the first prompt.
 */
import type { EncodeOptions } from "../../tokenizer/tokenizer.js";
import { withPrefix } from "../../tokenizer/vocabulary-tokenizer.js";
import { ArgumentError, ContextFullError } from "../../util/errors.js";
import { counted, formatCount } from "../../util/figures.js";
import type { Cancel } from "../calls/leaving.js";
import type { SessionModel } from "./session-model.js";
import type { TextState } from "./text-state.js";

/** The ids to read; an encoder has read its source then. @throws CancelledError, ContextFullError, MemoryError */
export async function promptIds(
  state: TextState,
  prompt: string | Int32Array,
  { check }: Pick<Cancel, "check">,
): Promise<Int32Array> {
  const { model, settings, reader } = state;
  const { source } = settings;
  if (!model.info.encoderDecoder) return decoderIds(state, prompt, check);
  if (!state.isEmpty) {
    if (source !== undefined || prompt.length === 0) return decoderIds(state, prompt, check);
    throw new ArgumentError(
      "The encoder has read its source. Go on with an empty prompt, reset the session for another source, or give " +
        "the source as a session option and prompts to the decoder.",
    );
  }
  await reader.encode(sourceIds(model, source ?? prompt, check), check);
  return decoderIds(state, source === undefined ? "" : prompt, check);
}

function decoderIds(state: TextState, prompt: string | Int32Array, check: () => void): Int32Array {
  return typeof prompt === "string" ? opened(state, encodePlain(state.model, prompt, { check })) : prompt;
}

/** A text without what the vocabulary puts around it. */
export function encodePlain({ tokenizer }: SessionModel, text: string, options: EncodeOptions): Int32Array {
  return tokenizer.encode(text, { ...options, addSpecial: false });
}

/** @throws ContextFullError when the source is longer than the model reads at once */
function sourceIds(
  { info, tokenizer }: SessionModel,
  source: string | ArrayLike<number>,
  check: () => void,
): Int32Array {
  const ids = typeof source === "string" ? tokenizer.encode(source, { check }) : Int32Array.from(source);
  const most = info.trainedContext;
  if (ids.length === 0) throw new ArgumentError("The source is empty: there is nothing for the encoder to read.");
  if (ids.length <= most) return ids;
  throw new ContextFullError(
    `The source has ${counted(ids.length, "token")}, but the encoder reads at most ${formatCount(most)} at once. Nothing was cut: shorten it ` +
      `by ${counted(ids.length - most, "token")}.`,
    { needed: ids.length, limit: most, option: "source" },
  );
}

/** What a text begins with; without any text something has to be read, if need be a start token that isn't usual. */
function opening({ spec, tokenizer }: SessionModel, ids: Int32Array): readonly number[] {
  const start = spec.encoder?.startToken;
  if (start !== undefined) return [start];
  const { prefix, bosId } = tokenizer;
  return ids.length > 0 || prefix.length > 0 || bosId === undefined ? prefix : [bosId];
}

/** How many ids at the beginning are no text. */
export function openingLength(model: SessionModel, ids: Int32Array): number {
  const first = opening(model, ids);
  if (first.length > 0) return first.every((id, i) => ids[i] === id) ? first.length : 0;
  return ids[0] === model.tokenizer.bosId ? 1 : 0;
}

/** Puts the start token before the first text of a session; ids are taken as they are. */
export function opened(state: TextState, ids: Int32Array): Int32Array {
  return state.isEmpty ? withPrefix(ids, opening(state.model, ids)) : ids;
}

/** Not by spreading: a prompt may have millions of ids. */
export function prepend(id: number, ids: Int32Array): Int32Array {
  const all = new Int32Array(ids.length + 1);
  all[0] = id;
  all.set(ids, 1);
  return all;
}
