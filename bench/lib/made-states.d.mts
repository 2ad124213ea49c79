/** Types of made-states.mjs, for its tests. */
export interface State {
  readonly tokens: Int32Array;
  readonly tensors: readonly { readonly type: number; readonly rows: readonly Buffer[] }[];
}
export function parseState(bytes: Buffer): State;
export function stateBytes(state: State, tokens: Int32Array, cellOf?: (place: number) => number): Generator<Buffer>;
export function cellBytes(state: State): number;
