/** Everything stays visible. Exact; memory and time grow with the text, and reaching the limit is an error. */
import type { PolicyDefinition } from "../policy.js";

export const full: PolicyDefinition = {
  items: [{ name: "full", least: undefined }],
  options: [],
  help: "full              keep everything; reaching the limit is an error",
  create: () => ({
    text: "full",
    summary: "keeps everything",
    budget: undefined,
    sinks: 0,
    distance: "text",
    recompute: false,
    visible: (t) => [{ start: 0, end: t + 1 }],
  }),
};
