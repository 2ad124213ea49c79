/**
 * Sliding window, with or without attention sinks (StreamingLLM, 2309.17453): the first `sinks` tokens of the text and
 * the newest `recent` ones. Distances count inside the cache. With evict = n the oldest n go at once when the budget is
 * reached, so between evictions the window has recent - n + 1 to recent tokens.
 */
import { counted, formatCount } from "../../util/figures.js";
import type { Retention } from "../head-sets.js";
import { type ContextPolicy, type PolicyDefinition, policyOf } from "../policy.js";
import type { PolicyOptions } from "../policy-options.js";
import { wholeNumber, wrongValue } from "../policy-values.js";
import { withReading } from "./reading.js";

/** First position of the recent part at query position t. */
function recentStart(t: number, sinks: number, recent: number, evict: number): number {
  const excess = t + 1 - (sinks + recent);
  return excess <= 0 ? sinks : sinks + evict * Math.ceil(excess / evict);
}

/** What stays of a text under sinks and a window; evict is at most recent. */
export function windowRetention(
  sinks: number,
  recent: number,
  { evict = 1, distance = "cache" }: PolicyOptions = {},
): Retention {
  return {
    budget: sinks + recent,
    sinks,
    leastRecent: recent - evict + 1,
    distance,
    visible(t) {
      const start = recentStart(t, sinks, recent, evict);
      if (t < sinks || start === sinks) return [{ start: 0, end: t + 1 }];
      const window = { start, end: t + 1 };
      return sinks > 0 ? [{ start: 0, end: sinks }, window] : [window];
    },
  };
}

function slidingWindow(sinks: number, recent: number, options: PolicyOptions): ContextPolicy {
  const { evict = 1, distance } = options;
  if (evict > recent) {
    throw wrongValue("evict", `evict=${evict} must be at most recent:${recent}, or nothing recent would be left.`);
  }
  const items = [sinks > 0 ? `sinks:${sinks}` : "", `recent:${recent}`];
  if (evict > 1) items.push(`evict=${evict}`);
  if (distance === "text") items.push("distance=text");
  const newest = counted(recent, "token");
  const policy = policyOf(windowRetention(sinks, recent, options), {
    text: items.filter((item) => item !== "").join(","),
    summary:
      sinks > 0 ? `keeps the first ${formatCount(sinks)} and the newest ${newest}` : `keeps the newest ${newest}`,
    recompute: false,
  });
  return withReading(policy, options);
}

export const recent: PolicyDefinition = {
  items: [{ name: "recent", value: wholeNumber(1) }],
  options: ["evict", "distance", "read", "dense"],
  help: "recent:N          keep the newest N tokens (sliding window)",
  create: (values, options) => slidingWindow(0, values.number("recent"), options),
};

export const sinksAndRecent: PolicyDefinition = {
  items: [
    { name: "sinks", value: wholeNumber(0) },
    { name: "recent", value: wholeNumber(1) },
  ],
  options: ["evict", "distance", "read", "dense"],
  help: "sinks:S,recent:N  keep the first S and the newest N tokens (StreamingLLM)",
  create: (values, options) => slidingWindow(values.number("sinks"), values.number("recent"), options),
};
