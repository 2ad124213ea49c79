/**
 * A tape: what was computed in a step, so that gradients can be carried back through it in the opposite order. Tensors are
 * known by their handles. A view of some rows shares its parent's gradient, as it shares its numbers. Gradients of weights
 * are accumulated outside of the tape, in tensors that outlive the step.
 */
import type { Backend } from "../tensor/backend.js";
import type { KeptTensor, Tensor, Weight } from "../tensor/tensor.js";
import type { TrainingOps } from "../tensor/training.js";
import { InternalError } from "../util/errors.js";

interface View {
  readonly of: Tensor;
  readonly start: number;
}

interface Gradient {
  readonly tensor: Tensor;
  /** Another tensor's gradient has the same numbers: they may not be written. */
  readonly shared: boolean;
}

export class Tape {
  private readonly steps: (() => void)[] = [];
  /** Results of the tape's operations; what is not here is a constant. */
  private readonly known = new Set<Tensor>();
  private readonly views = new Map<Tensor, View>();
  private readonly gradients = new Map<Tensor, Gradient>();

  /** @param parameters gradients of the weights that learn; absent ones are frozen */
  constructor(
    readonly ops: Backend,
    readonly training: TrainingOps,
    private readonly parameters: ReadonlyMap<Weight, KeptTensor>,
  ) {}

  /** An empty tape on the same weights. */
  fork(): Tape {
    return new Tape(this.ops, this.training, this.parameters);
  }

  clear(): void {
    this.steps.length = 0;
    this.known.clear();
    this.views.clear();
    this.gradients.clear();
  }

  /** Where the gradient of a weight is accumulated; undefined when it is frozen. */
  parameter(weight: Weight | undefined): KeptTensor | undefined {
    return weight && this.parameters.get(weight);
  }

  /** From here on x's gradient is asked for. */
  watch(x: Tensor): Tensor {
    this.known.add(x);
    return x;
  }

  isWatched(x: Tensor): boolean {
    return this.known.has(x);
  }

  /** x is rows [start, start + x.rows) of `of`, with which it shares its gradient. */
  view(x: Tensor, of: Tensor, start: number): Tensor {
    if (!this.known.has(of)) return x;
    const parent = this.views.get(of);
    this.views.set(x, parent ? { of: parent.of, start: parent.start + start } : { of, start });
    return this.watch(x);
  }

  /** y was computed; `back` receives its gradient, when there is one. */
  record(y: Tensor, back: (dy: Tensor) => void): Tensor {
    this.steps.push(() => {
      const dy = this.gradientOf(y);
      if (dy) back(dy);
    });
    return this.watch(y);
  }

  /** The gradient of x so far. */
  gradientOf(x: Tensor): Tensor | undefined {
    const view = this.views.get(x);
    if (!view) return this.gradients.get(x)?.tensor;
    const whole = this.gradients.get(view.of);
    return whole && this.ops.rows(whole.tensor, view.start, x.rows);
  }

  /** Adds to x's gradient what `make` computes for this purpose alone; constants need none. */
  give(x: Tensor, make: () => Tensor): void {
    if (this.known.has(x)) this.add(x, { tensor: make(), shared: false });
  }

  /** Adds numbers that something else goes on using. */
  share(x: Tensor, dx: Tensor): void {
    if (this.known.has(x)) this.add(x, { tensor: dx, shared: true });
  }

  /** The gradient of x as numbers that may be added to; of a constant, numbers that nobody will read. */
  buffer(x: Tensor): Tensor {
    const { training } = this;
    if (!this.known.has(x)) return training.zeros(x.rows, x.cols);
    const view = this.views.get(x);
    const root = view?.of ?? x;
    const known = this.gradients.get(root);
    const writable = known && !known.shared ? known.tensor : this.own(root, known);
    return view ? this.ops.rows(writable, view.start, x.rows) : writable;
  }

  /** Carries the gradient dy of y back through all that was recorded. */
  backward(y: Tensor, dy: Tensor): void {
    if (!this.known.has(y)) throw new InternalError("A gradient of something that the tape did not record.");
    this.share(y, dy);
    for (let step = this.steps.pop(); step; step = this.steps.pop()) step();
  }

  private own(root: Tensor, known: Gradient | undefined): Tensor {
    const tensor = known ? this.training.copy(known.tensor) : this.training.zeros(root.rows, root.cols);
    this.gradients.set(root, { tensor, shared: false });
    return tensor;
  }

  private add(x: Tensor, gradient: Gradient): void {
    if (this.views.has(x)) {
      this.training.accumulate(this.buffer(x), gradient.tensor);
      return;
    }
    const known = this.gradients.get(x);
    if (!known) this.gradients.set(x, gradient);
    else if (!known.shared) this.training.accumulate(known.tensor, gradient.tensor);
    else this.gradients.set(x, { tensor: this.ops.add(known.tensor, gradient.tensor), shared: false });
  }
}
