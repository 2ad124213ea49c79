/**
 * Chat templates: Jinja as models ship it, rendered by @huggingface/jinja with the variables and functions that
 * Transformers gives them. Templates come from model files, so a render has a budget of steps and sizes.
 */
/// <reference path="./huggingface-modules.d.ts" />
import { Environment, Interpreter, type Program, parse, type RuntimeValue, tokenize } from "@huggingface/jinja";
import { ArgumentError, FormatError, SluiceError, UnsupportedError } from "../util/errors.js";
import type { AddedTokens } from "./added-tokens.js";
import { formatTime } from "./format-time.js";
import type { ChatMessage, RenderOptions } from "./tokenizer.js";

/** A thousand messages take some hundred thousand steps; a template that needs more than this never ends. */
const MOST_STEPS = 10_000_000;
const MOST_ITEMS = 1_000_000;
const LONGEST_TEXT = 1 << 28;

export class ChatTemplate {
  readonly #source: string | undefined;
  readonly #tokens: Readonly<Record<string, string>>;
  #program: Program | undefined;

  /** @param tokens `bos_token` and `eos_token`, as templates know them */
  constructor(source: string | undefined, tokens: Readonly<Record<string, string>>) {
    this.#source = source;
    this.#tokens = tokens;
  }

  /** @throws UnsupportedError without a template, FormatError for a broken one, ArgumentError for refused messages */
  render(messages: readonly ChatMessage[], options: RenderOptions = {}): string {
    const environment = new Environment();
    const variables: Record<string, unknown> = {
      ...GLOBALS,
      ...this.#tokens,
      messages: messages.map((message) => ({ ...message })),
      add_generation_prompt: options.addGenerationPrompt ?? true,
      ...options.variables,
    };
    for (const [name, value] of Object.entries(variables)) if (name !== "namespace") environment.set(name, value);
    try {
      return String(new BudgetInterpreter(environment).run(this.#parsed()).value);
    } catch (error) {
      throw this.#explain(error);
    }
  }

  #parsed(): Program {
    if (this.#source === undefined) {
      throw new UnsupportedError(
        "The model has no chat template, so there is no telling how it wants to be talked to. Write the prompt yourself.",
      );
    }
    if (this.#program) return this.#program;
    try {
      this.#program = parse(tokenize(this.#source, { lstrip_blocks: true, trim_blocks: true }));
    } catch (error) {
      throw new FormatError(`The model's chat template can't be parsed: ${messageOf(error)}`, {}, { cause: error });
    }
    return this.#program;
  }

  #explain(error: unknown): SluiceError {
    if (error instanceof SluiceError) return error;
    return new UnsupportedError(`The model's chat template can't be rendered: ${messageOf(error)}`);
  }
}

/** What Transformers gives every template. */
const GLOBALS: Readonly<Record<string, unknown>> = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  raise_exception: (message: unknown) => {
    throw new ArgumentError(`The model's chat template refuses these messages: ${String(message)}`);
  },
  strftime_now: (format: unknown) => formatTime(new Date(), String(format)),
  range,
};

function range(start: unknown, stop?: unknown, step: unknown = 1): number[] {
  const [from, to] = typeof stop === "number" ? [Number(start), stop] : [0, Number(start)];
  const by = Number(step);
  const count = Math.ceil((to - from) / by);
  if (by === 0 || !(count <= MOST_ITEMS)) {
    throw new FormatError(`The model's chat template asks for a range of ${count} numbers; at most ${MOST_ITEMS}.`);
  }
  return Array.from({ length: Math.max(0, count) }, (_, i) => from + i * by);
}

/** An interpreter that ends: steps and the sizes of values are limited. */
class BudgetInterpreter extends Interpreter {
  #steps = 0;

  override evaluate(statement: unknown, environment: Environment): RuntimeValue {
    if (++this.#steps > MOST_STEPS) {
      throw new FormatError(`The model's chat template takes more than ${MOST_STEPS} steps; it may never end.`);
    }
    const value = super.evaluate(statement, environment);
    if (sizeOf(value) > (typeof value.value === "string" ? LONGEST_TEXT : MOST_ITEMS)) {
      throw new FormatError("The model's chat template makes a value that is too large.");
    }
    return value;
  }
}

function sizeOf({ value: content }: RuntimeValue): number {
  return typeof content === "string" || Array.isArray(content) ? content.length : 0;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Noncharacters of Unicode: never part of a text that is interchanged. */
const FIRST_MARK = 0xfdd0;
const MARKS = 32;

/**
 * Breaks up every special token in the messages' texts with a mark, so that it stays plain text through the template;
 * `unmark` takes the mark out again, after the template's own special tokens were found.
 */
export function markMessages(
  messages: readonly ChatMessage[],
  addedTokens: AddedTokens,
): { readonly messages: readonly ChatMessage[]; readonly unmark: (text: string) => string } {
  const used = (mark: string) => messages.some((message) => message.content.includes(mark));
  const marks = Array.from({ length: MARKS }, (_, i) => String.fromCharCode(FIRST_MARK + i));
  const mark = marks.find((candidate) => !used(candidate)) ?? marks[0];
  return {
    messages: messages.map((message) => ({ ...message, content: breakUp(message.content, addedTokens, mark) })),
    unmark: (text) => text.replaceAll(mark, ""),
  };
}

function breakUp(text: string, addedTokens: AddedTokens, mark: string): string {
  let broken = "";
  let start = 0;
  for (const { token, at } of addedTokens.find(text, true)) {
    if (!token.special) continue;
    const inside = at + String.fromCodePoint(text.codePointAt(at) ?? 0).length;
    broken += text.slice(start, inside) + mark;
    start = inside;
  }
  return broken + text.slice(start);
}
