/** What `sinks:system,recent:N` holds of a conversation, taken literally: a list of turns from which whole ones are dropped. */

export interface LiteralMessage {
  readonly role: "system" | "user" | "assistant" | "tool";
  readonly length: number;
}

interface Held {
  readonly answer: boolean;
  /** Positions. */
  readonly tokens: number[];
  cut: boolean;
}

/** A question and what follows it. */
interface Turn {
  readonly messages: Held[];
  /** Some of its messages were dropped, or cut. */
  broken: boolean;
}

/** By position t: the positions that are held once the token at t was read, ascending. */
export function literalMessages(messages: readonly LiteralMessage[], recent: number, sinks = 4): number[][] {
  const always = new Set<number>();
  const turns: Turn[] = [];
  const after: number[][] = [];
  const tokens = () => turns.flatMap((turn) => turn.messages.flatMap((message) => message.tokens));
  const drop = () => {
    while (tokens().filter((token) => !always.has(token)).length > recent) {
      if (turns.length > 1) {
        turns.shift();
        continue;
      }
      // The newest turn alone: its oldest message, as long as that is neither the newest nor what the newest answers.
      const [turn] = turns;
      const held = turn.messages;
      turn.broken = true;
      if (held.length > (held[held.length - 1].answer ? 2 : 1)) {
        held.shift();
        continue;
      }
      // Its first tokens, those that stay anyway apart.
      held[0].cut = true;
      if (held[0].tokens.length === 0) held.shift();
      else held[0].tokens.shift();
    }
  };
  for (const { role, length } of messages) {
    for (let i = 0; i < length; i++) {
      const t = after.length;
      if (t < sinks || role === "system") always.add(t);
      if (role !== "system") {
        if (i === 0) begin(turns, role);
        turns[turns.length - 1].messages.at(-1)?.tokens.push(t);
        drop();
      }
      after.push([...new Set([...always, ...tokens()])].sort((a, b) => a - b));
    }
  }
  return after;
}

/** Only the newest may be a part of a turn, and only the newest a part of a message. */
function begin(turns: Turn[], role: LiteralMessage["role"]): void {
  const message: Held = { answer: role === "assistant", tokens: [], cut: false };
  if (role === "user" || turns.length === 0) {
    if (turns.at(-1)?.broken) turns.pop();
    turns.push({ messages: [message], broken: false });
    return;
  }
  const held = turns[turns.length - 1].messages;
  held.push(message);
  const newest = held.length - (message.answer ? 2 : 1);
  const cut = held.slice(0, newest).findLastIndex((one) => one.cut);
  held.splice(0, cut + 1);
}
