/**
 * A generation that runs ahead of who reads it, and is taken back to the part after which that one left: then the session is
 * as if nothing had run ahead. Where a step cannot be taken back (it would free pages, pass a limit, or change the state of a
 * state space), nothing runs ahead.
 */
import type { Conversation, ConversationMark } from "./conversation.js";
import type { TextMark, TextState } from "./text-state.js";

/** Where a session stands after a part. */
export interface SessionMark {
  readonly text: TextMark;
  readonly conversation: ConversationMark;
  /** What a last part would have given out beside its own text. */
  readonly heldBack: string;
}

export class RunAhead {
  constructor(
    private readonly text: TextState,
    private readonly conversation: Conversation,
  ) {}

  /** Whether the next part can be made and then be taken back. */
  mayGoOn(): boolean {
    return this.text.canTakeBack();
  }

  /** After a part of a generation; undefined where what runs is none, or has ended. */
  mark(): SessionMark | undefined {
    const { text, conversation } = this;
    const heldBack = text.heldBack?.();
    return heldBack === undefined ? undefined : { text: text.mark(), conversation: conversation.mark(), heldBack };
  }

  /** Takes back what came after the mark. */
  takeBack(mark: SessionMark): void {
    this.text.takeBack(mark.text);
    this.conversation.takeBack(mark.conversation);
  }

  /** Not even the first part was given out: a failure of the caller's own came before it. */
  gaveNothing(): void {
    this.conversation.unheard();
  }

  /** The part of the mark was given out as the last one, because it was cancelled: with what had been held back. */
  gaveRest({ heldBack }: SessionMark): void {
    this.conversation.heard({ id: undefined, text: heldBack });
  }

  /** The work has ended; a turn that was taken back into is closed. */
  settle(): void {
    this.conversation.close();
  }
}
