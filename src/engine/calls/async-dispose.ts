/** `Symbol.asyncDispose` where the engine has it, or what stands in for it; its type is declared in api.ts. */

const known: typeof Symbol.asyncDispose | undefined = Symbol.asyncDispose;

export const ASYNC_DISPOSE: typeof Symbol.asyncDispose = known ?? standIn();

function standIn(): typeof Symbol.asyncDispose {
  const symbol = Symbol.for("Symbol.asyncDispose");
  Object.defineProperty(Symbol, "asyncDispose", { value: symbol });
  return Symbol.asyncDispose;
}
