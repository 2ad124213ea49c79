/** The cache in f32: as computed. */
import type { KvFormat } from "./kv-format.js";

export const f32: KvFormat = {
  sections: (width) => [{ count: width, bytes: 4 }],
  round: (vector) => vector,
  readable: () => true,
};
