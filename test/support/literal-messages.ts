/** What `sinks:system,recent:N` holds of a conversation, taken literally: a list of messages from which whole ones are dropped. */

export interface LiteralMessage {
  readonly role: "system" | "user" | "assistant";
  readonly length: number;
}

interface Held {
  readonly answer: boolean;
  /** Positions. */
  readonly tokens: number[];
  cut: boolean;
}

/** By position t: the positions that are held once the token at t was read, ascending. */
export function literalMessages(messages: readonly LiteralMessage[], recent: number, sinks = 4): number[][] {
  const always = new Set<number>();
  const held: Held[] = [];
  const after: number[][] = [];
  const drop = () => {
    const count = () => held.flatMap(({ tokens }) => tokens).filter((token) => !always.has(token)).length;
    while (count() > recent) {
      const newest = held.length - (held.length > 1 && held[held.length - 1].answer ? 2 : 1);
      if (newest > 0) {
        held.shift();
        continue;
      }
      // The newest alone: its first tokens, those that stay anyway apart.
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
        if (i === 0) {
          held.push({ answer: role === "assistant", tokens: [], cut: false });
          // Only the newest may be a half.
          const question = held.length - (role === "assistant" ? 2 : 1);
          for (let j = question - 1; j >= 0; j--) if (held[j].cut) held.splice(0, j + 1);
        }
        held[held.length - 1].tokens.push(t);
        drop();
      }
      after.push([...new Set([...always, ...held.flatMap(({ tokens }) => tokens)])].sort((a, b) => a - b));
    }
  }
  return after;
}
