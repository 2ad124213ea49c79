/** Everything stays visible. Exact; memory and time grow with the text, and reaching the limit is an error. */
import type { Retention } from "../head-sets.js";
import { type PolicyDefinition, policyOf } from "../policy.js";

export const EVERYTHING: Retention = {
  budget: undefined,
  sinks: 0,
  distance: "text",
  visible: (t) => [{ start: 0, end: t + 1 }],
};

export const full: PolicyDefinition = {
  items: [{ name: "full" }],
  options: [],
  help: "full              keep everything; reaching the limit is an error",
  create: () => policyOf(EVERYTHING, { text: "full", summary: "keeps everything", recompute: false }),
};
