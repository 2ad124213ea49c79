/**
 * Shifted sparse attention (LongLoRA, 2309.12307): causal attention within groups; for half of the heads the groups are
 * shifted by half a group. The half-groups at both ends are apart, so that nothing is seen of the future (the published
 * roll lets them share one block).
 */
import type { PatternDefinition } from "./pattern.js";

export const shiftedGroups: PatternDefinition = {
  name: "shifted",
  numbers: 1,
  help: "shifted:N          groups of N, shifted by half for half of the KV heads (LongLoRA)",
  create: ([size], text) => {
    const shift = Math.floor(size / 2);
    const within = (offset: number) => (t: number) => {
      const start = Math.floor((t + offset) / size) * size - offset;
      return [{ start: Math.max(0, start), end: t + 1 }];
    };
    return {
      text,
      headSets: (kvHeads) => {
        const plain = Math.ceil(kvHeads / 2);
        const sets = [{ head: 0, heads: plain, visible: within(0) }];
        return plain === kvHeads ? sets : [...sets, { head: plain, heads: kvHeads - plain, visible: within(shift) }];
      },
    };
  },
};
