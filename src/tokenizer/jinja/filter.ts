/** What every filter of the engine is. */
import type { Runtime } from "./runtime.js";
import type { CallArguments, Value } from "./values.js";

export type Filter = (value: Value, args: CallArguments, runtime: Runtime) => Value;
