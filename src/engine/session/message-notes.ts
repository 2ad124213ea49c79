/** What is to be said of a policy that keeps whole turns and messages, once it has a text. */
import { pagesLeft } from "../../context/page-choice.js";
import { LEAST_CHOICE } from "../../context/page-reading.js";
import { policyForMessages } from "../../context/policy.js";
import { type TextMessages, wholeMessages } from "../../context/text-messages.js";
import { counted, formatCount } from "../../util/figures.js";
import type { ModelInfo, Usage } from "../api.js";
import type { SessionSettings } from "./session-settings.js";

export function messageNotes(
  { policy }: SessionSettings,
  { trainedContext, fixedPositions }: Pick<ModelInfo, "trainedContext" | "fixedPositions">,
  usage: Pick<Usage, "seen" | "kept" | "sinks" | "horizon">,
  messages: TextMessages,
): string[] {
  const { seen, kept } = usage;
  if (!policy.byMessages) return lostSystemNotes(policy.text, fixedPositions, usage, messages);
  if (seen === 0) return [];
  const { text, sinks } = policy;
  const { system, starts } = messages;
  if (starts.length === 0) {
    return [
      `${text}: this text has no messages, as a chat has. Of it the first ${formatCount(sinks)} and the newest tokens stay, as under sinks:${sinks},recent:N.`,
    ];
  }
  const notes: string[] = [];
  const length = system ? system.end - system.start : 0;
  if (length > trainedContext) {
    notes.push(
      `The system message alone has ${counted(length, "token")}, and the model was trained for ${formatCount(trainedContext)}: most models write nonsense then.`,
    );
  }
  const { budget = 0 } = policyForMessages(policy, messages);
  if (length <= trainedContext && budget > trainedContext && (policy.budget ?? 0) <= trainedContext) {
    notes.push(
      `${text} beside a system message of ${counted(length, "token")} lets the model see ${counted(budget, "token")} at once; it was trained for ${formatCount(trainedContext)}, and most models write nonsense beyond that.`,
    );
  }
  if (kept < seen) {
    const stays =
      length < sinks
        ? `The text begins with no system message: its first ${counted(sinks, "token")} stay, as attention sinks`
        : `The system message of ${counted(length, "token")} stays`;
    const recent = (policy.budget ?? 0) - sinks;
    notes.push(
      `The conversation has passed what ${text} keeps, and what was said first was let go. ${stays}, and the newest whole turns, ` +
        `up to ${counted(recent, "token")}.`,
    );
  }
  const { retention } = policyForMessages(policy, messages).headSets(0, 1)[0];
  const visible = retention.visible(seen - 1);
  const earlier = visible.slice(0, -1);
  if (policy.reading && earlier.length > 0 && pagesLeft(earlier, policy.reading) < LEAST_CHOICE) {
    notes.push(
      `The system message of ${counted(length, "token")}, which is always read, leaves nothing to choose of read=quest:${policy.reading.tokens}, so all that is kept is read: give it more.`,
    );
  }
  if (cutsNewest(visible, seen, messages)) {
    notes.push(
      `The newest message, with its answer, has more tokens than ${text} keeps beside the system message: its beginning was let go, as under a window.`,
    );
  } else if (breaksTurn(visible, seen, messages)) {
    notes.push(
      `The newest question, with all that follows it, has more tokens than ${text} keeps beside the system message: its first messages were let go.`,
    );
  }
  return notes;
}

/** Under a policy that knows no messages, that a system message was lost. */
function lostSystemNotes(
  text: string,
  fixedPositions: boolean,
  { seen, sinks, horizon }: Pick<Usage, "seen" | "sinks" | "horizon">,
  { system }: TextMessages,
): string[] {
  if (!system || horizon === null || seen - horizon <= Math.max(system.start, sinks)) return [];
  if (system.start === 0 && system.end <= sinks) return [];
  const keeping = `sinks:system,recent:N${fixedPositions ? ",distance=text" : ""}`;
  return [
    `The system message, or its beginning, is no longer seen: ${text} knows no messages and has let it go. The context ${keeping} keeps it.`,
  ];
}

/** Whether not even the newest message is held whole. */
function cutsNewest(visible: readonly { readonly start: number }[], seen: number, messages: TextMessages): boolean {
  const count = wholeMessages(messages, seen - 1);
  const newest = visible[visible.length - 1];
  return count > 0 && newest.start > messages.starts[count - 1].at;
}

/** Whether of the newest turn whole messages are held, but not all. */
function breaksTurn(visible: readonly { readonly start: number }[], seen: number, { starts }: TextMessages): boolean {
  // What stands first belongs to a turn whose beginning is long gone, or to none.
  const turn = starts.findLast(({ at, turn }) => turn && at < seen) ?? starts[0];
  return visible[visible.length - 1].start > turn.at;
}
