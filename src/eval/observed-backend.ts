/**
 * A backend whose operations someone sees: it passes each call on to another one, which is left as it is, so that who else
 * uses that one is not seen.
 */
import type { AppendCall, AttentionCall, Backend, ScopeBody, SelectCall, SelectedPages } from "../tensor/backend.js";
import type { Tensor } from "../tensor/tensor.js";

/** Is told of a call before it is computed, and of a step when it has begun. */
export interface Observer {
  attention?(call: AttentionCall): void;
  append?(call: AppendCall): void;
  begun?(): void;
  /** Is told which pages were chosen, and says which are read. */
  select?(call: SelectCall, chosen: readonly SelectedPages[]): readonly SelectedPages[];
}

export function observedBackend(backend: Backend, observer: Observer): Backend {
  const own: Pick<Backend, "attention" | "append" | "select" | "beginStep" | "scope"> = {
    attention(call) {
      observer.attention?.(call);
      backend.attention(call);
    },
    append(call) {
      observer.append?.(call);
      backend.append(call);
    },
    select(call) {
      const chosen = backend.select(call);
      return observer.select?.(call, chosen) ?? chosen;
    },
    beginStep(splits) {
      backend.beginStep(splits);
      observer.begun?.();
    },
    // Layers work with the backend that they are handed, so it must be this one.
    scope<I>(body: ScopeBody<I>, x: Tensor, input: I): Tensor {
      const forward = (_: Backend, inside: Tensor, given: I) => body.forward(observed, inside, given);
      return backend.scope({ layer: body.layer, forward }, x, input);
    },
  };
  const observed: Backend = new Proxy(backend, {
    get(target, name) {
      const value: unknown = Reflect.get(name in own ? own : target, name, target);
      return typeof value === "function" ? value.bind(name in own ? own : target) : value;
    },
  });
  return observed;
}
