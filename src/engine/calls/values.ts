/** The arguments of calls that are no options, as values of our own: texts, token ids, messages, saved sessions. */
import type { ChatMessage } from "../../tokenizer/tokenizer.js";
import { ArgumentError } from "../../util/errors.js";
import type { ChatMessageInput } from "../api.js";
import { isOneOf, shown } from "./kinds.js";
import { reading } from "./own-options.js";

const MOST_ID = 2 ** 31 - 1;
/** More than any model's context, and what one buffer holds. */
const MOST_IDS = 2 ** 29;

/** @throws ArgumentError */
export function ownText(call: string, text: unknown): string {
  if (typeof text === "string") return text;
  throw new ArgumentError(`The text of ${call} must be a text; found ${shown(text)}.`, { call });
}

/**
 * Token ids in a buffer of their own.
 * @param vocabulary ids must be below it; absent: any id will do
 * @throws ArgumentError for what is no list of whole numbers
 */
export function ownIds(call: string, ids: unknown, vocabulary?: number): Int32Array<ArrayBuffer> {
  return reading(call, () => {
    if (!isList(ids)) {
      throw new ArgumentError(`${call} takes token ids as a list of whole numbers; found ${shown(ids)}.`, { call });
    }
    const { length } = ids;
    // Before any memory is taken: a list that only says that it is long.
    if (length > 0) for (const index of [0, length - 1]) checkId(call, ids[index], index, vocabulary);
    const own = new Int32Array(length);
    for (let index = 0; index < length; index++) own[index] = checkId(call, ids[index], index, vocabulary);
    return own;
  });
}

function isList(value: unknown): value is ArrayLike<unknown> {
  if (typeof value !== "object" || value === null || !("length" in value)) return false;
  const { length } = value;
  return typeof length === "number" && Number.isInteger(length) && length >= 0 && length <= MOST_IDS;
}

function checkId(call: string, id: unknown, index: number, vocabulary: number | undefined): number {
  if (typeof id !== "number" || !Number.isInteger(id)) {
    throw new ArgumentError(`Token ids are whole numbers; ${call} was given ${shown(id)} at index ${index}.`, {
      call,
      index,
    });
  }
  if (id >= 0 && id < (vocabulary ?? MOST_ID + 1)) return id;
  throw new ArgumentError(
    vocabulary === undefined
      ? `Token ids are from 0 to ${MOST_ID}; ${call} was given ${id} at index ${index}.`
      : `Token id ${id} at index ${index} is not in the vocabulary: expected 0 to ${vocabulary - 1}.`,
    { call, index },
  );
}

/** A text or ids. @throws ArgumentError */
export function ownPrompt(call: string, prompt: unknown, vocabulary: number): string | Int32Array<ArrayBuffer> {
  if (typeof prompt === "string") return prompt;
  if (reading(call, () => isList(prompt))) return ownIds(call, prompt, vocabulary);
  throw new ArgumentError(`The text of ${call} must be a text or a list of token ids; found ${shown(prompt)}.`, {
    call,
  });
}

const ROLES = ["system", "user", "assistant", "tool"] as const satisfies readonly ChatMessage["role"][];
const isRole = isOneOf(...ROLES);

/** Messages of a conversation; a text alone is the user's. @throws ArgumentError */
export function ownMessages(call: string, messages: string | readonly ChatMessageInput[]): ChatMessage[] {
  if (typeof messages === "string") return [{ role: "user", content: messages }];
  const list: unknown = messages;
  return reading(call, () => {
    if (!Array.isArray(list)) {
      throw new ArgumentError(`${call} takes a list of messages { role, content }; found ${shown(list)}.`, { call });
    }
    return Array.from(messages, (message, index) => ownMessage(message, index));
  });
}

/** Fields that the type does not name are for the template, and must be plain data. */
function ownMessage(message: ChatMessageInput, index: number): ChatMessage {
  const given: unknown = message;
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw new ArgumentError(`Message ${index} must be an object { role, content }; found ${shown(given)}.`, { index });
  }
  const { role, content, ...others } = message;
  isRole(role, `The role of message ${index}`);
  if (content !== null && typeof content !== "string") {
    throw new ArgumentError(`The content of message ${index} must be a text or null; found ${shown(content)}.`, {
      index,
    });
  }
  return { ...plainFields(others, index), role, content: content ?? "" };
}

function plainFields(fields: object, index: number): object {
  try {
    return Object.keys(fields).length === 0 ? {} : Object(JSON.parse(JSON.stringify(fields)));
  } catch (cause) {
    throw new ArgumentError(`Message ${index} has fields that are not plain data.`, { index }, { cause });
  }
}
