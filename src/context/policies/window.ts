/**
 * Sliding window, with or without attention sinks (StreamingLLM, 2309.17453): the first `sinks` tokens of the text and
 * the newest `recent` ones. Distances count inside the cache. With evict = n the oldest n go at once when the budget is
 * reached, so between evictions the window has recent - n + 1 to recent tokens.
 */
import { ArgumentError } from "../../util/errors.js";
import { counted, formatCount } from "../../util/figures.js";
import type { ContextPolicy, PolicyDefinition, PolicyOptions } from "../policy.js";

/** First position of the recent part at query position t. */
function recentStart(t: number, sinks: number, recent: number, evict: number): number {
  const excess = t + 1 - (sinks + recent);
  return excess <= 0 ? sinks : sinks + evict * Math.ceil(excess / evict);
}

export function slidingWindow(sinks: number, recent: number, { evict, distance }: PolicyOptions): ContextPolicy {
  if (evict > recent) {
    throw new ArgumentError(`evict=${evict} must be at most recent:${recent}, or nothing recent would be left.`);
  }
  const items = [sinks > 0 ? `sinks:${sinks}` : "", `recent:${recent}`];
  if (evict > 1) items.push(`evict=${evict}`);
  if (distance === "text") items.push("distance=text");
  return {
    text: items.filter((item) => item !== "").join(","),
    summary:
      sinks > 0
        ? `keeps the first ${formatCount(sinks)} and the newest ${counted(recent, "token")}`
        : `keeps the newest ${counted(recent, "token")}`,
    budget: sinks + recent,
    sinks,
    leastRecent: recent - evict + 1,
    distance: distance ?? "cache",
    recompute: false,
    visible(t) {
      const start = recentStart(t, sinks, recent, evict);
      if (t < sinks || start === sinks) return [{ start: 0, end: t + 1 }];
      const window = { start, end: t + 1 };
      return sinks > 0 ? [{ start: 0, end: sinks }, window] : [window];
    },
  };
}

export const recent: PolicyDefinition = {
  items: [{ name: "recent", least: 1 }],
  options: ["evict", "distance"],
  help: "recent:N          keep the newest N tokens (sliding window)",
  create: (values, options) => slidingWindow(0, values.recent, options),
};

export const sinksAndRecent: PolicyDefinition = {
  items: [
    { name: "sinks", least: 0 },
    { name: "recent", least: 1 },
  ],
  options: ["evict", "distance"],
  help: "sinks:S,recent:N  keep the first S and the newest N tokens (StreamingLLM)",
  create: (values, options) => slidingWindow(values.sinks, values.recent, options),
};
