/**
 * Keys and values that do not fit into a cache: beyond the range of its type (65504 in f16), or no finite numbers. Backends
 * find them where they write the cache and tell of them with the step's result, so that nothing is cut in silence.
 */
import { NumericError } from "../util/errors.js";

/** What a step met. */
export interface Misfits {
  readonly beyondRange: boolean;
  readonly notFinite: boolean;
}

export function misfitError({ notFinite }: Misfits): NumericError {
  if (notFinite) {
    return new NumericError(
      "Expected finite keys and values; some of this step are infinite or not numbers. The weights may be damaged: check " +
        "the model's file. The step was undone.",
      { cause: "not finite" },
    );
  }
  return new NumericError(
    "Keys or values of this step are beyond the range of the cache's type (65504 for f16; 32768 for keys of other types whose " +
      'pages a policy selects). Open the session with a cache of f32 (kv: "f32", or --kv f32) and a policy without read=. ' +
      "The step was undone.",
    { cause: "beyond range" },
  );
}
