/**
 * A conversation without end on one session: messages through the model's chat template, or (where it has none) plain
 * continuation. Starting over under another policy, with another system prompt or from a file goes through here.
 */
import type { GenerateOptions, Model, Part, Session, SessionOptions } from "../../engine/api.js";
import type { ChatMessage } from "../../tokenizer/tokenizer.js";

export class Conversation {
  private current: Session;
  private options: SessionOptions;
  /** Messages that the session has not read yet: the system prompt, or what was loaded from a file. */
  private unread: ChatMessage[] = [];
  private read: ChatMessage[] = [];
  private instructions: string | undefined;

  /** @throws PolicyError, ArgumentError */
  constructor(
    readonly model: Model,
    options: SessionOptions,
    system?: string,
  ) {
    this.options = options;
    this.current = model.session(options);
    this.instructions = system;
    this.begin();
  }

  get session(): Session {
    return this.current;
  }

  /** All messages so far, the system prompt among them. */
  get messages(): readonly ChatMessage[] {
    return [...this.read, ...this.unread];
  }

  get system(): string | undefined {
    return this.instructions;
  }

  /** Whether messages go through a chat template; otherwise the text simply goes on. */
  get templated(): boolean {
    return this.model.info.hasChatTemplate;
  }

  /** The answer to a message. What was said counts as read once the answer has begun; before, as not said. */
  async *answer(content: string, options: GenerateOptions): AsyncGenerator<Part, void, undefined> {
    const asked: ChatMessage[] = [...this.unread, { role: "user", content }];
    const parts = this.templated
      ? this.current.chat(asked, options)
      : this.current.generate(asked.map(continuationText).join(""), options);
    const { seen } = this.current.usage;
    let text = "";
    let begun = false;
    try {
      for await (const part of parts) {
        // A part without a token only tells that reading was cancelled; the session, too, then counts the turn as lost.
        begun ||= part.id !== undefined;
        text += part.text;
        yield part;
      }
    } finally {
      if (begun) {
        this.unread = [];
        this.read.push(...asked, { role: "assistant", content: text });
      } else if (!this.templated && this.current.usage.seen !== seen) {
        await this.rereadAll();
      }
    }
  }

  /** A plain text that was read in part cannot be taken back: the session reads all that was said before once more. */
  private async rereadAll(): Promise<void> {
    await this.current.reset();
    this.unread = [...this.read, ...this.unread];
    this.read = [];
  }

  /** Forgets everything but the system prompt. */
  async reset(): Promise<void> {
    await this.current.reset();
    this.begin();
  }

  /** Starts over under another policy. @throws PolicyError, and then nothing has changed */
  async changeContext(context: string): Promise<void> {
    const options = { ...this.options, context };
    const next = this.model.session(options);
    await this.current.dispose();
    this.current = next;
    this.options = options;
    this.begin();
  }

  /** Starts over with another system prompt; an empty one removes it. */
  async changeSystem(system: string): Promise<void> {
    this.instructions = system === "" ? undefined : system;
    await this.reset();
  }

  /** Starts over with these messages, which are read together with the next one. */
  async restore(messages: readonly ChatMessage[]): Promise<void> {
    const first = messages[0];
    this.instructions = first?.role === "system" ? first.content : undefined;
    await this.current.reset();
    this.read = [];
    this.unread = [...messages];
  }

  async dispose(): Promise<void> {
    await this.current.dispose();
  }

  private begin(): void {
    this.read = [];
    this.unread = this.instructions === undefined ? [] : [{ role: "system", content: this.instructions }];
  }
}

/** Without a template there are no roles; a system prompt is a paragraph before the text. */
function continuationText({ role, content }: ChatMessage): string {
  return role === "system" ? `${content}\n` : content;
}
