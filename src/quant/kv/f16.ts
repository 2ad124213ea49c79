/** The cache in half floats. */
import { roundToF16 } from "../f16.js";
import { firstNonFinite } from "../non-finite.js";
import type { KvFormat } from "./kv-format.js";

export const f16: KvFormat = {
  sections: (width) => [{ count: width, bytes: 2 }],
  round: (vector) => vector.map(roundToF16),
  readable: (page) => firstNonFinite("f16", page) < 0,
};
