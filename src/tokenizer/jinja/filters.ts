/** The filters of Jinja2, by name. */
import { unsupported } from "./fault.js";
import type { Filter } from "./filter.js";
import type { Runtime } from "./runtime.js";
import { SEQUENCE_FILTERS } from "./sequence-filters.js";
import { TEXT_FILTERS } from "./text-filters.js";
import { VALUE_FILTERS } from "./value-filters.js";
import type { CallArguments, Value } from "./values.js";

const FILTERS: ReadonlyMap<string, Filter> = new Map([
  ...Object.entries(TEXT_FILTERS),
  ...Object.entries(SEQUENCE_FILTERS),
  ...Object.entries(VALUE_FILTERS),
]);

/** Filters that no chat template has a use for. */
const LEFT_OUT: ReadonlySet<string> = new Set(["urlize"]);

export function isFilter(name: string): boolean {
  return FILTERS.has(name);
}

export function applyFilter(name: string, value: Value, args: CallArguments, runtime: Runtime): Value {
  const filter = FILTERS.get(name);
  if (!filter)
    throw LEFT_OUT.has(name) ? unsupported(`the filter ${name}.`) : unsupported(`no filter named '${name}'.`);
  runtime.budget.step();
  return filter(value, args, runtime);
}
