/**
 * The default: everything stays visible while it fits; writing on past the limit goes on with sinks and the newest tokens
 * (StreamingLLM, 2309.17453), but a prompt that does not fit by itself is an error. `auto` is given its limit by the model
 * that it is used with: `auto:N`.
 */
import { counted, formatCount } from "../../util/figures.js";
import { type ContextPolicy, type PolicyDefinition, policyOf } from "../policy.js";
import type { PolicyOptions } from "../policy-options.js";
import { wholeNumber } from "../policy-values.js";
import { EVERYTHING } from "./full.js";
import { withReading } from "./reading.js";
import { windowRetention } from "./window.js";

/** As in the paper: more do not help. */
const SINKS = 4;

/** For models that can go on without the oldest tokens. */
function movingAuto(limit: number, options: PolicyOptions): ContextPolicy {
  const sinks = Math.min(SINKS, Math.floor(limit / 2));
  const policy = policyOf(windowRetention(sinks, limit - sinks), {
    text: `auto:${limit}`,
    summary: `keeps everything up to ${counted(limit, "token")}, then the first ${formatCount(sinks)} and the newest ${formatCount(limit - sinks)}`,
    recompute: false,
    wholePrompts: true,
  });
  return withReading(policy, options);
}

/** For models that cannot: writing ends at the limit, without an error. Without a limit: there is none, or it is not known yet. */
export function endingAuto(options: PolicyOptions, limit?: number): ContextPolicy {
  const policy = policyOf(EVERYTHING, {
    text: limit === undefined ? "auto" : `auto:${limit}`,
    summary: `keeps everything${limit === undefined ? "" : ` up to ${counted(limit, "token")}, and ends there`}`,
    recompute: false,
    wholePrompts: true,
  });
  return withReading(policy, options);
}

export const auto: PolicyDefinition = {
  items: [{ name: "auto", value: wholeNumber(1), bare: 0 }],
  options: ["read", "dense"],
  help: "auto              keep everything that fits, then the first 4 and the newest (the default)",
  create(values, options) {
    const limit = values.number("auto");
    return limit > 0 ? movingAuto(limit, options) : endingAuto(options);
  },
};
