/**
 * Sliding window with recomputation: for every token the newest `window` tokens are read from scratch, as a text of
 * their own. The slow baseline of the StreamingLLM paper (2309.17453); N^2 work per token, and no cache kept.
 */
import { counted } from "../../util/figures.js";
import type { PolicyDefinition } from "../policy.js";

export const recompute: PolicyDefinition = {
  items: [{ name: "recompute", least: 1 }],
  options: [],
  help: "recompute:N       read the newest N tokens again for every token (slow baseline)",
  create: ({ recompute: window }) => ({
    text: `recompute:${window}`,
    summary: `reads the newest ${counted(window, "token")} again for every token`,
    budget: window,
    sinks: 0,
    distance: "cache",
    recompute: true,
    visible: (t) => [{ start: Math.max(0, t + 1 - window), end: t + 1 }],
  }),
};
