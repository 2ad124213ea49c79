/**
 * Chat templates: Jinja as models ship it, rendered by @huggingface/jinja with the variables and functions that
 * Transformers gives them. Templates come from model files, so a render has a budget of steps and sizes.
 */
/// <reference path="./huggingface-modules.d.ts" />
import { Environment, Interpreter, type Program, parse, type RuntimeValue, tokenize } from "@huggingface/jinja";
import { ArgumentError, FormatError, SluiceError, UnsupportedError } from "../util/errors.js";
import { formatTime } from "./format-time.js";
import type { ChatMessage, RenderOptions } from "./tokenizer.js";

/** A thousand messages take some ten thousand steps; at this many a render has taken seconds. */
const MOST_STEPS = 1_000_000;
/** An endless chat may need more: no known template takes a tenth of this for a message. */
const STEPS_PER_MESSAGE = 1000;
const MOST_ITEMS = 1_000_000;
const LONGEST_TEXT = 1 << 26;

export class ChatTemplate {
  readonly #source: string | undefined;
  readonly #tokens: Readonly<Record<string, string>>;
  #program: Program | undefined;

  readonly #mostSteps: number;

  /** @param tokens `bos_token` and `eos_token`, as templates know them */
  constructor(source: string | undefined, tokens: Readonly<Record<string, string>>, mostSteps = MOST_STEPS) {
    this.#source = source;
    this.#tokens = tokens;
    this.#mostSteps = mostSteps;
  }

  /** @throws UnsupportedError without a template, FormatError for a broken one, ArgumentError for refused messages */
  render(messages: readonly ChatMessage[], options: RenderOptions = {}): string {
    const program = this.#parsed();
    const variables: Record<string, unknown> = {
      ...GLOBALS,
      ...this.#tokens,
      messages: messages.map((message) => ({ ...message })),
      add_generation_prompt: options.addGenerationPrompt ?? true,
      ...options.variables,
    };
    try {
      return this.#run(program, variables, messages.length);
    } catch (error) {
      if (error instanceof SluiceError) throw error;
    }
    try {
      return this.#run(program, { ...TOOL_DEFAULTS, ...variables }, messages.length);
    } catch (error) {
      throw error instanceof SluiceError ? error : unrenderable(error);
    }
  }

  #run(program: Program, variables: Readonly<Record<string, unknown>>, messages: number): string {
    const environment = new Environment();
    for (const [name, value] of Object.entries(variables)) if (name !== "namespace") environment.set(name, value);
    return String(
      new BudgetInterpreter(environment, Math.max(this.#mostSteps, messages * STEPS_PER_MESSAGE)).run(program).value,
    );
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
}

function unrenderable(error: unknown): UnsupportedError {
  return new UnsupportedError(`The model's chat template can't be rendered: ${messageOf(error)}`);
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

/**
 * Templates made for tool use take these for granted, and fail without. Others ask whether there are tools at all, so
 * this is the second try.
 */
const TOOL_DEFAULTS: Readonly<Record<string, unknown>> = {
  tools: [],
  functions: "[]",
  get datetime() {
    return formatTime(new Date(), "%Y-%m-%d %H:%M:%S");
  },
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
  readonly #mostSteps: number;
  #steps = 0;

  constructor(environment: Environment, mostSteps: number) {
    super(environment);
    this.#mostSteps = mostSteps;
  }

  override evaluate(statement: unknown, environment: Environment): RuntimeValue {
    if (++this.#steps > this.#mostSteps) {
      throw new FormatError(`The model's chat template takes more than ${this.#mostSteps} steps; it may never end.`);
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
