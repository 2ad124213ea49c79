/**
 * Shifted sparse attention (LongLoRA, 2309.12307): causal attention within groups; for half of the heads the groups are
 * shifted by half a group. The half-groups at both ends are apart, so that nothing is seen of the future (the published
 * roll lets them share one block).
 */
import { headsBetween, type Visibility } from "../../context/head-sets.js";
import type { PatternDefinition } from "./pattern-definition.js";

export const shiftedGroups: PatternDefinition = {
  name: "shifted",
  numbers: 1,
  help: "shifted:N          groups of N, shifted by half for half of the KV heads (LongLoRA)",
  create: ([size], text) => {
    const shift = Math.floor(size / 2);
    const within = (offset: number): Visibility => ({
      visible: (t) => [{ start: Math.max(0, Math.floor((t + offset) / size) * size - offset), end: t + 1 }],
    });
    const [plain, shifted] = [within(0), within(shift)];
    return {
      text,
      headSets: (_, kvHeads) => {
        const half = Math.ceil(kvHeads / 2);
        const sets = [
          { heads: headsBetween(0, half), retention: plain },
          { heads: headsBetween(half, kvHeads), retention: shifted },
        ];
        return sets.filter(({ heads }) => heads.length > 0);
      },
    };
  },
};
