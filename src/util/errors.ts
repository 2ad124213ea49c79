/**
 * Every error that Sluice throws on purpose. An error says what was expected, what was found and what to do;
 * `code` is stable and crosses threads and HTTP; `details` holds the figures.
 * @module sluice/errors
 */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | null>>;

/** The base of all typed errors. */
export class SluiceError extends Error {
  override readonly name: string = "SluiceError";
  constructor(
    readonly code: string,
    message: string,
    readonly details: ErrorDetails = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A model file that is truncated, hostile or not what it says it is. */
export class FormatError extends SluiceError {
  override readonly name = "FormatError";
  constructor(message: string, details?: ErrorDetails, options?: ErrorOptions) {
    super("bad_format", message, details, options);
  }
}

/** Well-formed, but something Sluice does not run (yet): an architecture, a tensor type, an option of a model. */
export class UnsupportedError extends SluiceError {
  override readonly name = "UnsupportedError";
  constructor(message: string, details?: ErrorDetails) {
    super("unsupported", message, details);
  }
}

/** A file, model or command that is not there. */
export class NotFoundError extends SluiceError {
  override readonly name = "NotFoundError";
  constructor(message: string, details?: ErrorDetails, options?: ErrorOptions) {
    super("not_found", message, details, options);
  }
}

/** A policy text that cannot be read; `details.position` is the offset of the first wrong character. */
export class PolicyError extends SluiceError {
  override readonly name = "PolicyError";
  constructor(message: string, details: ErrorDetails & { readonly position: number }) {
    super("bad_policy", message, details);
  }
}

/** The text does not fit into the context and the policy frees nothing. Nothing was cut. */
export class ContextFullError extends SluiceError {
  override readonly name = "ContextFullError";
  constructor(message: string, details: ErrorDetails & { readonly limit: number; readonly needed: number }) {
    super("context_full", message, details);
  }
}

/** Weights or cache do not fit into memory; `details` has the bytes needed and available. */
export class MemoryError extends SluiceError {
  override readonly name = "MemoryError";
  constructor(message: string, details: ErrorDetails) {
    super("out_of_memory", message, details);
  }
}

/** A wrong argument of a call or an option. */
export class ArgumentError extends SluiceError {
  override readonly name = "ArgumentError";
  constructor(message: string, details?: ErrorDetails, options?: ErrorOptions) {
    super("bad_argument", message, details, options);
  }
}

/** Work was cancelled through an AbortSignal. What was finished until then is kept. */
export class CancelledError extends SluiceError {
  override readonly name = "CancelledError";
  constructor(message = "The work was cancelled.", details?: ErrorDetails) {
    super("cancelled", message, details);
  }
}

/** A server that cannot be reached or refuses; `details.status` is the HTTP status, where there was an answer. */
export class NetworkError extends SluiceError {
  override readonly name = "NetworkError";
  constructor(message: string, details?: ErrorDetails, options?: ErrorOptions) {
    super("network", message, details, options);
  }
}

/** A saved session that is damaged, or that this model, backend or version cannot go on with. */
export class SnapshotError extends SluiceError {
  override readonly name = "SnapshotError";
  constructor(message: string, details?: ErrorDetails, options?: ErrorOptions) {
    super("bad_snapshot", message, details, options);
  }
}

/** A file that cannot be written: no space, no permission, a folder in its place. What was there before is still there. */
export class WriteError extends SluiceError {
  override readonly name = "WriteError";
  constructor(message: string, details?: ErrorDetails, options?: ErrorOptions) {
    super("write_failed", message, details, options);
  }
}

/** Results that are not numbers: damaged weights, or values beyond the range of their type. */
export class NumericError extends SluiceError {
  override readonly name = "NumericError";
  constructor(message: string, details?: ErrorDetails) {
    super("not_a_number", message, details);
  }
}

/** A broken promise of our own: please report it. */
export class InternalError extends SluiceError {
  override readonly name = "InternalError";
  constructor(message: string, details?: ErrorDetails, options?: ErrorOptions) {
    super("internal", `${message} This is a bug in Sluice; please report it.`, details, options);
  }
}
