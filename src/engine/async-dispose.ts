/**
 * `Symbol.asyncDispose` where the engine has it, or what compilers of `await using` look for instead. The declaration is for
 * programs that are compiled without lib esnext.disposable; with it the two are one.
 */
declare global {
  interface SymbolConstructor {
    readonly asyncDispose: unique symbol;
  }
}

const known: typeof Symbol.asyncDispose | undefined = Symbol.asyncDispose;

export const ASYNC_DISPOSE: typeof Symbol.asyncDispose = known ?? standIn();

function standIn(): typeof Symbol.asyncDispose {
  const symbol = Symbol.for("Symbol.asyncDispose");
  Object.defineProperty(Symbol, "asyncDispose", { value: symbol });
  return Symbol.asyncDispose;
}
