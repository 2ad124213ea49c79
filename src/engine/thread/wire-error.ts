/**
 * Errors between threads: class, code, message and details cross; on the other side the same class is made again, so that
 * `instanceof` and `code` tell the same as without a thread.
 */
import {
  ArgumentError,
  CancelledError,
  ContextFullError,
  type ErrorDetails,
  FormatError,
  InternalError,
  MemoryError,
  NetworkError,
  NotFoundError,
  NumericError,
  PolicyError,
  SluiceError,
  SnapshotError,
  UnsupportedError,
  WriteError,
} from "../../util/errors.js";

export interface WireError {
  readonly name: string;
  readonly code: string;
  readonly message: string;
  readonly details: ErrorDetails;
  readonly stack: string | undefined;
}

type Revive = (message: string, details: ErrorDetails, options: ErrorOptions) => SluiceError;

const number = (value: ErrorDetails[string] | undefined) => (typeof value === "number" ? value : Number.NaN);

/** By code. A code that is not here comes back as SluiceError. */
const REVIVE: Readonly<Record<string, Revive>> = {
  bad_format: (message, details, options) => new FormatError(message, details, options),
  unsupported: (message, details) => new UnsupportedError(message, details),
  not_found: (message, details, options) => new NotFoundError(message, details, options),
  bad_policy: (message, details) => new PolicyError(message, { ...details, position: number(details.position) }),
  context_full: (message, details) =>
    new ContextFullError(message, { ...details, limit: number(details.limit), needed: number(details.needed) }),
  out_of_memory: (message, details) => new MemoryError(message, details),
  bad_argument: (message, details) => new ArgumentError(message, details),
  cancelled: (message, details) => new CancelledError(message, details),
  network: (message, details, options) => new NetworkError(message, details, options),
  bad_snapshot: (message, details, options) => new SnapshotError(message, details, options),
  write_failed: (message, details, options) => new WriteError(message, details, options),
  not_a_number: (message, details) => new NumericError(message, details),
  internal: (message, details, options) => new InternalError(message, details, options),
};

/** What InternalError puts after every message; taken off on the way, as the constructor puts it there again. */
const INTERNAL_ENDING = new InternalError("").message;

/** An error as a message. Errors that are not Sluice's own are bugs, whatever threw them. */
export function toWireError(error: unknown): WireError {
  const stack = error instanceof Error ? error.stack : undefined;
  if (!(error instanceof SluiceError)) {
    const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    return { name: "InternalError", code: "internal", message: `The engine failed: ${message}.`, details: {}, stack };
  }
  const { name, code, details } = error;
  const isInternal = error instanceof InternalError && error.message.endsWith(INTERNAL_ENDING);
  const message = isInternal ? error.message.slice(0, -INTERNAL_ENDING.length) : error.message;
  return { name, code, message, details: { ...details }, stack };
}

/** The error that a message stands for; its cause holds the stack of the engine's thread. */
export function fromWireError({ code, message, details, stack }: WireError): SluiceError {
  const cause = new Error(message);
  if (stack !== undefined) cause.stack = stack;
  const revive = Object.hasOwn(REVIVE, code) ? REVIVE[code] : undefined;
  return revive ? revive(message, details, { cause }) : new SluiceError(code, message, details, { cause });
}
