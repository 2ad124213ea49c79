/**
 * Chat templates: Jinja as models ship it, rendered by the engine in jinja/ with the variables and functions that
 * Transformers gives them. Templates come from model files, so a render has a budget of steps, sizes and time.
 */
import { ArgumentError, FormatError, SluiceError, UnsupportedError } from "../util/errors.js";
import { formatTime } from "./format-time.js";
import type { Budget } from "./jinja/budget.js";
import { Fault, Interrupt } from "./jinja/fault.js";
import { fromJavaScript } from "./jinja/from-javascript.js";
import { parseTemplate } from "./jinja/parser.js";
import { type RenderSettings, renderTemplate } from "./jinja/renderer.js";
import type { Template } from "./jinja/syntax.js";
import type { Value } from "./jinja/values.js";
import { withoutGuard } from "./message-guard.js";
import type { ChatMessage, RenderOptions } from "./tokenizer.js";

/** A thousand messages take some fifty thousand steps; at this many a render has taken seconds. */
const MOST_STEPS = 2_000_000;
/** An endless chat may need more: no known template takes a tenth of this for a message. */
const STEPS_PER_MESSAGE = 4000;
/** Items of all lists that a render makes. */
const MOST_ITEMS = 4_000_000;
const ITEMS_PER_MESSAGE = 4000;
/** Characters of all texts that a render makes, beside so many times what it was given. */
const MOST_CHARACTERS = 1 << 26;
const CHARACTERS_PER_GIVEN = 32;
/** Characters of one text, beside four times what it was given: one step over it takes well below a second. */
const LONGEST_TEXT = 1 << 21;
/** Beside one for each message, so that with its last step a render ends within five seconds. */
const MOST_MILLISECONDS = 4000;

/** What a render needs beside messages and options. */
export interface RenderSurroundings {
  /** Marks what is made of guarded texts again; for messages that the guard has marked. */
  readonly remark?: ((text: string) => string) | undefined;
  /** What `strftime_now` takes for now. */
  readonly now?: Date;
}

export class ChatTemplate {
  private readonly source: string | undefined;
  private readonly tokens: Readonly<Record<string, string>>;
  private readonly mostSteps: number;
  private readonly mostMilliseconds: number;
  private template: Template | undefined;

  /** @param tokens `bos_token` and `eos_token`, as templates know them */
  constructor(
    source: string | undefined,
    tokens: Readonly<Record<string, string>>,
    mostSteps = MOST_STEPS,
    mostMilliseconds = MOST_MILLISECONDS,
  ) {
    this.source = source;
    this.tokens = tokens;
    this.mostSteps = mostSteps;
    this.mostMilliseconds = mostMilliseconds;
  }

  /**
   * @throws UnsupportedError without a template or for what the engine can't do, FormatError for a broken template,
   * ArgumentError for messages that it refuses, and what `options.check` throws
   */
  render(messages: readonly ChatMessage[], options: RenderOptions = {}, surroundings: RenderSurroundings = {}): string {
    const given: Record<string, unknown> = {
      ...this.tokens,
      messages,
      add_generation_prompt: options.addGenerationPrompt ?? true,
    };
    const settings = this.settings(messages, options, surroundings);
    const render = (defaults: Readonly<Record<string, unknown>>) => {
      this.template ??= parseTemplate(this.found());
      const variables = { ...given, ...defaults, ...options.variables };
      return renderTemplate(this.template, (budget) => valuesOf(variables, budget), settings);
    };
    return typed(() => {
      try {
        return render(DEFAULTS);
      } catch (error) {
        if (!(error instanceof Fault) || error.kind !== "broken" || !this.template) throw error;
        return secondTry(() => render(toolDefaults(settings.now)), error);
      }
    });
  }

  private found(): string {
    if (this.source !== undefined) return this.source;
    throw new UnsupportedError(
      "The model has no chat template, so there is no telling how it wants to be talked to. Write the prompt yourself, " +
        "with session.generate(prompt) or `sluice run`.",
    );
  }

  private settings(
    messages: readonly ChatMessage[],
    options: RenderOptions,
    surroundings: RenderSurroundings,
  ): RenderSettings {
    const given = messages.reduce((sum, { content }) => sum + (content?.length ?? 0), 0);
    return {
      mostSteps: Math.max(this.mostSteps, messages.length * STEPS_PER_MESSAGE),
      longestText: LONGEST_TEXT + 4 * given,
      mostItems: MOST_ITEMS + ITEMS_PER_MESSAGE * messages.length,
      mostCharacters: MOST_CHARACTERS + CHARACTERS_PER_GIVEN * given,
      mostMilliseconds: this.mostMilliseconds + 100 * Math.floor(messages.length / 100),
      check: options.check,
      now: surroundings.now ?? new Date(),
      remark: surroundings.remark,
    };
  }
}

/** What Transformers gives every template, unless it is told otherwise. */
const DEFAULTS: Readonly<Record<string, unknown>> = { tools: null, documents: null };

/** Templates made for tool use fail without tools; with these in their place they render a conversation that has none. */
function toolDefaults(now: Date): Readonly<Record<string, unknown>> {
  return { functions: "[]", datetime: formatTime(now, "%Y-%m-%d %H:%M:%S") };
}

/** What went wrong first says more than what goes wrong with other variables. */
function secondTry(render: () => string, first: Fault): string {
  try {
    return render();
  } catch (error) {
    throw error instanceof Fault ? first : error;
  }
}

function* valuesOf(variables: Readonly<Record<string, unknown>>, budget: Budget): Generator<readonly [string, Value]> {
  for (const [name, given] of Object.entries(variables)) {
    const value = fromJavaScript(given, name, budget);
    if (value !== undefined) yield [name, value];
  }
}

/** Runs the engine and makes its errors ones of Sluice. */
function typed(run: () => string): string {
  try {
    return run();
  } catch (error) {
    if (error instanceof Interrupt) throw error.reason;
    if (error instanceof Fault) throw typedFault(error);
    if (error instanceof SluiceError || !(error instanceof RangeError)) throw error;
    throw new UnsupportedError(`The model's chat template can't be rendered: it nests too deep (${error.message}).`);
  }
}

function typedFault({ kind, message: marked, line }: Fault): SluiceError {
  const message = withoutGuard(marked);
  const details = line === undefined ? {} : { line };
  const place = line === undefined ? "" : ` (line ${line})`;
  if (kind === "refused")
    return new ArgumentError(`The model's chat template refuses these messages: ${message}`, details);
  const text = `The model's chat template can't be rendered${place}: ${message}`;
  return kind === "unsupported" ? new UnsupportedError(text, details) : new FormatError(text, details);
}
