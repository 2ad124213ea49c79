/** A conversation as a JSON file: what /save writes and /load reads. Hostile files are refused with the field's name. */
import type { ChatMessage } from "../../tokenizer/tokenizer.js";
import { type ErrorDetails, SluiceError } from "../../util/errors.js";

export interface Transcript {
  /** Where the model was loaded from, for the reader's information. */
  readonly model: string;
  /** The policy in its canonical text form. */
  readonly context: string;
  readonly messages: readonly ChatMessage[];
}

/** A file that is no saved conversation. */
export class TranscriptError extends SluiceError {
  override readonly name = "TranscriptError";
  constructor(message: string, details?: ErrorDetails, options?: ErrorOptions) {
    super("bad_transcript", message, details, options);
  }
}

const FORMAT = "sluice-chat";
const VERSION = 1;

export function writeTranscript(transcript: Transcript): string {
  return `${JSON.stringify({ format: FORMAT, version: VERSION, ...transcript }, null, 2)}\n`;
}

/** @param name of the file, for messages. @throws TranscriptError */
export function readTranscript(text: string, name: string): Transcript {
  const value = parse(text, name);
  if (!isRecord(value) || value.format !== FORMAT) {
    throw new TranscriptError(
      `${name} is not a saved conversation: expected a JSON object with "format": "${FORMAT}".`,
    );
  }
  if (value.version !== VERSION) {
    throw new TranscriptError(`${name}: expected version ${VERSION}, found ${JSON.stringify(value.version)}.`);
  }
  const { model, context, messages } = value;
  if (typeof model !== "string" || typeof context !== "string") {
    throw new TranscriptError(`${name}: "model" and "context" must be strings.`);
  }
  if (!Array.isArray(messages)) throw new TranscriptError(`${name}: "messages" must be a list.`);
  return { model, context, messages: messages.map((message, index) => readMessage(message, index, name)) };
}

function parse(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new TranscriptError(`${name} is not JSON.`, {}, { cause });
  }
}

function readMessage(value: unknown, index: number, name: string): ChatMessage {
  if (isRecord(value) && typeof value.content === "string" && isRole(value.role)) {
    return { role: value.role, content: value.content };
  }
  throw new TranscriptError(
    `${name}: message ${index} must have a "role" (system, user, assistant or tool) and a "content" text.`,
    { index },
  );
}

function isRole(value: unknown): value is ChatMessage["role"] {
  return value === "system" || value === "user" || value === "assistant" || value === "tool";
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
