/**
 * Sliding window with recomputation: for every token the newest `window` tokens are read from scratch, as a text of
 * their own. The slow baseline of the StreamingLLM paper (2309.17453); N^2 work per token, and no cache kept.
 */
import { counted } from "../../util/figures.js";
import { type PolicyDefinition, policyOf } from "../policy.js";
import { wholeNumber } from "../policy-values.js";
import { windowRetention } from "./window.js";

export const recompute: PolicyDefinition = {
  items: [{ name: "recompute", value: wholeNumber(1) }],
  options: [],
  refuses: { read: "it keeps no keys among which to choose" },
  help: "recompute:N       read the newest N tokens again for every token (slow baseline)",
  create(values) {
    const window = values.number("recompute");
    return policyOf(windowRetention(0, window), {
      text: `recompute:${window}`,
      summary: `reads the newest ${counted(window, "token")} again for every token`,
      recompute: true,
    });
  },
};
