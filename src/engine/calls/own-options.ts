/**
 * Options of a call as data of our own: read once, when the call is made, every name known, every value of its kind. So
 * nothing that a caller gives, or changes later, fails in the middle of work.
 */
import { ArgumentError, SluiceError } from "../../util/errors.js";
import { type Check, shown } from "./kinds.js";
import { nearName } from "./near-name.js";

/** What each option of a call may be. */
export type Kinds<Options> = { readonly [Name in keyof Required<Options>]: Check };

/**
 * A copy of the options; those that are undefined count as not given.
 * @throws ArgumentError that names the call and the option
 */
export function ownOptions<Options extends object>(
  call: string,
  options: Options | undefined,
  kinds: Kinds<Options>,
  none: Options,
): Options {
  const given: unknown = options;
  if (given === undefined) return none;
  return reading(call, () => {
    if (Object.prototype.toString.call(given) !== "[object Object]") {
      throw new ArgumentError(`The options of ${call} must be an object; found ${shown(given)}.`, { call });
    }
    const own = { ...none, ...options };
    checkNames(call, own, given, kinds);
    for (const [name, check] of Object.entries<Check>(kinds)) {
      const value: unknown = Reflect.get(own, name);
      if (value !== undefined) check(value, name);
    }
    return own;
  });
}

function checkNames(call: string, own: object, given: unknown, kinds: object): void {
  const known = Object.keys(kinds);
  for (const name of Object.keys(own)) {
    if (known.includes(name) || Reflect.get(own, name) === undefined) continue;
    const near = nearName(name, known);
    const hint = near === undefined ? ` It has ${known.join(", ")}.` : ` Did you mean ${near}?`;
    throw new ArgumentError(`${call} has no option ${shown(name)}.${hint}`, {
      option: name,
      call,
      ...(near !== undefined && { near }),
    });
  }
  if (typeof given !== "object" || given === null) return;
  for (const name of known) {
    if (Object.hasOwn(own, name) || !(name in given)) continue;
    throw new ArgumentError(`The options of ${call} must be a plain object; ${name} is not a field of its own.`, {
      option: name,
      call,
    });
  }
}

/** What a getter or a proxy of the caller's throws is told as a wrong argument. */
export function reading<Value>(call: string, read: () => Value): Value {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof SluiceError) throw cause;
    const found = cause instanceof Error ? cause.message : String(cause);
    throw new ArgumentError(`The arguments of ${call} could not be read: ${found}`, { call }, { cause });
  }
}
