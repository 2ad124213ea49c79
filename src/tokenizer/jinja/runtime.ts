/** What the parts of the engine need of a render: its budget, its filters and tests, the guard of users' texts. */
import { withoutGuard } from "../message-guard.js";
import type { Budget } from "./budget.js";
import type { CallArguments, Value } from "./values.js";

export interface Runtime {
  readonly budget: Budget;
  /** Marks a text that came from a guarded one, whatever was done to it since. */
  readonly remark: ((text: string) => string) | undefined;
  readonly now: Date;
  /** `object.name` and `object[key]`. */
  attribute(object: Value, name: string): Value;
  item(object: Value, key: Value): Value;
  filter(name: string, value: Value, args: CallArguments): Value;
  test(name: string, value: Value, args: CallArguments): boolean;
  call(callee: Value, args: CallArguments): Value;
}

/** Text without marks, and how its parts get theirs back. */
export function unmarked(
  text: string,
  runtime: Runtime,
): { readonly text: string; readonly mark: (part: string) => string } {
  const plain = withoutGuard(text);
  const { remark, budget } = runtime;
  if (plain === text || !remark) return { text, mark: unchanged };
  return {
    text: plain,
    mark: (part) => {
      budget.work(part.length);
      return remark(part);
    },
  };
}

function unchanged(text: string): string {
  return text;
}
