/** Who computes what: the choice has no derivative, the weights of what was chosen have that of their softmax. */
import type { ExpertWeighting, Routing } from "../../tensor/backend.js";
import type { Tensor } from "../../tensor/tensor.js";
import { InternalError } from "../../util/errors.js";
import type { Tape } from "../tape.js";

/** A routing of the inner backend with its weights, by which the tape knows their gradient. */
export class RecordedRouting implements Routing {
  readonly rows: number;
  readonly used: number;

  constructor(
    readonly inner: Routing,
    /** [T, k] */
    readonly weights: Tensor,
  ) {
    this.rows = inner.rows;
    this.used = inner.used;
  }

  static of(routing: Routing): RecordedRouting {
    if (routing instanceof RecordedRouting) return routing;
    throw new InternalError("A routing that the tape did not record.");
  }
}

/** @param balance weight of the experts' balance in the loss (see RouteBackCall) */
export function route(
  tape: Tape,
  logits: Tensor,
  used: number,
  weighting: ExpertWeighting,
  balance: number | undefined,
): RecordedRouting {
  const { ops, training } = tape;
  const routing = ops.route(logits, used, weighting);
  const weights = tape.record(training.routingWeights(routing), (dy) => {
    tape.give(logits, () => training.routeInput({ logits, routing, weighting, dy, balance }));
  });
  return new RecordedRouting(routing, weights);
}
