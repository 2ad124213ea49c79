/** A case that did not end well or with a typed error, and the first place in Sluice's code where it showed. */
export interface Fault {
  readonly kind: string;
  readonly index: number;
  /** The class of the error. */
  readonly what: string;
  readonly message: string;
  readonly at: string;
}

export interface CasesRequest {
  readonly count: number;
  readonly seed: number | string;
  /** Whether templates of real models beside the checkout take part. */
  readonly shared?: boolean;
  /** Whether engines in threads take part, which need the built package. */
  readonly threads?: boolean;
}

/** Names of the kinds of input. */
export const KINDS: readonly string[];

/** Runs cases 0 to count - 1 of a kind on what `library` has. */
export function faultsOf(
  kind: string,
  library: object,
  request: CasesRequest,
): Promise<{ readonly faults: readonly Fault[]; readonly refused: number }>;
