/** What an encoder needs while it reads: keys and values of its layers, which see the whole source. */
import { InternalError } from "../util/errors.js";
import type { LayerStates } from "./mixer-state.js";
import { WholeMemory } from "./whole-memory.js";

export class EncoderMemory extends WholeMemory implements LayerStates {
  /** The source is read from its start. */
  readonly seen = 0;

  attention(layer: number) {
    return this.of(layer);
  }
  recurrent(layer: number): never {
    throw new InternalError(`Layer ${layer} of an encoder has no recurrent state.`);
  }
  cross(layer: number): never {
    throw new InternalError(`Layer ${layer} of an encoder attends to nothing else.`);
  }
}
