/** What ends a render from inside: the engine's own error, which chat-template.ts turns into a typed one with its line. */

/** broken: the template can't work; refused: it says no itself; unsupported: Jinja2 has it and Sluice does not. */
export type FaultKind = "broken" | "refused" | "unsupported" | "limit";

export class Fault extends Error {
  /** Where in the template; filled in by whoever knows it first. */
  line: number | undefined;
  constructor(
    readonly kind: FaultKind,
    message: string,
    line?: number,
  ) {
    super(message);
    this.line = line;
  }
}

/** Python's TypeError, ValueError and the like: the template does what its values can't. */
export function broken(message: string, line?: number): Fault {
  return new Fault("broken", message, line);
}

export function unsupported(message: string): Fault {
  return new Fault("unsupported", message);
}

/** Carries what `check` threw through the engine unchanged. */
export class Interrupt {
  constructor(readonly reason: unknown) {}
}
