/** Everything stays visible. Exact; memory and time grow with the text, and reaching the limit is an error. */
import type { Retention } from "../head-sets.js";
import { type PolicyDefinition, policyOf } from "../policy.js";
import { withReading } from "./reading.js";

export const EVERYTHING: Retention = {
  budget: undefined,
  sinks: 0,
  distance: "text",
  visible: (t) => [{ start: 0, end: t + 1 }],
};

export const full: PolicyDefinition = {
  items: [{ name: "full" }],
  options: ["read", "dense"],
  help: "full              keep everything; reaching the limit is an error",
  create(_, options) {
    const policy = policyOf(EVERYTHING, { text: "full", summary: "keeps everything", recompute: false });
    return withReading(policy, options);
  },
};
