/**
 * For chat: the system message stays whole, and of the others whole turns go, the oldest first, when the newest would not fit
 * beside them: a question with all that follows up to the next one, so that no answer is left without it. The first tokens of
 * the text stay as sinks (StreamingLLM, 2309.17453), and distances count inside the cache. A turn that does not fit alone loses
 * whole messages, the oldest first. What is answered and the answer are one message while that is written; one that does not
 * fit alone loses its beginning, like under a window. A text without messages is kept as by sinks and a window.
 */
import { counted, formatCount } from "../../util/figures.js";
import { type Range, totalLength } from "../../util/ranges.js";
import { oneHeadSet, type Retention } from "../head-sets.js";
import { type ContextPolicy, type PolicyDefinition, policyOf } from "../policy.js";
import { oneOf, wholeNumber } from "../policy-values.js";
import { type MessagesOfText, NO_MESSAGES, wholePlaces } from "../text-messages.js";
import { withReading } from "./reading.js";

/** Of every text; where it begins with a system message, they are a part of that. */
const SINKS = 4;

/** What stays of a text whose messages lie as `text` says. */
export function systemRetention(text: MessagesOfText, recent: number, distance: Retention["distance"]): Retention {
  return {
    get budget() {
      return totalLength(always(text)) + recent;
    },
    get sinks() {
      return always(text)[0].end;
    },
    leastRecent: 1,
    summary: `the system message and beside it the newest whole turns, up to ${counted(recent, "token")}`,
    distance,
    visible: (t) => joined([...always(text), { start: recentStart(text, t, recent), end: t + 1 }], t + 1),
  };
}

/** What is never freed. */
function always({ messages: { system } }: MessagesOfText): Range[] {
  const first = { start: 0, end: SINKS };
  return system ? joined([first, system], Number.POSITIVE_INFINITY) : [first];
}

/** First position of the newest turns that fit together; of a turn or message that does not fit alone what does. */
function recentStart(text: MessagesOfText, t: number, recent: number): number {
  const least = Math.max(0, t + 1 - recent);
  const [{ end: kept }] = always(text);
  return wholePlaces(text.messages, t).find((at) => Math.max(at, kept) >= least) ?? least;
}

/** Ranges that may touch and overlap, up to `end`, as ranges apart. */
function joined(ranges: readonly Range[], end: number): Range[] {
  const apart: { start: number; end: number }[] = [];
  for (const range of [...ranges].sort((a, b) => a.start - b.start)) {
    const last = apart.at(-1);
    const stop = Math.min(range.end, end);
    if (last && range.start <= last.end) last.end = Math.max(last.end, stop);
    else if (range.start < stop) apart.push({ start: range.start, end: stop });
  }
  return apart;
}

export const systemAndRecent: PolicyDefinition = {
  items: [
    { name: "sinks", value: oneOf("system") },
    { name: "recent", value: wholeNumber(1) },
  ],
  options: ["distance", "read", "dense"],
  help: "sinks:system,recent:N  in a chat keep the system message and beside it the newest whole turns, up to N tokens",
  create(values, options) {
    const { distance = "cache" } = options;
    const recent = values.number("recent");
    const retention = systemRetention({ messages: NO_MESSAGES }, recent, distance);
    const policy: ContextPolicy = {
      ...policyOf(retention, {
        text: `sinks:system,recent:${recent}${distance === "text" ? ",distance=text" : ""}`,
        summary: `keeps the system message and beside it the newest whole turns, up to ${counted(recent, "token")} (without messages the first ${formatCount(SINKS)} and the newest tokens)`,
        recompute: false,
      }),
      byMessages: (text) => oneHeadSet(systemRetention(text, recent, distance)),
    };
    return withReading(policy, options);
  },
};
