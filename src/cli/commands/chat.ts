/** `sluice chat`: a conversation without end, in constant memory. */

import type { Command } from "commander";
import type { GenerateOptions, Model, ModelInfo, SessionOptions } from "../../engine/api.js";
import { Conversation } from "../chat/conversation.js";
import { MessageInput } from "../chat/message-input.js";
import { isSlashCommand, runSlashCommand } from "../chat/slash-commands.js";
import { describeError, EXIT } from "../exit.js";
import { counted } from "../figures.js";
import { checkGates } from "../gates-option.js";
import { addGenerateOptions, type GenerateFlags, generateOptions, MAX_SEED } from "../generate-options.js";
import { interruptible, isCancellation, untilInterrupted } from "../interrupt.js";
import type { Io, LineSource } from "../io.js";
import { loadModel } from "../load-progress.js";
import {
  addLoadOptions,
  addSessionOptions,
  contextHelp,
  exampleHelp,
  type LoadFlags,
  loadOptions,
  MODEL_ARGUMENT,
  type SessionFlags,
  sessionOptions,
} from "../model-options.js";
import { writeNotes } from "../notes.js";
import { PipedLines } from "../piped-lines.js";
import { plainText, styles } from "../style.js";

/** Answers end by themselves where there is a template; this only stops a model that does not find its end. */
const MAX_ANSWER = 2048;
/** Plain continuation has no end of its own. */
const MAX_CONTINUATION = 256;
const SINKS = 4;

export interface ChatArguments extends LoadFlags, SessionFlags, GenerateFlags {
  readonly model: string;
  readonly system?: string;
  readonly quiet?: boolean;
}

export function chatCommand(command: Command): Command {
  command
    .description("Talk with a model without end. /help lists the commands within.")
    .argument("<model>", MODEL_ARGUMENT)
    .option("--system <text>", "the system prompt");
  addGenerateOptions(command, {
    maxTokensDefault: `${MAX_ANSWER}; ${MAX_CONTINUATION} without a chat template`,
    seedHelp: "same seed, same conversation; the second message draws with n + 1, and so on",
  });
  const usual = `sinks:${SINKS},recent:N with N = trained length - ${SINKS}`;
  addSessionOptions(command, `${usual}; with learned or sinusoidal positions recompute:N, without attention full`);
  return addLoadOptions(command)
    .option("-q, --quiet", "only the answers")
    .addHelpText(
      "after",
      contextHelp() +
        exampleHelp([
          "sluice chat model.gguf",
          'sluice chat hf:user/repo:Q4_0 --system "Answer in one sentence." --kv q8',
          'sluice chat model.gguf --system "Answer in one sentence." --context sinks:system,recent:2000',
          'echo "What is a sluice?" | sluice chat model.gguf --quiet',
        ]) +
        "\nA piped input is one message a line; only the answers are written to standard output.\n",
    );
}

/** @returns the exit code. @throws the typed errors of loading */
export async function chat(args: ChatArguments, io: Io): Promise<number> {
  checkGates(args, [args.context]);
  let model: Model | undefined;
  try {
    const loaded = await untilInterrupted(io, async (signal) => {
      const options = { ...loadOptions(args), signal };
      model = await loadModel(io, { reference: args.model, options, quiet: args.quiet === true });
      return EXIT.ok;
    });
    if (!model || loaded !== EXIT.ok) return loaded;
    const conversation = new Conversation(model, chatSession(model, args), args.system);
    try {
      return await new ChatLoop(conversation, args, io).run();
    } finally {
      await conversation.dispose();
    }
  } finally {
    await model?.dispose();
  }
}

function chatSession({ info }: Model, args: ChatArguments): SessionOptions {
  return { context: endlessPolicy(info), ...sessionOptions(args) };
}

/** A state of constant size needs no policy; positions of tokens that cannot be moved make the text be read anew. */
function endlessPolicy({ trainedContext, attentionLayers, positions, fixedPositions }: ModelInfo): string {
  if (attentionLayers === 0) return "full";
  const length = trainedContext || positions || 2048;
  if (fixedPositions) return `recompute:${Math.min(length, positions ?? length)}`;
  return `sinks:${SINKS},recent:${Math.max(1, length - SINKS)}`;
}

class ChatLoop {
  private readonly interactive: boolean;
  private readonly lines: LineSource;
  private readonly input = new MessageInput();
  private failed = false;
  private quit = false;
  private notes: readonly string[] = [];
  /** Messages that went to the model, whatever became of them. */
  private turns = 0;

  constructor(
    private readonly conversation: Conversation,
    private readonly args: ChatArguments,
    private readonly io: Io,
  ) {
    this.interactive = io.stdin.isTTY && io.stdout.isTTY;
    this.lines = this.interactive ? io.openTerminal() : new PipedLines(io.stdin, io.interrupts);
  }

  async run(): Promise<number> {
    try {
      await this.greet();
      for (;;) {
        const event = await this.lines.next(this.prompt());
        if (event.kind === "end") return await this.leave();
        if (event.kind === "interrupt") {
          if (!this.interactive) return EXIT.interrupted;
          await this.interruptedAtPrompt(event.empty);
          continue;
        }
        const message = this.input.push(event.text);
        if (message !== undefined) await this.take(message);
        if (this.io.outputClosed.aborted) return EXIT.ok;
        if (this.quit) return this.code();
      }
    } finally {
      this.lines.close();
    }
  }

  private async greet(): Promise<void> {
    const { model, session, templated } = this.conversation;
    if (this.args.quiet) return;
    if (this.interactive) {
      await this.tell(
        `${plainText(model.info.name ?? model.info.location)}, context ${session.context}. /help lists the commands.`,
      );
    }
    await this.tellNotes();
    if (model.info.encoderDecoder) {
      await this.tell("This model's encoder reads the first message, and the model answers it: /reset before another.");
    } else if (!templated) {
      await this.tell("This model has no chat template: what you write is a text, and the model goes on with it.");
    }
  }

  private prompt(): string {
    return this.input.open ? ". " : "> ";
  }

  private async interruptedAtPrompt(empty: boolean): Promise<void> {
    const open = this.input.open;
    this.input.cancel();
    await this.io.stdout.write("\n");
    if (empty && !open) await this.tell("Ctrl-D or /quit leaves.");
  }

  /** The last message may lack its end. */
  private async leave(): Promise<number> {
    const message = this.input.end();
    if (message !== undefined && !this.interactive) await this.take(message);
    if (this.interactive) await this.io.stdout.write("\n");
    return this.code();
  }

  private code(): number {
    return this.failed ? EXIT.failure : EXIT.ok;
  }

  private async take(message: string): Promise<void> {
    if (message.trim() === "") return;
    const { conversation, io } = this;
    try {
      if (isSlashCommand(message)) {
        const tell = (text: string) => this.tell(text);
        const quit = () => {
          this.quit = true;
        };
        await runSlashCommand(message, { conversation, io, tell, quit });
        this.notes = conversation.session.notes;
        return;
      }
      await this.answer(message.startsWith("//") ? message.slice(1) : message);
    } catch (error) {
      // Nobody sees a failure in the middle of a pipe; the exit code tells.
      this.failed = !this.interactive;
      await io.stderr.write(describeError(error, io));
    }
  }

  /** Writes the answer as it comes. Ctrl-C stops the answer, not the program. */
  private async answer(message: string): Promise<void> {
    const { conversation, io } = this;
    const options = this.options(this.turns++);
    const work = interruptible(io);
    let begun = false;
    try {
      for await (const part of conversation.answer(message, { ...options, signal: work.signal })) {
        begun ||= part.id !== undefined;
        if (part.text !== "") await io.stdout.write(part.text);
        if (part.finish === "length") await this.cutNote();
      }
    } catch (error) {
      if (!isCancellation(error)) throw error;
    } finally {
      work.end();
      await io.stdout.write("\n");
    }
    await this.tellNotes();
    if (!work.interrupted) return;
    await this.tell(begun ? "(stopped)" : "(stopped before the answer began: the message counts as not said)");
  }

  private options(turn: number): GenerateOptions {
    const most = this.conversation.templated ? MAX_ANSWER : MAX_CONTINUATION;
    const { seed } = this.args;
    return {
      maxTokens: most,
      ...generateOptions(this.args),
      // The same draws in each turn would favour the same words at the same places.
      ...(seed !== undefined && { seed: seedOfTurn(seed, turn) }),
    };
  }

  /** What the session has come to say of its context, each once. */
  private async tellNotes(): Promise<void> {
    const { notes } = this.conversation.session;
    const before = this.notes;
    this.notes = notes;
    const news = notes.filter((note) => !before.includes(note));
    await writeNotes(this.io, { notes: news }, this.args.quiet === true);
  }

  private async cutNote(): Promise<void> {
    if (!this.conversation.templated || this.args.quiet || !this.interactive) return;
    const most = this.args.maxTokens ?? MAX_ANSWER;
    await this.tell(`\n(stopped at ${counted(most, "token")}; --max-tokens allows more)`);
  }

  /** What is not part of the conversation stands on standard error, so that a pipe gets the answers alone. */
  private async tell(text: string): Promise<void> {
    await this.io.stderr.write(`${styles(this.io.stderr, this.io.env).dim(text)}\n`);
  }
}

/** seed + turn, which goes on at 0 behind the greatest seed. */
function seedOfTurn(seed: number, turn: number): number {
  const room = MAX_SEED - seed;
  return turn <= room ? seed + turn : turn - room - 1;
}
